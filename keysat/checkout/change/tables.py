"""The change of a license's tier: its states, and the row."""

from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text
from sqlalchemy import Uuid as UuidType
from sqlalchemy.orm import Mapped, mapped_column

from keysat.checkout.tables import OrderId
from keysat.infra.tables import Base, where
from keysat.kit.periods import Unit
from keysat.subscriptions.tables import SubscriptionStatus

TierChangeId = NewType("TierChangeId", UUID)


class ChangeStatus(StrEnum):
    AWAITING_PAYMENT = "awaiting_payment"
    SCHEDULED = "scheduled"  # for the end of what is paid
    APPLIED = "applied"
    CANCELLED = "cancelled"  # by a person, before it came to anything
    SUPERSEDED = "superseded"  # by another change of the same license


class ChangeStep(StrEnum):
    APPLY = "apply"
    CANCEL = "cancel"
    SUPERSEDE = "supersede"


CHANGE: dict[tuple[ChangeStatus, ChangeStep], ChangeStatus] = {
    (ChangeStatus.AWAITING_PAYMENT, ChangeStep.APPLY): ChangeStatus.APPLIED,
    (ChangeStatus.SCHEDULED, ChangeStep.APPLY): ChangeStatus.APPLIED,
    # Money that came for it all the same, and that the operator has accepted:
    (ChangeStatus.SUPERSEDED, ChangeStep.APPLY): ChangeStatus.APPLIED,
    (ChangeStatus.AWAITING_PAYMENT, ChangeStep.SUPERSEDE): ChangeStatus.SUPERSEDED,
    (ChangeStatus.SCHEDULED, ChangeStep.SUPERSEDE): ChangeStatus.SUPERSEDED,
    (ChangeStatus.SCHEDULED, ChangeStep.CANCEL): ChangeStatus.CANCELLED,
}


OPEN_CHANGES = frozenset({ChangeStatus.AWAITING_PAYMENT, ChangeStatus.SCHEDULED})
"""A license has at most one in each."""
_IS_OPEN = "status IN ('awaiting_payment', 'scheduled')"


class ChangeDirection(StrEnum):
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"


class ChangedBy(StrEnum):
    BUYER = "buyer"
    ADMIN = "admin"


class TierChange(Base):
    """A license that goes to another tier or offer: what was quoted, and what became of it.

    `order_id` is the order that pays it, of price 0 where it was given; a scheduled one has none. Money in minor units
    of `listed_currency`: `charge_value` is due at once; `target_value` and the period are the price tuple that the
    subscription gets. `is_anew` and `worth` are those of the `Proration`. The `quoted_*` are what license and
    subscription were when it was quoted: are they another, the quote is stale.
    Times: `effective_at` when it is to be applied, null: at once; `expires_at` end of the quote; `status_at` last
    change of status.
    """

    __tablename__ = "tier_changes"

    id: Mapped[TierChangeId] = mapped_column(UuidType(), primary_key=True)
    license_id: Mapped[UUID] = mapped_column(ForeignKey("licenses.id"), index=True)
    order_id: Mapped[OrderId | None] = mapped_column(UuidType(), ForeignKey("orders.id"), unique=True)
    from_policy_id: Mapped[UUID] = mapped_column(ForeignKey("policies.id"))
    from_offer_id: Mapped[UUID | None] = mapped_column(ForeignKey("offers.id"))
    to_policy_id: Mapped[UUID] = mapped_column(ForeignKey("policies.id"))
    to_offer_id: Mapped[UUID | None] = mapped_column(ForeignKey("offers.id"))
    direction: Mapped[ChangeDirection]
    status: Mapped[ChangeStatus]
    actor: Mapped[ChangedBy]
    reason: Mapped[str | None] = mapped_column(Text)  # in the operator's words

    listed_currency: Mapped[str] = mapped_column(String(3))
    charge_value: Mapped[int]
    target_value: Mapped[int]
    period_count: Mapped[int | None]
    period_unit: Mapped[Unit | None]
    is_anew: Mapped[bool]
    worth: Mapped[int | None]

    quoted_license_end: Mapped[datetime | None]
    quoted_subscription: Mapped[SubscriptionStatus | None]
    quoted_cycle: Mapped[int | None]
    quoted_paid_through: Mapped[datetime | None]

    created_at: Mapped[datetime]
    status_at: Mapped[datetime]
    effective_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("charge_value >= 0", name="charge"),
        CheckConstraint("(period_count IS NULL) = (period_unit IS NULL)", name="period"),
        Index("ux_tier_changes_open", "license_id", "status", unique=True, **where(_IS_OPEN)),
    )
