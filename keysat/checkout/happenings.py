"""What orders do, in the past tense."""

from datetime import datetime
from uuid import UUID

from keysat.catalog.tables import DiscountId, TrialNeeds
from keysat.checkout.change.tables import ChangedBy, ChangeDirection, TierChangeId
from keysat.checkout.gate import Doubt
from keysat.checkout.tables import OrderId, OrderStatus, PaidHow, Purpose, RedemptionId
from keysat.infra.events import Happening
from keysat.payments.tables import AttemptId


class OrderOpened(Happening, frozen=True, tag="order.opened"):
    order_id: OrderId
    purpose: Purpose
    listed_currency: str
    listed_value: int
    amount_sats: int | None


class OrderPaymentSeen(Happening, frozen=True, tag="order.payment_seen"):
    order_id: OrderId


class OrderPaymentLost(Happening, frozen=True, tag="order.payment_lost"):
    """What was seen was replaced or double-spent away before it was confirmed."""

    order_id: OrderId


class OrderPaid(Happening, frozen=True, tag="order.paid"):
    """`surplus_minor` is in the currency of the attempt that was paid, which may be another than the listed one."""

    order_id: OrderId
    purpose: Purpose
    product_id: UUID
    policy_id: UUID | None
    customer_id: UUID | None
    how: PaidHow
    listed_currency: str
    listed_value: int
    amount_sats: int | None
    surplus_minor: int = 0


class OrderFulfilled(Happening, frozen=True, tag="order.fulfilled"):
    order_id: OrderId
    license_id: UUID


class OrderClosed(Happening, frozen=True, tag="order.closed"):
    """It ended without a sale, for now: late money is still money."""

    order_id: OrderId
    status: OrderStatus


class OrderNeedsAttention(Happening, frozen=True, tag="order.needs_attention"):
    order_id: OrderId
    reason: Doubt


class OrderPaidTwice(Happening, frozen=True, tag="order.paid_twice"):
    order_id: OrderId
    attempt_id: AttemptId


class OrderPaymentReversed(Happening, frozen=True, tag="order.payment_reversed"):
    """The provider calls the paid invoice invalid now. The license stays until the operator decides."""

    order_id: OrderId
    attempt_id: AttemptId


class TrialStarted(Happening, frozen=True, tag="trial.started"):
    order_id: OrderId
    product_id: UUID
    policy_id: UUID | None
    days: int
    needs: TrialNeeds


class LicenseTierChanged(Happening, frozen=True, tag="license.tier_changed"):
    """Contract 4.5, with the order's id in the place of the invoice id; null: it was scheduled, and costs nothing."""

    license_id: UUID
    product_id: UUID
    from_policy_id: UUID
    to_policy_id: UUID
    to_policy_slug: str
    direction: ChangeDirection
    actor: ChangedBy
    order_id: OrderId | None
    tier_change_id: TierChangeId


class LicenseTierChangeScheduled(Happening, frozen=True, tag="license.tier_change_scheduled"):
    """For the end of what is paid."""

    license_id: UUID
    tier_change_id: TierChangeId
    to_policy_id: UUID
    effective_at: datetime


class LicenseTierChangeCancelled(Happening, frozen=True, tag="license.tier_change_cancelled"):
    """One that was scheduled: the license keeps its tier."""

    license_id: UUID
    tier_change_id: TierChangeId


class CodeReserved(Happening, frozen=True, tag="code.reserved"):
    redemption_id: RedemptionId
    code_id: DiscountId
    code: str
    order_id: OrderId


class CodeReleased(Happening, frozen=True, tag="code.released"):
    """The order can no longer be paid: the use is there for others."""

    redemption_id: RedemptionId
    code_id: DiscountId
    order_id: OrderId


class CodeRedeemed(Happening, frozen=True, tag="code.redeemed"):
    """Contract 4.5, with the order's id in the place of the invoice id, which opens the key.

    `base_value` and `listed_value` are the price before and after, in minor units of `listed_currency`.
    """

    redemption_id: RedemptionId
    code_id: DiscountId
    code: str
    license_id: str
    product_id: str
    order_id: OrderId
    discount_applied_sats: int
    base_price_sats: int
    final_price_sats: int
    listed_currency: str
    base_value: int
    listed_value: int


class LicenseRecovered(Happening, frozen=True, tag="license.recovered"):
    license_id: UUID
    order_id: OrderId
    how: str
    """email, claim_code or link."""


class RecoveryLinkMade(Happening, frozen=True, tag="recovery.link_made"):
    """The buyer is to be mailed the link; `letters` does."""

    link_id: UUID
    order_id: OrderId
