"""How an order ends without a sale, for now, or is laid before a person."""

from keysat.checkout.codes import release
from keysat.checkout.gate import DOUBTS, Doubt
from keysat.checkout.happenings import OrderClosed, OrderNeedsAttention
from keysat.checkout.tables import ORDER, Order, OrderStatus, Step
from keysat.infra.work import Work


async def close(work: Work, order: Order, step: Step, **values: object) -> None:
    """The order ends without a sale, for now. A draft, which nobody could pay, gives its use of a code back at once."""
    was_draft = order.status == OrderStatus.DRAFT
    await work.advance(ORDER, order, step, status_at=work.now, **values)
    work.record(OrderClosed(order.id, order.status))
    if was_draft:
        await release(work, order)


async def question(work: Work, order: Order, doubt: Doubt) -> None:
    """Its money waits for a person. What the operator has refused is not asked again."""
    if await call_attention(work, order, doubt):
        await work.advance(ORDER, order, Step.QUESTION, status_at=work.now, next_look_at=None)


async def call_attention(work: Work, order: Order, doubt: Doubt) -> bool:
    """Once for each order and doubt, also when every later look finds the same. True: this was the time."""
    is_new = await work.attend(f"order_{doubt}", order.id, f"Order {order.support_reference}: {DOUBTS[doubt]}")
    if is_new:
        work.record(OrderNeedsAttention(order.id, doubt))
    return is_new
