"""From events to deliveries: follows the sealed events, and writes what is owed in one transaction with its cursor.

A crash before the commit has written nothing, one after it all; of two daemons one moves the cursor. So none is lost,
and none is written twice.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select

from keysat.infra.cursors import move, position_of
from keysat.infra.events import Actor
from keysat.infra.store import Store
from keysat.infra.tables import EventRow, EventSeal
from keysat.infra.work import Read, Work
from keysat.webhooks.endpoints import make_due
from keysat.webhooks.names import TOLD, Told, told, wants
from keysat.webhooks.tables import Delivery, DeliveryStatus, DispatchCursor, Endpoint

BATCH = 200
CURSOR = "dispatch"
LAZY = 1000  # events that concern nobody are passed over in such steps, so that they cost no write each time
DISPATCHER = Actor("job:webhooks")

_head = select(func.max(EventSeal.position))


async def head_of_events(store: Store) -> int:
    """A point read: where it is what it was, there is nothing to dispatch."""
    found = await store.point(_head)
    return (found[0] if found else None) or 0


async def dispatch(store: Store, now: datetime, *, is_sandbox: bool) -> int:
    """Read on to the last sealed event. Returns how many deliveries are new. Safe from any number of processes."""
    made = 0
    while True:
        async with store.read() as read:
            begun = await position_of(read, DispatchCursor)
            news = await events(read, begun, BATCH)
            someone = await read.session.scalar(select(Endpoint.id).where(Endpoint.deleted_at.is_(None)).limit(1))
        concerns = bool(news.told) and someone is not None
        if news.upto == begun or (not concerns and news.upto - begun < LAZY and not news.has_more):
            return made
        async with store.work(now, DISPATCHER) as work:
            if not await move(work, DispatchCursor, CURSOR, begun, news.upto):
                return made  # another daemon was faster
            made += await _owe(work, news.told, is_sandbox)
        if not news.has_more:
            return made


@dataclass(frozen=True, slots=True)
class News:
    """What the world is told of, in sealed order, up to a position."""

    told: Sequence[Told]
    upto: int
    has_more: bool


async def events(read: Read, after: int, limit: int, names: Collection[str] = TOLD) -> News:
    """`names` as they stand in the event table. At most `limit` events."""
    head = await read.session.scalar(_head) or 0
    rows = (
        await read.session.execute(
            select(EventSeal.position, EventRow.name, EventRow.subject, EventRow.at, EventRow.body)
            .join(EventRow, EventRow.id == EventSeal.event_id)
            .where(EventSeal.position > after, EventSeal.position <= head, EventRow.name.in_(names))
            .order_by(EventSeal.position)
            .limit(limit)
        )
    ).all()
    found = [told(position, name, subject, at, body) for position, name, subject, at, body in rows]
    has_more = len(rows) == limit
    return News(
        [one for one in found if one is not None], rows[-1].position if has_more else max(head, after), has_more
    )


async def _owe(work: Work, news: Sequence[Told], is_sandbox: bool) -> int:
    receivers = (await work.session.scalars(select(Endpoint).where(Endpoint.deleted_at.is_(None)))).all()
    rows: list[dict[str, object]] = []
    for event in news:
        payload = event.payload(is_sandbox=is_sandbox)
        rows += [_row(work, receiver, event, payload) for receiver in receivers if _is_told(receiver, event)]
    if rows:
        await work.session.execute(insert(Delivery), rows)
        await make_due(work, {receiver.id for receiver in receivers if any(_is_told(receiver, one) for one in news)})
    return len(rows)


def _is_told(receiver: Endpoint, event: Told) -> bool:
    return receiver.after_position < event.position and wants(receiver.event_types, event.event_type)


def _row(work: Work, receiver: Endpoint, event: Told, payload: str) -> dict[str, object]:
    return {
        "id": work.new_id(),
        "endpoint_id": receiver.id,
        "position": event.position,
        "event_type": event.event_type,
        "subject": event.subject,
        "payload": payload,
        "status": DeliveryStatus.PENDING,
        "status_at": work.now,
        "created_at": work.now,
        "next_try_at": work.now,
        "failures": 0,
        "attempts": 0,
    }
