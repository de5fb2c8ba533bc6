"""The reconciler: looks at every order whose time has come. Webhooks only make that time now."""

import asyncio
from datetime import datetime

from sqlalchemy import func, select

from keysat.checkout.collect import collect
from keysat.checkout.schedule import after_failure
from keysat.checkout.tables import Order, OrderId
from keysat.infra.attention import clear
from keysat.infra.events import Actor
from keysat.infra.leases import give_back, is_any_due, take
from keysat.infra.log import get
from keysat.kit.errors import Unavailable
from keysat.kit.ids import fraction
from keysat.upkeep.shop import Shop

TAKEN_AT_ONCE = 20
ERRANDS_AT_ONCE = 8
LEASE_SECONDS = 60  # of a daemon that was killed; an errand that takes longer may be repeated, which is safe
LOOKER = Actor("job:look")
LOOK_FAILED = "look_failed"

_first_due = select(func.min(Order.next_look_at)).where(Order.next_look_at.is_not(None))

log = get(__name__)


async def look(shop: Shop, now: datetime) -> int:
    """Look at all orders that are due by `now`; returns how many looks it took.

    Each batch has its own moment: a lease that counts from the start of a long pass is over as it is taken.
    """
    looks = 0
    while await is_any_due(shop.store, _first_due, now):
        at = max(now, shop.now())
        async with shop.store.work(at, LOOKER) as work:
            holder, orders = await take(
                work, Order, Order.next_look_at <= now, Order.next_look_at, most=TAKEN_AT_ONCE, seconds=LEASE_SECONDS
            )
        if not orders:  # others have them
            break
        free = asyncio.Semaphore(ERRANDS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for order in orders:
                group.create_task(_look_at(shop, order, holder, at, free))
        looks += len(orders)
    return looks


async def _look_at(shop: Shop, order: Order, holder: str, now: datetime, free: asyncio.Semaphore) -> None:
    """One errand. Whatever it raises, the lease is given back and the others go on."""
    async with free:
        try:
            await collect(shop.desk(now, LOOKER), OrderId(order.id), holder)
            if order.look_failures:
                async with shop.store.work(now, LOOKER) as work:
                    await clear(work, order.id, LOOK_FAILED)
        except Exception as error:  # one order's trouble is not the others'
            await _put_off(shop, order, holder, now, error)


async def _put_off(shop: Shop, order: Order, holder: str, now: datetime, error: Exception) -> None:
    """Look again later. When even this cannot be written, the lease runs out by itself."""
    log.error("look.failed", error, order=str(order.id))
    failures = order.look_failures + 1
    again_at = after_failure(failures, now, fraction(shop.chance))
    try:
        async with shop.store.work(now, LOOKER) as work:
            await give_back(work, Order, order.id, holder, next_look_at=again_at, look_failures=failures)
            if not isinstance(error, Unavailable):  # a busy database mends itself
                words = f"The look at order {order.support_reference} broke off: {type(error).__name__}."
                await work.attend(LOOK_FAILED, order.id, words, again=True)
    except Unavailable as busy:
        log.warning("look.not_put_off", busy, order=str(order.id))
