"""An order and the period of a subscription that it pays: whether it still does, and who ends it when it does not.

A subscription ends or rests through the verbs here, never by those of `subscriptions` alone, so that no order is left
that nobody needs. Each holds the order first and then license and subscription, as settling does.
"""

from uuid import UUID

from sqlalchemy import select

from keysat.checkout.invoice import close, locked
from keysat.checkout.tables import Order, OrderId, OrderStatus, Purpose, Step
from keysat.infra.work import Work
from keysat.kit.errors import Conflict
from keysat.licenses import issue
from keysat.licenses.tables import License
from keysat.subscriptions import lifecycle
from keysat.subscriptions.openings import open_cycle
from keysat.subscriptions.read import cycle_of_order, subscription_of
from keysat.subscriptions.tables import Cycle

HAS_MONEY = frozenset({OrderStatus.PROCESSING, OrderStatus.PAID})
"""Money is there or on its way: such an order still pays its period, however late."""

SUPERSEDED = "superseded"


async def cancel(work: Work, subscription_id: UUID, *, reason: str | None, at_period_end: bool = False) -> None:
    """As `lifecycle.cancel`, and its open order ends."""
    await open_order(work, subscription_id)
    await drop(work, await lifecycle.cancel(work, subscription_id, reason=reason, at_period_end=at_period_end))


async def pause(work: Work, subscription_id: UUID) -> None:
    """As `lifecycle.pause`, and its open order ends."""
    await open_order(work, subscription_id)
    await drop(work, await lifecycle.pause(work, subscription_id))


async def lapse(work: Work, subscription_id: UUID) -> bool:
    """As `lifecycle.lapse`; False also while money for it is on its way."""
    order = await open_order(work, subscription_id)
    if order is not None and order.status in HAS_MONEY:
        return False
    has_lapsed, dropped = await lifecycle.lapse(work, subscription_id)
    await drop(work, dropped)
    return has_lapsed


async def revoke(work: Work, license_id: UUID, reason: str) -> License:
    """As `issue.revoke`, and its subscription is cancelled."""
    subscription_id = await lifecycle.id_of(work, license_id)
    if subscription_id is not None:
        await open_order(work, subscription_id)
    license = await issue.revoke(work, license_id, reason)
    await drop(work, await lifecycle.end_for_license(work, license_id))
    return license


async def open_order(work: Work, subscription_id: UUID) -> Order | None:
    """The one order for the next cycle, held."""
    query = select(Cycle.order_id).where(Cycle.subscription_id == subscription_id, Cycle.paid_at.is_(None))
    order_id = await work.session.scalar(query)
    return await locked(work, OrderId(order_id)) if order_id is not None else None


async def drop(work: Work, order_id: UUID | None) -> None:
    """Nobody needs this order any more. Its money, if it comes, is seen and goes to a person."""
    if order_id is None:
        return
    order = await locked(work, OrderId(order_id))
    if order.status == OrderStatus.DRAFT:
        await close(work, order, Step.FAIL, next_look_at=None, failure=SUPERSEDED)
    elif order.status == OrderStatus.AWAITING:
        await close(work, order, Step.RUN_OUT)


async def pays_no_period(work: Work, order: Order) -> bool:
    """A renewal that was superseded, or whose subscription has ended: its money is nobody's yet."""
    return order.purpose is Purpose.RENEWAL and await cycle_of_order(work, order.id) is None


async def adopt(work: Work, order: Order) -> None:
    """It pays the next period after all, in the place of whichever order would. Raises Conflict when there is none."""
    subscription = await subscription_of(work, order.license_id) if order.license_id is not None else None
    if subscription is None:
        raise Conflict("This order renews nothing.")
    current = await open_order(work, subscription.id)
    if current is not None and current.status in HAS_MONEY:
        raise Conflict(f"Order {current.support_reference} pays the next period, and its money is on its way.")
    await drop(work, (await open_cycle(work, subscription.id, order.id)).superseded)
