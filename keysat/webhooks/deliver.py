"""Sending what is owed: a lane for each endpoint, so that one that hangs is in nobody's way.

A lane holds its endpoint's lease: of any number of daemons one sends to it. What is about one object goes out one after
the other, a few objects at a time. A delivery that was sent and not written down as such, because the power went in
between, is sent again under the same id.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, bindparam, exists, func, or_, select
from sqlalchemy.orm import aliased

from keysat.infra.leases import take
from keysat.infra.log import get
from keysat.infra.public_http import PublicHttp
from keysat.infra.reader import head_of_events
from keysat.infra.work import Read
from keysat.webhooks.attempt import IN_FLIGHT_MOST, Exchange, Outcome, attempt, write_down
from keysat.webhooks.dispatch import DISPATCHER, dispatch
from keysat.webhooks.endpoints import ENDPOINTS_MAX, hold_all, signers
from keysat.webhooks.sign import Signer
from keysat.webhooks.tables import Delivery, Endpoint, EndpointId

BATCH = 32
BATCH_SECONDS = 2  # after which a batch begins nothing new: what is known is written down soon
LEASE_SECONDS = 60  # longer than a batch and its last request
LOOK_SECONDS = 0.1
RUN_SECONDS = 600  # a run that goes on because somebody hangs hands over to the next one

_served = or_(Endpoint.active, Endpoint.deleted_at.is_not(None))
_free = or_(Endpoint.leased_until.is_(None), Endpoint.leased_until < bindparam("now", type_=Endpoint.due_at.type))
_first_due = select(func.min(Endpoint.due_at)).where(_served, _free)

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
        await lanes.aclose()
    return lanes.attempts


@dataclass(frozen=True, slots=True)
class Batch:
    """What can be sent to an endpoint now, and what came of it."""

    endpoint: Endpoint
    holder: str
    deliveries: Sequence[Delivery]
    signers: Sequence[Signer]
    outcomes: list[Outcome] = field(default_factory=list[Outcome])


class Lanes:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._store = exchange.store
        self._head = -1
        self._ended: list[tuple[Batch, asyncio.Future[bool]]] = []
        self._turn = asyncio.Lock()
        self._http: defaultdict[EndpointId, PublicHttp] = defaultdict(exchange.http)
        self.attempts = 0

    async def serve(self) -> None:
        running: set[asyncio.Task[None]] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                await self._dispatch()
                running |= {group.create_task(self._lane(batch)) for batch in await self._take()}
                if not running:
                    return
                _, running = await asyncio.wait(running, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)

    async def aclose(self) -> None:
        for http in self._http.values():
            await http.aclose()

    async def _dispatch(self) -> None:
        head = await head_of_events(self._store)
        if head != self._head:
            await dispatch(self._store, self._now(), is_sandbox=self._exchange.is_sandbox)
            self._head = head

    async def _take(self) -> list[Batch]:
        """Of those that have something due and no lane, here or elsewhere. Most looks are one point read."""
        now = self._now()
        first = await self._store.point(_first_due, now)
        if first is None or first[0] is None or first[0] > now:
            return []
        async with self._store.work(now, DISPATCHER) as work:
            due = and_(_served, Endpoint.due_at <= now)
            holder, endpoints = await take(
                work, Endpoint, due, Endpoint.due_at, most=ENDPOINTS_MAX, seconds=LEASE_SECONDS
            )
        return await self._load(holder, [endpoint.id for endpoint in endpoints])

    async def _load(self, holder: str, ids: Collection[EndpointId]) -> list[Batch]:
        now = self._now()
        async with self._store.read() as read:
            endpoints = (await read.session.scalars(select(Endpoint).where(Endpoint.id.in_(ids)))).all()
            keys = await signers(read, self._exchange.vault, ids)
            return [
                Batch(one, holder, (await read.session.scalars(sendable(one.id, now))).all(), keys[one.id])
                for one in endpoints
            ]

    async def _lane(self, batch: Batch) -> None:
        """Until nothing is due, or another holds the lease. Whatever goes wrong, the others go on."""
        try:
            while True:
                await self._send(batch)
                if not await self._write_with_others(batch):
                    return
                [batch] = await self._load(batch.holder, [batch.endpoint.id])
        except asyncio.CancelledError:  # the run is broken off: what was sent is not sent again
            await self._write([batch], breaks_off=True)
            raise
        except Exception as error:  # the lease runs out by itself
            log.error("webhooks.lane_broke_off", error, endpoint=str(batch.endpoint.id))

    async def _send(self, batch: Batch) -> None:
        """Adds to the outcomes as they come."""
        endpoint, clock, http = batch.endpoint, self._exchange.clock, self._http[batch.endpoint.id]
        if endpoint.deleted_at is not None:
            gone = "the endpoint was deleted"
            batch.outcomes.extend(Outcome(one, clock.now(), error=gone, is_final=True) for one in batch.deliveries)
            return
        chains: defaultdict[str, list[Delivery]] = defaultdict(list)
        for delivery in batch.deliveries if endpoint.active else ():
            chains[delivery.subject].append(delivery)
        free, loop = asyncio.Semaphore(IN_FLIGHT_MOST), asyncio.get_running_loop()
        until = loop.time() + BATCH_SECONDS

        async def send(chain: Sequence[Delivery]) -> None:
            for delivery in chain:
                async with free:
                    if loop.time() > until:
                        return
                    outcome = await attempt(http, endpoint.url, delivery, batch.signers, clock)
                batch.outcomes.append(outcome)
                self.attempts += 1
                if outcome.error is not None:  # what follows about the same object waits for it
                    return

        async with asyncio.TaskGroup() as group:
            for chain in chains.values():
                group.create_task(send(chain))

    async def _write_with_others(self, batch: Batch) -> bool:
        """Whether the lane goes on. Lanes that end while another is written are written together after it."""
        mine: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._ended.append((batch, mine))
        async with self._turn:
            if not mine.done():
                together, self._ended = self._ended, []
                try:
                    going_on = await self._write([one for one, _ in together])
                except Exception as error:
                    for _, told in together:
                        told.set_exception(error)
                else:
                    for one, told in together:
                        told.set_result(one.endpoint.id in going_on)
        return await mine

    async def _write(self, batches: Sequence[Batch], *, breaks_off: bool = False) -> set[EndpointId]:
        """The endpoints whose lanes go on. The others are held, so that no delivery slips in before the lease ends."""
        now = self._now()
        async with self._store.work(now, DISPATCHER) as work:
            held = await hold_all(work, [batch.endpoint.id for batch in batches])
            await write_down(work, held, [outcome for batch in batches for outcome in batch.outcomes])
            due = await first_due(work, held)
            going_on: set[EndpointId] = set()
            for batch in batches:
                endpoint = held[batch.endpoint.id]
                if endpoint.leased_by != batch.holder:
                    continue
                first = endpoint.due_at = due.get(endpoint.id)
                is_due = first is not None and first <= now
                if is_due and not breaks_off and (endpoint.active or endpoint.deleted_at is not None):
                    endpoint.leased_until = now + timedelta(seconds=LEASE_SECONDS)
                    going_on.add(endpoint.id)
                else:
                    endpoint.end_lease(batch.holder)
        return going_on

    def _now(self) -> datetime:
        return self._exchange.clock.now()


def sendable(endpoint_id: EndpointId, now: datetime) -> Select[Delivery]:
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


async def first_due(read: Read, endpoint_ids: Collection[EndpointId]) -> Mapping[EndpointId, datetime]:
    """When the first of those is due that wait for nothing but their time; by endpoint."""
    ahead = aliased(Delivery)
    rows = await read.session.execute(
        select(Delivery.endpoint_id, func.min(Delivery.next_try_at))
        .where(Delivery.endpoint_id.in_(endpoint_ids), Delivery.next_try_at.is_not(None))
        .where(~exists().where(_about_the_same(ahead, Delivery)))
        .group_by(Delivery.endpoint_id)
    )
    return {endpoint_id: due for endpoint_id, due in rows if due is not None}


def _about_the_same(ahead: type[Delivery], delivery: type[Delivery]) -> ColumnElement[bool]:
    """`ahead` waits too, and comes first."""
    return and_(
        ahead.endpoint_id == delivery.endpoint_id,
        ahead.subject == delivery.subject,
        ahead.position < delivery.position,
        ahead.next_try_at.is_not(None),
    )
