"""What orders do, in the past tense."""

from keysat.checkout.tables import OrderId, OrderStatus, Purpose
from keysat.infra.events import Happening


class OrderOpened(Happening, frozen=True, tag="order.opened"):
    order_id: OrderId
    purpose: Purpose
    listed_currency: str
    listed_value: int
    amount_sats: int


class OrderPaymentSeen(Happening, frozen=True, tag="order.payment_seen"):
    order_id: OrderId


class OrderPaymentLost(Happening, frozen=True, tag="order.payment_lost"):
    """What was seen was replaced or double-spent away before it was confirmed."""

    order_id: OrderId


class OrderPaid(Happening, frozen=True, tag="order.paid"):
    order_id: OrderId
    how: str
    listed_currency: str
    listed_value: int
    amount_sats: int
    surplus_minor: int = 0


class OrderFulfilled(Happening, frozen=True, tag="order.fulfilled"):
    order_id: OrderId
    license_id: str


class OrderClosed(Happening, frozen=True, tag="order.closed"):
    """It ended without a sale, for now: late money is still money."""

    order_id: OrderId
    status: OrderStatus


class OrderNeedsAttention(Happening, frozen=True, tag="order.needs_attention"):
    order_id: OrderId
    reason: str


class OrderPaidTwice(Happening, frozen=True, tag="order.paid_twice"):
    order_id: OrderId
    attempt_id: str


class OrderPaymentReversed(Happening, frozen=True, tag="order.payment_reversed"):
    """The provider calls the paid invoice invalid now. The license stays until the operator decides."""

    order_id: OrderId
    attempt_id: str
