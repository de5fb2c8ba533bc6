"""The sealer: gives committed events their place in one gapless order, and chains them by hash.

A lower event id can be committed after a higher one (PostgreSQL), so no reader follows `events.id`. One sealer at once
takes what is committed and unsealed, in id order: SQLite's write lock or a PostgreSQL advisory lock keeps it alone.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import func, insert, select, text, update

from keysat.infra import locks
from keysat.infra.events import Actor, origin_hash, seal_hash, subject_in
from keysat.infra.store import Store
from keysat.infra.tables import EventOrigin, EventRow, EventSeal
from keysat.infra.work import Read, Work
from keysat.kit.errors import BadRequest

BATCH = 500
SEALER = Actor("job:seal")
GENESIS = ""
BEFORE_ALL = -(2**63)  # the least position there could be

_waiting = select(func.min(EventRow.id)).where(~EventRow.sealed)


async def seal(store: Store, now: datetime) -> int:
    """Seal what is there; returns how many events. Safe to repeat, and from any number of processes."""
    if await store.point(_waiting) == (None,):  # most of the time, and writers need not step aside
        return 0
    total = 0
    while True:
        async with store.work(now, SEALER) as work:
            sealed = await _seal_batch(work)
        total += sealed
        if sealed < BATCH:
            return total


async def _seal_batch(work: Work) -> int:
    if work.dialect == "postgresql":
        await work.session.execute(text(locks.advisory(locks.SEAL)))
    waiting = (
        await work.session.scalars(select(EventRow).where(~EventRow.sealed).order_by(EventRow.id).limit(BATCH))
    ).all()
    if not waiting:
        return 0
    head = await head_of(work)
    position, previous = head.position, head.hash
    seals: list[dict[str, object]] = []
    for row in waiting:
        position += 1
        previous = _hash_of(row, position, previous)
        seals.append({"position": position, "event_id": row.id, "hash": previous})
    await work.session.execute(insert(EventSeal), seals)
    await work.session.execute(
        update(EventRow)
        .where(EventRow.id.in_([row.id for row in waiting]))
        .values(sealed=True)
        .execution_options(synchronize_session=False)
    )
    work.wake("seals")
    return len(waiting)


def _hash_of(row: EventRow, position: int, previous: str) -> str:
    return seal_hash(previous, position, row.id, row.at, row.name, row.actor, row.body, row.origin_hash)


@dataclass(frozen=True, slots=True)
class Head:
    """How far the chain goes, and the hash that stands for all of it. Noted elsewhere, it shows what was cut off."""

    position: int = 0
    hash: str = GENESIS

    def __str__(self) -> str:
        return f"{self.position}:{self.hash}"

    @classmethod
    def read(cls, text: str) -> "Head":
        """As `str` wrote it. Raises BadRequest."""
        found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text.strip().lower(), re.ASCII)
        if found is None:
            raise BadRequest("This is no head: write it as `keysat audit verify` printed it, such as 123:0a1b...")
        return cls(int(found[1]), found[2])


@dataclass(frozen=True, slots=True)
class Verification:
    """What walking the chain found. `broken_at` is the first position that does not fit, with the reason."""

    checked: int
    broken_at: int | None = None
    reason: str = ""
    head: Head = field(default=Head(), compare=False)


async def head_of(read: Read) -> Head:
    last = select(EventSeal.position, EventSeal.hash).order_by(EventSeal.position.desc()).limit(1)
    found = (await read.session.execute(last)).first()
    return Head(*found) if found else Head()


async def verify(read: Read, noted: Head | None = None) -> Verification:
    """Walk the whole chain: positions without a gap, every hash right, every origin that still stands unaltered.

    Sealing may go on meanwhile. Seals cut off at the end are seen by the events that were sealed with them; where those
    are gone too, by a head that was `noted` before.
    """
    checked, previous, last = 0, GENESIS, BEFORE_ALL
    while True:
        rows = (
            await read.session.execute(
                select(EventSeal, EventRow, EventOrigin)
                .outerjoin(EventRow, EventRow.id == EventSeal.event_id)
                .outerjoin(EventOrigin, EventOrigin.event_id == EventSeal.event_id)
                .where(EventSeal.position > last)
                .order_by(EventSeal.position)
                .limit(BATCH)
            )
        ).all()
        for sealed, row, origin in rows:
            checked, last = checked + 1, sealed.position
            if reason := _flaw(sealed, row, origin, checked, previous):
                return Verification(checked, checked, reason)
            if noted and checked == noted.position and sealed.hash != noted.hash:
                return Verification(checked, checked, "all up to here was written anew: it was noted otherwise")
            previous = sealed.hash
        if len(rows) < BATCH:
            cut = await _cut_off(read)
            if cut:
                return Verification(checked, checked + 1, f"the seal of event {cut} is missing")
            if noted and checked < noted.position:
                return Verification(checked, checked + 1, f"it was noted to go on up to position {noted.position}")
            return Verification(checked, head=Head(checked, previous))


def _flaw(sealed: EventSeal, row: EventRow | None, origin: EventOrigin | None, position: int, previous: str) -> str:
    if sealed.position != position:
        return f"position {position} is missing" if sealed.position > position else "there is a seal before the first"
    if row is None:
        return f"event {sealed.event_id} is missing"
    if sealed.hash != _hash_of(row, position, previous):
        return f"event {row.id} was altered"
    if row.subject != subject_in(row.body):  # it stands twice, and only the body is hashed
        return f"the subject of event {row.id} was altered"
    if not row.sealed:  # the sealer would try to seal it once more, for ever
        return f"the mark of event {row.id} was altered: it is sealed"
    if origin and row.origin_hash != origin_hash(origin.salt, origin.credential, origin.address):
        return f"the origin of event {row.id} was altered"
    return ""


async def _cut_off(read: Read) -> int | None:
    """An event that was sealed and has no seal. One statement, so that a seal written meanwhile is no flaw."""
    return await read.session.scalar(
        select(EventRow.id)
        .outerjoin(EventSeal, EventSeal.event_id == EventRow.id)
        .where(EventRow.sealed, EventSeal.position.is_(None))
        .order_by(EventRow.id)
        .limit(1)
    )
