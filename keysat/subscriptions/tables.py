"""The calendar of a license that is paid for by the period: its states, the row, and a row for each of its cycles."""

from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy import Uuid as UuidType
from sqlalchemy.orm import Mapped, mapped_column

from keysat.catalog.tables import DiscountKind
from keysat.infra.leases import Leased
from keysat.infra.tables import Base, where
from keysat.kit.periods import Unit

SubscriptionId = NewType("SubscriptionId", UUID)


class SubscriptionStatus(StrEnum):
    ACTIVE = "active"  # paid through a moment to come, or renewed so quickly that nobody noticed
    PAST_DUE = "past_due"  # unpaid, in its grace
    LAPSED = "lapsed"  # unpaid beyond it; what is paid next begins a new calendar
    PAUSED = "paused"
    CANCELLED = "cancelled"


class SubscriptionStep(StrEnum):
    FALL_DUE = "fall_due"
    LAPSE = "lapse"
    RENEW = "renew"
    PAUSE = "pause"
    RESUME = "resume"
    RESUME_UNPAID = "resume_unpaid"  # when nothing is paid any more
    CANCEL = "cancel"
    RESTART = "restart"  # a change of tier was paid that begins a new calendar


SUBSCRIPTION: dict[tuple[SubscriptionStatus, SubscriptionStep], SubscriptionStatus] = {
    (SubscriptionStatus.ACTIVE, SubscriptionStep.FALL_DUE): SubscriptionStatus.PAST_DUE,
    (SubscriptionStatus.PAST_DUE, SubscriptionStep.LAPSE): SubscriptionStatus.LAPSED,
    (SubscriptionStatus.ACTIVE, SubscriptionStep.RENEW): SubscriptionStatus.ACTIVE,
    (SubscriptionStatus.PAST_DUE, SubscriptionStep.RENEW): SubscriptionStatus.ACTIVE,
    # by an order that was opened since then; an older one is nobody's
    (SubscriptionStatus.LAPSED, SubscriptionStep.RENEW): SubscriptionStatus.ACTIVE,
    (SubscriptionStatus.ACTIVE, SubscriptionStep.PAUSE): SubscriptionStatus.PAUSED,
    (SubscriptionStatus.PAST_DUE, SubscriptionStep.PAUSE): SubscriptionStatus.PAUSED,
    (SubscriptionStatus.PAUSED, SubscriptionStep.RESUME): SubscriptionStatus.ACTIVE,
    (SubscriptionStatus.PAUSED, SubscriptionStep.RESUME_UNPAID): SubscriptionStatus.LAPSED,
    (SubscriptionStatus.ACTIVE, SubscriptionStep.CANCEL): SubscriptionStatus.CANCELLED,
    (SubscriptionStatus.PAST_DUE, SubscriptionStep.CANCEL): SubscriptionStatus.CANCELLED,
    (SubscriptionStatus.LAPSED, SubscriptionStep.CANCEL): SubscriptionStatus.CANCELLED,
    (SubscriptionStatus.PAUSED, SubscriptionStep.CANCEL): SubscriptionStatus.CANCELLED,
    **{(origin, SubscriptionStep.RESTART): SubscriptionStatus.ACTIVE for origin in SubscriptionStatus},
}


