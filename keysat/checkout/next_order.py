"""A subscription, the order that pays its next period, and the one order in which they are held.

Whoever changes what a subscription pays takes its locks by `hold_all`: the open order first, then license and
subscription, as settling does, which comes with the order in its hands. An order is dropped only by who holds it.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select

from keysat.checkout.close import close
from keysat.checkout.gate import Doubt
from keysat.checkout.read import attempt_with_money, is_payment_seen, payable_attempt
from keysat.checkout.tables import SEEN_PAID, Order, OrderStatus, PaidHow, Purpose, Step
from keysat.infra.work import Read, Work
from keysat.kit.errors import Conflict
from keysat.kit.money import Money
from keysat.licenses.tables import License
from keysat.subscriptions.lifecycle import held, open_cycle_of
from keysat.subscriptions.openings import is_card_asked, open_cycle
from keysat.subscriptions.read import cycle_of_order, subscription_of
from keysat.subscriptions.rules import can_renew
from keysat.subscriptions.tables import Cycle, Subscription

SUPERSEDED = "superseded"


class Overtaken(Conflict):
    """Another transaction changed what pays the next period, between our look and our lock. The next try finds out."""

    def __init__(self) -> None:
        super().__init__("This subscription was changed a moment ago. Try again.", retry_after_seconds=1)


def _for_next_cycle(subscription_id: UUID) -> Select[UUID | None]:
    return select(Cycle.order_id).where(Cycle.subscription_id == subscription_id, Cycle.paid_at.is_(None))


async def hold_all(work: Work, subscription_id: UUID) -> tuple[Order | None, Subscription, License]:
    """The one order for the next cycle, if there is one, and what it renews, held. Raises NotFound; Overtaken."""
    order = await _hold_open_order(work, subscription_id)
    subscription, license = await held(work, subscription_id)
    cycle = await open_cycle_of(work, subscription_id)
    if (cycle.order_id if cycle is not None else None) != (order.id if order is not None else None):
        raise Overtaken
    return order, subscription, license


async def _hold_open_order(work: Work, subscription_id: UUID) -> Order | None:
    """Whoever holds it keeps its place for it. Nobody waits for an older one with a newer one in hand."""
    held_id, order = None, None
    while (order_id := await work.session.scalar(_for_next_cycle(subscription_id))) != held_id:
        held_id, order = order_id, await work.hold(Order, order_id) if order_id is not None else None
    return order


async def open_order(read: Read, subscription_id: UUID) -> Order | None:
    """The one order for the next cycle, as `hold_all` holds it."""
    return await read.session.scalar(select(Order).where(Order.id.in_(_for_next_cycle(subscription_id))))


async def is_being_paid(read: Read, order: Order, now: datetime) -> bool:
    """Of the order for the next cycle: its money is on its way, be it late, or a saved card was asked for it.

    Until that is decided nothing may take its place: the buyer would pay for the same time twice.
    """
    if is_payment_seen(order, await payable_attempt(read, order.id), now):
        return True
    cycle = await cycle_of_order(read, order.id) if order.status is OrderStatus.AWAITING else None
    return cycle is not None and await is_card_asked(read, cycle, order.created_at)


async def is_seen_paid(read: Read, order: Order, now: datetime) -> bool:
    """Nobody is asked to pay it any more."""
    return order.status in SEEN_PAID or await is_being_paid(read, order, now)


async def drop(work: Work, order_id: UUID | None) -> None:
    """Nobody needs this order any more. Its money, if it comes, is seen and goes to a person."""
    if order_id is None:
        return
    order = await work.hold(Order, order_id)
    if order.status == OrderStatus.DRAFT:
        await close(work, order, Step.FAIL, next_look_at=None, failure=SUPERSEDED)
    elif order.status == OrderStatus.AWAITING:
        await close(work, order, Step.RUN_OUT)


async def pays_no_period(work: Work, order: Order) -> bool:
    """A renewal that was superseded, or whose subscription has ended: its money is nobody's yet."""
    return order.purpose is Purpose.RENEWAL and await cycle_of_order(work, order.id) is None


async def renewal_doubt(work: Work, order: Order, how: PaidHow) -> Doubt | None:
    """Why money for this order is not to be taken for a sale, though it is all there.

    None too for an order that was quoted anew and takes its place back, since its money came first.
    """
    if not await pays_no_period(work, order):
        return None
    if how is not PaidHow.MARKED and await _take_back(work, order):
        return None
    return Doubt.PERIOD_PAID if await _is_period_paid(work, order) else Doubt.PAYS_NO_PERIOD


async def _take_back(work: Work, order: Order) -> bool:
    """It pays its cycle again, and the newer order ends. False: that is for a person to decide.

    That is so once the cycle is paid or another, and where money was seen for the newer order; and for an order that
    did not just run out: what the operator has refused does not come back. A cycle that is written down before the
    order is the order's own: whatever drops one writes another.
    """
    renewed = await subscription_of(work, order.license_id) if order.license_id is not None else None
    if renewed is None or order.status not in (OrderStatus.EXPIRED, OrderStatus.UNDERPAID):
        return False
    newer = await _hold_open_order(work, renewed.id)
    subscription, _ = await held(work, renewed.id)
    cycle = await open_cycle_of(work, subscription.id)
    if newer is None or cycle is None or order.created_at < cycle.created_at or not can_renew(subscription):
        return False
    is_same = (order.policy_id, order.listed_currency, order.base_value) == (
        subscription.policy_id,
        cycle.listed_currency,
        cycle.listed_value,
    )
    was_paid = await is_seen_paid(work, newer, work.now) or await attempt_with_money(work, newer.id) is not None
    if not is_same or was_paid:
        return False
    await open_cycle(work, subscription.id, order.id)
    await drop(work, newer.id)
    return True


async def _is_period_paid(read: Read, order: Order) -> bool:
    """By another order, while this one could be paid too."""
    paid = select(Cycle.number).join(Subscription).where(Subscription.license_id == order.license_id)
    ours = paid.where(Cycle.created_at <= order.created_at, Cycle.paid_at >= order.created_at)
    return await read.session.scalar(ours.limit(1)) is not None


async def adopt(work: Work, order: Order) -> None:
    """It pays the next period after all, in the place of whichever order would.

    Raises Conflict when there is none, and when the period is another tier's by now.
    """
    renewed = await subscription_of(work, order.license_id) if order.license_id is not None else None
    if renewed is None:
        raise Conflict("This order renews nothing.")
    current, subscription, _ = await hold_all(work, renewed.id)
    if current is not None and await is_being_paid(work, current, work.now):
        raise Conflict(f"Order {current.support_reference} pays the next period, and its money is on its way.")
    if order.policy_id != subscription.policy_id:
        paid = Money(order.listed_currency, order.base_value)
        costs = Money(subscription.listed_currency, subscription.listed_value)
        raise Conflict(
            f"Order {order.support_reference} was opened at {paid.decimal_text()} {paid.currency} for another tier; "
            f"the next period costs {costs.decimal_text()} {costs.currency}. Refuse the order, and refund it."
        )
    await drop(work, await open_cycle(work, subscription.id, order.id))
