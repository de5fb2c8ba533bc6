"""Following the sealed events: what comes of them is written in one transaction with the reader's cursor.

A crash before the commit has written nothing, one after it all; of two daemons one moves the cursor. So none is lost,
and none is written twice.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, func, select

from keysat.infra.events import Actor
from keysat.infra.store import Store
from keysat.infra.tables import EventRow, EventSeal
from keysat.infra.work import Read, Work

BATCH = 200  # events of one transaction
LAZY = 1000  # events that concern nobody are passed over in such steps, so that they cost no write each time

_head = select(func.max(EventSeal.position))


class Sealed(NamedTuple):
    position: int
    name: str
    subject: str
    at: datetime
    body: str


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Events in sealed order, and the position up to which there are no others."""

    events: Sequence[T]
    upto: int
    has_more: bool


@dataclass(frozen=True, slots=True)
class Reader:
    """Who follows the events: a table that is a `Cursor` has its `begun` and `move`."""

    actor: Actor
    begun: Callable[[Read], Awaitable[int]]
    """The position up to which it has read."""
    move: Callable[[Work, int, int], Awaitable[bool]]
    """From one position to another. False: it stands elsewhere by now, and nothing may be written."""
    write: Callable[[Work, Sequence[Sealed]], Awaitable[int]]
    """What comes of these events. Returns how many things it made."""


async def head_of_events(store: Store) -> int:
    """A point read: where it is what it was, there is nothing to read."""
    found = await store.point(_head)
    return (found[0] if found else None) or 0


async def head(read: Read) -> int:
    """The last sealed position; 0: nothing is sealed."""
    return await read.session.scalar(_head) or 0


async def page(read: Read, after: int, limit: int, *which: ColumnElement[bool]) -> Page[Sealed]:
    last = await head(read)
    rows = await read.session.execute(
        select(EventSeal.position, EventRow.name, EventRow.subject, EventRow.at, EventRow.body)
        .join(EventRow, EventRow.id == EventSeal.event_id)
        .where(EventSeal.position > after, EventSeal.position <= last, *which)
        .order_by(EventSeal.position)
        .limit(limit)
    )
    events = [Sealed(*row) for row in rows]
    has_more = len(events) == limit
    return Page(events, events[-1].position if has_more else max(last, after), has_more)


async def read_on(reader: Reader, store: Store, now: datetime, *which: ColumnElement[bool]) -> int:
    """To the last sealed event. Returns the sum of what `write` returned. Safe from any number of processes."""
    made = 0
    while True:
        async with store.read() as read:
            begun = await reader.begun(read)
            news = await page(read, begun, BATCH, *which)
        if news.upto == begun or (not news.events and news.upto - begun < LAZY):
            return made
        async with store.work(now, reader.actor) as work:
            if not await reader.move(work, begun, news.upto):
                return made  # another daemon was faster
            made += await reader.write(work, news.events)
        if not news.has_more:
            return made