class Subscription(Leased, Base):
    """Cycle n ends at `anchor_at` + (n - `anchor_cycle`) periods in the calendar of `zone`, however late a payment was.

    `paid_through` is the truth about what is paid, and the end of cycle `cycle_number`; the license's end follows it.
    Cycle 0 is a trial. The price tuple (currency, value, period) is the list price at which it renews. From cycle
    `next_value_from` on the value is `next_value`. A discount is kept apart: it holds up to cycle `discount_until`,
    null for ever.

    Times: `next_attempt_at` when the job opens the next order, null: never by itself; `lapses_at` end of grace, while
    past due; `parked_at` opening failed too often, at last for the `parked_reason`, and waits for a person.
    `paused_grace_seconds` is the license's grace, put aside since a pause.
    """

    __tablename__ = "subscriptions"

    id: Mapped[SubscriptionId] = mapped_column(UuidType(), primary_key=True)
    license_id: Mapped[UUID] = mapped_column(ForeignKey("licenses.id"), unique=True)
    customer_id: Mapped[UUID | None] = mapped_column(ForeignKey("customers.id"), index=True)
    policy_id: Mapped[UUID] = mapped_column(ForeignKey("policies.id"))
    offer_id: Mapped[UUID | None] = mapped_column(ForeignKey("offers.id"))
    status: Mapped[SubscriptionStatus]

    anchor_at: Mapped[datetime]
    anchor_cycle: Mapped[int] = mapped_column(default=0)
    zone: Mapped[str] = mapped_column(String(64))
    period_count: Mapped[int]
    period_unit: Mapped[Unit]
    cycle_number: Mapped[int]
    paid_through: Mapped[datetime]
    lead_days: Mapped[int] = mapped_column(default=3)

    listed_currency: Mapped[str] = mapped_column(String(3))
    listed_value: Mapped[int]
    next_value: Mapped[int | None]
    next_value_from: Mapped[int | None]
    next_value_reason: Mapped[str | None] = mapped_column(Text)  # in the operator's words
    discount_kind: Mapped[DiscountKind | None]
    discount_amount: Mapped[int | None]
    discount_currency: Mapped[str | None] = mapped_column(String(3))
    discount_until: Mapped[int | None]

    next_attempt_at: Mapped[datetime | None]
    consecutive_failures: Mapped[int] = mapped_column(default=0)
    parked_at: Mapped[datetime | None]
    parked_reason: Mapped[str | None] = mapped_column(String(64))  # a code, of the last failure
    skipped_cycle: Mapped[int | None]  # of which it was told that no order is opened
    lapses_at: Mapped[datetime | None]
    cancel_at_period_end: Mapped[bool] = mapped_column(default=False)
    cancellation_reason: Mapped[str | None] = mapped_column(Text)  # in somebody's words
    paused_grace_seconds: Mapped[int | None]
    profile_connection_id: Mapped[UUID | None]  # where the saved card is
    profile_id: Mapped[str | None] = mapped_column(String(255))

    started_at: Mapped[datetime]
    lapsed_at: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("cycle_number >= anchor_cycle", name="cycle_number"),
        CheckConstraint("(next_value IS NULL) = (next_value_from IS NULL)", name="next_value"),
        CheckConstraint("(profile_id IS NULL) = (profile_connection_id IS NULL)", name="profile"),
        CheckConstraint("(lapses_at IS NOT NULL) = (status = 'past_due')", name="lapses_at"),
        Index("ix_subscriptions_paid_through", "status", "paid_through"),
        Index("ix_subscriptions_ends", "paid_through", "id"),
        Index("ix_subscriptions_started", "started_at", "id"),
        Index("ix_subscriptions_status", "status", "started_at", "id"),
        Index("ix_subscriptions_policy", "policy_id", "started_at", "id"),
        Index("ix_subscriptions_due", "next_attempt_at", **where("next_attempt_at IS NOT NULL")),
        Index("ix_subscriptions_lapsing", "lapses_at", **where("lapses_at IS NOT NULL")),
    )


class Cycle(Base):
    """A cycle of a subscription: all that are paid, and at most one that is not yet.

    `order_id` is the one order that pays it; another one supersedes it and keeps the number. Times: `opened_at` its
    first checkout page was there, and the buyer was told; `charged_at` a saved card was asked, which happens once.
    The bounds of an unpaid cycle after a lapse are a promise for a payment at once: it begins when it is paid.
    `worth` is what an upgrade credits for the whole of it, in minor units of `listed_currency`: what was paid for it,
    and the difference in list price of each upgrade since. `paid` is what a change to a tier for good credits: what was
    paid for it, and what each of those upgrades has cost.
    """

    __tablename__ = "subscription_cycles"

    subscription_id: Mapped[SubscriptionId] = mapped_column(
        UuidType(), ForeignKey("subscriptions.id"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    order_id: Mapped[UUID | None] = mapped_column(ForeignKey("orders.id"), unique=True)
    listed_currency: Mapped[str] = mapped_column(String(3))
    listed_value: Mapped[int]
    worth: Mapped[int] = mapped_column(default=0)
    paid: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    opened_at: Mapped[datetime | None]
    charged_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("number >= 0", name="number"),
        CheckConstraint("starts_at <= ends_at", name="bounds"),
        Index("ux_subscription_cycles_unpaid", "subscription_id", unique=True, **where("paid_at IS NULL")),
    )
