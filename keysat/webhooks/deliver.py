"""Sending what is owed: a lane for each endpoint, so that one that hangs is in nobody's way.

A lane holds its endpoint's lease: of any number of daemons one sends to it. What is about one object goes out one after
the other, a few objects at a time. A delivery that was sent and not written down as such, because the power went in
between, is sent again under the same id.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import aliased

from keysat.infra.leases import is_any_due, take
from keysat.infra.log import get
from keysat.webhooks.attempt import IN_FLIGHT_MOST, Exchange, Outcome, attempt, write
from keysat.webhooks.dispatch import DISPATCHER, dispatch
from keysat.webhooks.endpoints import ENDPOINTS_MAX, signers
from keysat.webhooks.sign import Signer
from keysat.webhooks.tables import Delivery, Endpoint

BATCH = 32
BATCH_SECONDS = 2  # after which a batch begins nothing new: what is known is written down soon
LEASE_SECONDS = 60  # longer than a batch and its last request
LOOK_SECONDS = 0.1
RUN_SECONDS = 600  # a run that goes on because somebody hangs hands over to the next one

_served = or_(Endpoint.active, Endpoint.deleted_at.is_not(None))
_first_due = select(func.min(Endpoint.due_at)).where(_served)

log = get(__name__)


async def work_off(exchange: Exchange) -> int:
    """Write what is owed, and send it, until nothing is due. Returns how many attempts were made.

    Each look and each batch has its own moment: while one receiver hangs, the others are told what happens meanwhile.
    """
    lanes = Lanes(exchange)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(RUN_SECONDS):
                await lanes.serve()
    finally:
        await lanes.http.aclose()
    return lanes.attempts


@dataclass(frozen=True, slots=True)
class Batch:
    endpoint: Endpoint
    deliveries: Sequence[Delivery]
    signers: Sequence[Signer]


class Lanes:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._store = exchange.store
        self.http = exchange.http()
        self.attempts = 0

    async def serve(self) -> None:
        running: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                now = self._now()
                await dispatch(self._store, now, is_sandbox=self._exchange.is_sandbox)
                holder, due = await self._take(now)
                running |= {group.create_task(self._lane(endpoint.id, holder)) for endpoint in due}
                if not running:
                    return
                _, running = await asyncio.wait(running, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)

    async def _take(self, now: datetime) -> tuple[str, Sequence[Endpoint]]:
        """Those that have something due and no lane, here or elsewhere."""
        if not await is_any_due(self._store, _first_due, now):
            return "", ()
        due = and_(_served, Endpoint.due_at <= now)
        async with self._store.read() as read:  # those in a lane are due all the time: such a look takes no lock
            free = or_(Endpoint.leased_until.is_(None), Endpoint.leased_until < now)
            if await read.session.scalar(select(Endpoint.id).where(due, free).limit(1)) is None:
                return "", ()
        async with self._store.work(now, DISPATCHER) as work:
            return await take(work, Endpoint, due, Endpoint.due_at, most=ENDPOINTS_MAX, seconds=LEASE_SECONDS)

    async def _lane(self, endpoint_id: UUID, holder: str) -> None:
        """Until nothing is due, or another holds the lease. Whatever goes wrong, the others go on."""
        try:
            while (batch := await self._batch(endpoint_id, holder)) is not None:
                outcomes: list[Outcome] = []
                try:
                    await self._send(batch, outcomes)
                finally:  # also when the run is broken off: what was sent is not sent again
                    await self._write(endpoint_id, holder, outcomes)
        except asyncio.CancelledError:
            await self._leave(endpoint_id, holder)
            raise
        except Exception as error:  # the lease runs out by itself
            log.error("webhooks.lane_broke_off", error, endpoint=str(endpoint_id))

    async def _batch(self, endpoint_id: UUID, holder: str) -> Batch | None:
        """What can be sent now. None, with the lease given back, when that is nothing."""
        async with self._store.read() as read:
            endpoint = await read.get(Endpoint, endpoint_id)
            deliveries = (await read.session.scalars(sendable(endpoint_id, self._now()))).all()
            keys = await signers(read, self._exchange.vault, endpoint_id)
        if deliveries and endpoint.leased_by == holder and (endpoint.active or endpoint.deleted_at is not None):
            return Batch(endpoint, deliveries, keys)
        await self._leave(endpoint_id, holder)
        return None

    async def _send(self, batch: Batch, outcomes: list[Outcome]) -> None:
        """Adds to `outcomes` as they come."""
        if batch.endpoint.deleted_at is not None:
            gone = "the endpoint was deleted"
            outcomes += [Outcome(one, self._now(), error=gone, is_final=True) for one in batch.deliveries]
            return
        url, clock = batch.endpoint.url, self._exchange.clock
        chains: defaultdict[str, list[Delivery]] = defaultdict(list)
        for delivery in batch.deliveries:
            chains[delivery.subject].append(delivery)
        free, loop = asyncio.Semaphore(IN_FLIGHT_MOST), asyncio.get_running_loop()
        until = loop.time() + BATCH_SECONDS

        async def send(chain: Sequence[Delivery]) -> None:
            for delivery in chain:
                async with free:
                    if loop.time() > until:
                        return
                    outcome = await attempt(self.http, url, delivery, batch.signers, clock)
                outcomes.append(outcome)
                self.attempts += 1
                if outcome.error is not None:  # what follows about the same object waits for it
                    return

        async with asyncio.TaskGroup() as group:
            for chain in chains.values():
                group.create_task(send(chain))

    async def _write(self, endpoint_id: UUID, holder: str, outcomes: Sequence[Outcome]) -> None:
        """And hold the lease a while longer."""
        now = self._now()
        async with self._store.work(now, DISPATCHER) as work:
            endpoint = await work.hold(Endpoint, endpoint_id)
            if endpoint.leased_by == holder:
                endpoint.leased_until = now + timedelta(seconds=LEASE_SECONDS)
            await write(work, endpoint, outcomes)

    async def _leave(self, endpoint_id: UUID, holder: str) -> None:
        """The endpoint is held, so that no delivery is written between the look and the end of the lease."""
        async with self._store.work(self._now(), DISPATCHER) as work:
            endpoint = await work.hold(Endpoint, endpoint_id)
            if endpoint.leased_by == holder:
                endpoint.due_at = await work.session.scalar(first_due(endpoint_id))
                endpoint.end_lease(holder)

    def _now(self) -> datetime:
        return self._exchange.clock.now()


def sendable(endpoint_id: UUID, now: datetime) -> Select[Delivery]:
    """What is due, unless something older about the same object waits for another attempt; in order."""
    ahead = aliased(Delivery)
    is_blocked = _about_the_same(ahead, Delivery) & (ahead.next_try_at > now)
    return (
        select(Delivery)
        .where(Delivery.endpoint_id == endpoint_id, Delivery.next_try_at.is_not(None), Delivery.next_try_at <= now)
        .where(~exists().where(is_blocked))
        .order_by(Delivery.position)
        .limit(BATCH)
    )


def first_due(endpoint_id: UUID) -> Select[datetime | None]:
    """When the first of those is due that wait for nothing but their time."""
    ahead = aliased(Delivery)
    return (
        select(func.min(Delivery.next_try_at))
        .where(Delivery.endpoint_id == endpoint_id, Delivery.next_try_at.is_not(None))
        .where(~exists().where(_about_the_same(ahead, Delivery)))
    )


def _about_the_same(ahead: type[Delivery], delivery: type[Delivery]) -> ColumnElement[bool]:
    """`ahead` waits too, and comes first."""
    return and_(
        ahead.endpoint_id == delivery.endpoint_id,
        ahead.subject == delivery.subject,
        ahead.position < delivery.position,
        ahead.next_try_at.is_not(None),
    )
