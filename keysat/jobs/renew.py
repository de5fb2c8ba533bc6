"""Subscriptions: opens the orders that are due, then makes those past due, ended or lapsed that nobody has paid."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select

from keysat.checkout.mended import mended
from keysat.checkout.renew import work_off
from keysat.checkout.subscribed import end_period, lapse
from keysat.infra.events import Actor
from keysat.infra.leases import is_any_due
from keysat.infra.log import get
from keysat.infra.work import Read, Work
from keysat.subscriptions.lifecycle import fall_due
from keysat.subscriptions.openings import claim, let_go, unpark
from keysat.subscriptions.read import lapsing, unpaid
from keysat.subscriptions.tables import Subscription, SubscriptionId
from keysat.upkeep.shop import Shop

ERRANDS_AT_ONCE = 8
LISTED_AT_ONCE = 1000

Listed = Callable[[Read, datetime, int, SubscriptionId | None], Awaitable[Sequence[SubscriptionId]]]
Verb = Callable[[Work, UUID], Awaitable[bool]]

RENEWER = Actor("job:renew")

_first_due = select(func.min(Subscription.next_attempt_at)).where(Subscription.next_attempt_at.is_not(None))

log = get(__name__)


async def renew(shop: Shop, now: datetime) -> int:
    """Everything that is due by `now`; returns how many orders it tried to open."""
    await _unpark(shop, now)
    errands = await _open_due(shop)
    await _pass(shop, now, unpaid, _end)
    await _pass(shop, now, lapsing, lapse)
    return errands + await _open_due(shop)  # what has lapsed without ever having been opened


async def _open_due(shop: Shop) -> int:
    """Each batch has its own moment: a lease that counts from the start of a long pass is over as it is taken."""
    errands = 0
    while await is_any_due(shop.store, _first_due, now := shop.now()):
        async with shop.store.work(now, RENEWER) as work:
            holder, claimed = await claim(work)
        if not claimed:  # others have them
            break
        ids = [row.id for row in claimed]
        await _each(ids, lambda subscription_id: work_off(shop.desk(now, RENEWER), subscription_id))
        async with shop.store.work(now, RENEWER) as work:
            await let_go(work, holder, claimed)
        errands += len(claimed)
    return errands


async def _pass(shop: Shop, now: datetime, listed: Listed, verb: Verb) -> None:
    """Each that is listed once: those that are put off stay on the list, and keep nobody waiting."""
    after = None
    while True:
        async with shop.read() as read:
            ids = await listed(read, now, LISTED_AT_ONCE, after)
        await _each(ids, lambda subscription_id: _in_work(shop, now, subscription_id, verb))
        if len(ids) < LISTED_AT_ONCE:
            return
        after = ids[-1]


async def _in_work(shop: Shop, now: datetime, subscription_id: UUID, verb: Verb) -> None:
    async with shop.store.work(now, RENEWER) as work:
        await verb(work, subscription_id)


async def _end(work: Work, subscription_id: UUID) -> bool:
    """What is paid is over: it ends, or grace begins."""
    return await end_period(work, subscription_id) or await fall_due(work, subscription_id)


async def _each(ids: Sequence[UUID], errand: Callable[[UUID], Awaitable[None]]) -> None:
    """A few at a time. Whatever one raises, the others go on; its lease runs out by itself."""
    free = asyncio.Semaphore(ERRANDS_AT_ONCE)

    async def run(subscription_id: UUID) -> None:
        async with free:
            try:
                await errand(subscription_id)
            except Exception as error:  # one subscription's trouble is not the others'
                log.error("renewal.broke_off", error, subscription=str(subscription_id))

    async with asyncio.TaskGroup() as group:
        for subscription_id in ids:
            group.create_task(run(subscription_id))


async def _unpark(shop: Shop, now: datetime) -> None:
    """Tries those again whose trouble was the rate or the provider, once that is mended."""
    async with shop.read() as read:
        ids = await mended(read, shop.board, LISTED_AT_ONCE)
    await _each(ids, lambda subscription_id: _in_work(shop, now, subscription_id, unpark))
