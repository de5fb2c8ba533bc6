"""The order: the only thing that money touches. Its states, and the row."""

from datetime import datetime
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy import Uuid as UuidType
from sqlalchemy.orm import Mapped, mapped_column

from keysat.catalog.tables import DiscountId, DiscountKind, TrialNeeds
from keysat.infra.leases import Leased
from keysat.infra.tables import Base, where
from keysat.kit.periods import Unit

OrderId = NewType("OrderId", UUID)
RedemptionId = NewType("RedemptionId", UUID)


class Purpose(StrEnum):
    """What an order buys. `checkout/fulfil` has one act for each."""

    PURCHASE = "purchase"
    MANUAL = "manual"  # issued by the operator, price 0
    RENEWAL = "renewal"  # of the license it names: the next cycle of its subscription
    IMPORT = "import"  # sold by another shop before the move; made by `upkeep/imports` and by nothing else
    TIER_CHANGE = "tier_change"  # of the license it names: paid, or given by the operator at price 0


class OrderStatus(StrEnum):
    DRAFT = "draft"
    AWAITING = "awaiting"
    PROCESSING = "processing"
    PAID = "paid"
    FULFILLED = "fulfilled"
    UNDERPAID = "underpaid"
    EXPIRED = "expired"
    INVALID = "invalid"
    REVIEW = "review"


class Step(StrEnum):
    OPEN = "open"  # the provider's invoice is there
    SEE = "see"  # money is seen, not confirmed
    UNSEE = "unsee"  # it was replaced or double-spent away
    PAY = "pay"  # paid, but fulfilling failed
    FULFIL = "fulfil"
    FALL_SHORT = "fall_short"
    RUN_OUT = "run_out"
    FAIL = "fail"
    QUESTION = "question"


def _leads(to: OrderStatus, step: Step, *origins: OrderStatus) -> dict[tuple[OrderStatus, Step], OrderStatus]:
    return {(origin, step): to for origin in origins}


S = OrderStatus
ORDER: dict[tuple[OrderStatus, Step], OrderStatus] = {  # architecture.md 5
    **_leads(S.AWAITING, Step.OPEN, S.DRAFT),
    **_leads(S.PROCESSING, Step.SEE, S.AWAITING),
    **_leads(S.AWAITING, Step.UNSEE, S.PROCESSING),
    # Late money is still money, and the operator may take any order that is not fulfilled for paid.
    **_leads(S.PAID, Step.PAY, S.AWAITING, S.PROCESSING, S.UNDERPAID, S.EXPIRED, S.INVALID, S.REVIEW),
    **_leads(
        S.FULFILLED, Step.FULFIL, S.DRAFT, S.AWAITING, S.PROCESSING, S.PAID, S.UNDERPAID, S.EXPIRED, S.INVALID, S.REVIEW
    ),
    **_leads(S.UNDERPAID, Step.FALL_SHORT, S.AWAITING),
    **_leads(S.EXPIRED, Step.RUN_OUT, S.AWAITING, S.PROCESSING, S.UNDERPAID, S.REVIEW),
    **_leads(S.INVALID, Step.FAIL, S.DRAFT, S.AWAITING, S.PROCESSING, S.REVIEW),
    **_leads(S.REVIEW, Step.QUESTION, S.AWAITING, S.PROCESSING, S.UNDERPAID, S.EXPIRED, S.INVALID),
}

HAS_MONEY = frozenset({S.PROCESSING, S.PAID})
"""Money is there or on its way: such an order still pays its period, however late."""

SEEN_PAID = frozenset({*HAS_MONEY, S.FULFILLED, S.REVIEW})
"""Nobody is asked to pay it any more."""

OPEN = frozenset({S.AWAITING, S.PROCESSING})
"""Its invoice stands at the provider."""

ENDED = frozenset({S.EXPIRED, S.UNDERPAID, S.INVALID})

AS_SEEN = frozenset({S.AWAITING, S.EXPIRED, S.UNDERPAID})
"""Whether money of it is there, only what was seen at the provider tells."""

NEVER_PAID = frozenset({S.DRAFT, S.EXPIRED, S.INVALID})
"""Nobody has any money of it, so far."""

