"""Subscriptions: opens the orders that are due, then makes those past due, ended or lapsed that nobody has paid."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, select

from keysat.checkout.renew import NO_PROVIDER, NO_RATE, REFUSED, UNREACHABLE, work_off
from keysat.checkout.subscribed import lapse
from keysat.infra.events import Actor
from keysat.infra.log import get
from keysat.infra.tables import EventRow
from keysat.infra.work import Read, Work
from keysat.payments.rates.pins import pin_of
from keysat.payments.tables import ConnectionRow, ConnectionStatus
from keysat.subscriptions.happenings import SubscriptionRenewalFailed
from keysat.subscriptions.lifecycle import end_period, fall_due
from keysat.subscriptions.openings import claim, let_go, unpark
from keysat.subscriptions.read import lapsing, parked, unpaid
from keysat.subscriptions.tables import Subscription
from keysat.upkeep.shop import Shop

ERRANDS_AT_ONCE = 8
LISTED_MOST = 1000  # of a pass; what lapses only when money that is on its way has come stays on the list
OF_THE_PROVIDER = frozenset({NO_PROVIDER, UNREACHABLE, REFUSED})
FAILED = SubscriptionRenewalFailed.__struct_config__.tag
RENEWER = Actor("job:renew")

_first_due = select(func.min(Subscription.next_attempt_at)).where(Subscription.next_attempt_at.is_not(None))

log = get(__name__)


async def renew(shop: Shop, now: datetime) -> int:
    """Everything that is due by `now`; returns how many orders it tried to open."""
    await _unpark(shop, now)
    errands = await _open_due(shop)
    async with shop.read() as read:
        ended = await unpaid(read, now, LISTED_MOST)
    await _each(ended, lambda subscription_id: _in_work(shop, now, subscription_id, _end))
    async with shop.read() as read:
        over = await lapsing(read, now, LISTED_MOST)
    await _each(over, lambda subscription_id: _in_work(shop, now, subscription_id, lapse))
    return errands + await _open_due(shop)  # what has lapsed without ever having been opened


async def _open_due(shop: Shop) -> int:
    """Each batch has its own moment: a lease that counts from the start of a long pass is over as it is taken."""
    errands = 0
    while await _is_any_due(shop, now := shop.now()):
        async with shop.store.work(now, RENEWER) as work:
            holder, claimed = await claim(work)
        if not claimed:  # others have them
            break
        ids = [row.id for row in claimed]
        await _each(ids, lambda subscription_id: work_off(shop.desk, subscription_id, now, RENEWER))
        async with shop.store.work(now, RENEWER) as work:
            await let_go(work, holder, claimed)
        errands += len(claimed)
    return errands


async def _is_any_due(shop: Shop, now: datetime) -> bool:
    """One point read, so that no write lock is taken each minute for nothing."""
    first = await shop.store.point(_first_due)
    return first is not None and first[0] is not None and first[0] <= now


async def _in_work(
    shop: Shop, now: datetime, subscription_id: UUID, verb: Callable[[Work, UUID], Awaitable[bool]]
) -> None:
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
        waiting = [await read.get(Subscription, one) for one in await parked(read, LISTED_MOST)]
        mended = [row.id for row in waiting if await _is_mended(shop, read, row)]
    await _each(mended, lambda subscription_id: _in_work(shop, now, subscription_id, unpark))


async def _is_mended(shop: Shop, read: Read, row: Subscription) -> bool:
    """A rate is known again; a connection that sells was looked at since, and found well. All else a person mends."""
    reason = await _why(read, row)
    if reason == NO_RATE:
        pin = await pin_of(read, row.listed_currency)
        shop.board.warm(row.listed_currency, pin)  # for the next pass, where it is not known yet
        return shop.board.peek(row.listed_currency, pin) is not None
    return reason in OF_THE_PROVIDER and row.parked_at is not None and await _is_served(read, row.parked_at)


async def _why(read: Read, row: Subscription) -> str | None:
    """Why it could not be opened the last time."""
    body = await read.session.scalar(
        select(EventRow.body)
        .where(EventRow.subject == str(row.id), EventRow.name == FAILED)
        .order_by(EventRow.id.desc())
        .limit(1)
    )
    return msgspec.json.decode(body, type=_Failed).reason if body is not None else None


async def _is_served(read: Read, since: datetime) -> bool:
    looked_at = await read.session.scalars(
        select(ConnectionRow.health).where(
            ConnectionRow.status == ConnectionStatus.ACTIVE, ConnectionRow.checked_at > since
        )
    )
    return any(health is not None and health["reachable"] and health["authorized"] for health in looked_at)


class _Failed(msgspec.Struct, frozen=True):
    reason: str