TOOK_MONEY = frozenset({S.PAID, S.FULFILLED, S.UNDERPAID})
"""It stays in the books."""


class PaidHow(StrEnum):
    IN_TIME = "in_time"
    LATE = "late"  # after the invoice had expired, within the late window
    MARKED = "marked"  # by hand, at the provider
    BY_OPERATOR = "by_operator"  # by hand, here
    FREE = "free"
    IMPORTED = "imported"  # to another shop, before the move


PUBLIC_WORD = {  # contract 8.4: SDKs wait for ever on any other word
    S.DRAFT: "pending",
    S.AWAITING: "pending",
    S.PROCESSING: "pending",
    S.PAID: "pending",
    S.FULFILLED: "settled",
    S.UNDERPAID: "expired",
    S.EXPIRED: "expired",
    S.INVALID: "invalid",
    S.REVIEW: "pending",
}


UUID_CHARACTERS = 36  # an id of ours has 32


class Order(Leased, Base):
    """`invoice_id` opens the key, so it is a random token; `support_reference` may be mailed around and opens nothing.

    Money: `base_value` and `listed_value` are the price before and after discount in minor units of `listed_currency`;
    `base_sats` and `amount_sats` the same in sats, null as long as no rate is known. What is asked for stands in the
    attempt: after a code in sats it is `amount_sats`, and `listed_value` says what that is worth.
    `exchange_rate_centibps` is the price of one BTC in 1/10,000 of the currency's unit; for prices in SAT all rate
    fields are null.
    Times: `status_at` last change of status; `expires_at` when the open offer to pay ends; `watch_until` when nobody
    looks for late money any more; `next_look_at` when the reconciler looks next, null: never again by itself.
    """

    __tablename__ = "orders"

    id: Mapped[OrderId] = mapped_column(UuidType(), primary_key=True)
    invoice_id: Mapped[str] = mapped_column(String(64), unique=True)
    support_reference: Mapped[str] = mapped_column(String(16), unique=True)
    purpose: Mapped[Purpose]
    status: Mapped[OrderStatus]
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.id"))
    policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("policies.id"))
    offer_id: Mapped[UUID | None] = mapped_column(ForeignKey("offers.id"))
    customer_id: Mapped[UUID | None] = mapped_column(ForeignKey("customers.id"))
    license_id: Mapped[UUID | None]  # what it made, or is to change
    period_count: Mapped[int | None]  # what is bought: this long, or for good
    period_unit: Mapped[Unit | None]
    trial_days: Mapped[int | None]  # what comes first, for nothing; null: no trial

    listed_currency: Mapped[str] = mapped_column(String(3))
    listed_value: Mapped[int]
    base_value: Mapped[int]
    amount_sats: Mapped[int | None]
    base_sats: Mapped[int | None]
    exchange_rate_centibps: Mapped[int | None]
    exchange_rate_source: Mapped[str | None] = mapped_column(String(200))
    exchange_rate_evidence: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON)

    redirect_url: Mapped[str | None] = mapped_column(Text)
    rail: Mapped[str | None] = mapped_column(String(16))
    buyer_hash: Mapped[str | None] = mapped_column(String(64))  # of the buy page's cookie

    created_at: Mapped[datetime]
    status_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    watch_until: Mapped[datetime]
    next_look_at: Mapped[datetime | None]
    looked_at: Mapped[datetime | None]
    look_failures: Mapped[int] = mapped_column(default=0)
    nudges: Mapped[int] = mapped_column(default=0)  # counted, so that a look can tell whether one came meanwhile

    paid_at: Mapped[datetime | None]
    paid_attempt_id: Mapped[UUID | None]
    paid_how: Mapped[PaidHow | None]
    failure: Mapped[str | None] = mapped_column(String(64))
    failures: Mapped[int] = mapped_column(default=0)  # of fulfilling

    @property
    def is_weak(self) -> bool:
        """Its public id is a UUID of another shop's, which stood in addresses and at providers (`decisions.md`)."""
        return len(self.invoice_id) == UUID_CHARACTERS

    @property
    def page(self) -> str:
        """Where its buyer sees how it stands (`web/public/thanks.py`). Who has this address sees the key."""
        return f"/thank-you?invoice_id={self.invoice_id}"

    def is_open(self, now: datetime) -> bool:
        """There is a page to pay on, and time left to do it."""
        return self.status is OrderStatus.AWAITING and now < self.expires_at

    @property
    def sats_off(self) -> int:
        """What the code took off; 0 where no rate was known. Of a trial nothing was taken off (contract 3.7)."""
        if self.base_sats is None or self.amount_sats is None or self.trial_days is not None:
            return 0
        return self.base_sats - self.amount_sats

    __table_args__ = (
        Index("ix_orders_due", "next_look_at", **where("next_look_at IS NOT NULL")),
        Index("ix_orders_buyer", "buyer_hash", **where("buyer_hash IS NOT NULL")),
        Index("ix_orders_status", "status", "created_at"),
        Index("ix_orders_created", "created_at", "id"),
        Index("ix_orders_product", "product_id", "created_at", "id"),
        Index("ix_orders_policy", "policy_id", "created_at", "id"),
        Index("ix_orders_purpose", "purpose", "created_at", "id"),
        Index("ix_orders_license", "license_id", "created_at", "id", **where("license_id IS NOT NULL")),
        Index("ix_orders_customer", "customer_id", "created_at", "id", **where("customer_id IS NOT NULL")),
        Index(
            "ix_orders_paid",  # lists by it; and sums over a span of time read nothing but this
            "paid_at",
            "id",
            "paid_how",
            "listed_currency",
            "listed_value",
            "amount_sats",
            **where("paid_at IS NOT NULL"),
        ),
    )


class Trial(Base):
    """Somebody's one trial of a product: a row for each identity that was told, which may be none.

    `hash` of product and identity, keyed with the vault key.
    """

    __tablename__ = "trials"

    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.id"), primary_key=True)
    kind: Mapped[TrialNeeds] = mapped_column(primary_key=True)
    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    order_id: Mapped[OrderId] = mapped_column(UuidType(), ForeignKey("orders.id"))
    created_at: Mapped[datetime]

    __table_args__ = (UniqueConstraint("order_id", "kind"),)


class RedemptionStatus(StrEnum):
    """`reserved` and `redeemed` are counted in the code's `used_count`."""

    RESERVED = "reserved"  # the order can still be paid
    REDEEMED = "redeemed"
    RELEASED = "released"  # it cannot; should its money come after all, the use is taken up again


class RedemptionStep(StrEnum):
    REDEEM = "redeem"
    RELEASE = "release"


REDEMPTION: dict[tuple[RedemptionStatus, RedemptionStep], RedemptionStatus] = {
    (RedemptionStatus.RESERVED, RedemptionStep.REDEEM): RedemptionStatus.REDEEMED,
    (RedemptionStatus.RESERVED, RedemptionStep.RELEASE): RedemptionStatus.RELEASED,
    (RedemptionStatus.RELEASED, RedemptionStep.REDEEM): RedemptionStatus.REDEEMED,
}


class Redemption(Base):
    """One use of a discount code, by one order.

    `kind`, `amount`, `currency` and `cycles` are the code's as they were then: an edit of the code changes neither this
    order nor its renewals. `cycles` counts the purchase; null is for ever. What was taken off stands in the order.
    """

    __tablename__ = "redemptions"

    id: Mapped[RedemptionId] = mapped_column(UuidType(), primary_key=True)
    order_id: Mapped[OrderId] = mapped_column(UuidType(), ForeignKey("orders.id"), unique=True)
    discount_id: Mapped[DiscountId] = mapped_column(UuidType(), ForeignKey("discount_codes.id"))
    status: Mapped[RedemptionStatus]
    kind: Mapped[DiscountKind]
    amount: Mapped[int]
    currency: Mapped[str | None] = mapped_column(String(3))
    cycles: Mapped[int | None]
    created_at: Mapped[datetime]
    status_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("cycles IS NULL OR cycles > 0", name="cycles"),
        Index("ix_redemptions_discount", "discount_id", "created_at"),
    )
