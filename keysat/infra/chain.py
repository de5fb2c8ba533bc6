"""The verifier: walks the chain of sealed events, and names the first place where somebody touched it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Row, func, select

from keysat.infra.cursors import Cursor
from keysat.infra.events import origin_hash, seal_hash, subject_in
from keysat.infra.house import MODE, fact
from keysat.infra.tables import EventOrigin, EventRow, EventSeal
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest

BATCH = 500
GENESIS = ""
BEFORE_ALL = -(2**63)  # the least position there could be
UNREADABLE = (ArithmeticError, AttributeError, TypeError, ValueError)
"""What SQLite's untyped columns raise where somebody has written what no column of ours holds."""


def hash_of(row: EventRow, position: int, previous: str) -> str:
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
        found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})|0:", text.strip().lower(), re.ASCII)
        if found is None:
            raise BadRequest("This is no head: write it as `keysat audit verify` printed it, such as 123:0a1b...")
        return cls(int(found[1]), found[2]) if found[1] else cls()


@dataclass(frozen=True, slots=True)
class Verification:
    """What walking the chain found. `broken_at` is the first position that does not fit, with the reason."""

    checked: int
    broken_at: int | None = None
    reason: str = ""
    head: Head = field(default=Head(), compare=False)

    @property
    def flaw(self) -> str:
        """As a sentence; empty when the chain is whole."""
        if self.broken_at is None:
            return ""
        return f"The chain of events is broken at position {self.broken_at}: {self.reason}."


async def head_of(read: Read) -> Head:
    last = select(EventSeal.position, EventSeal.hash).order_by(EventSeal.position.desc()).limit(1)
    found = (await read.session.execute(last)).first()
    return Head(*found) if found else Head()


async def verify(read: Read, noted: Head | None = None) -> Verification:
    """Walk the whole chain: positions without a gap, every hash right, every origin that still stands unaltered.

    Sealing may go on meanwhile. Seals cut off at the end are seen by the events that were sealed with them; where those
    are gone too, by whoever has read further, or by a head that was `noted` before.
    """
    was_read, reader = await _furthest_reader(read)
    checked, previous, last, size = 0, GENESIS, BEFORE_ALL, BATCH
    while True:
        try:
            rows = await _sealed(read, last, size)
        except UNREADABLE:
            if size > 1:
                size = 1  # which one is it?
                continue
            return Verification(checked, checked + 1, f"event {await _event_after(read, last)} was altered")
        for sealed, row, origin in rows:
            checked, last = checked + 1, sealed.position
            if reason := _flaw(sealed, row, origin, checked, previous):
                return Verification(checked, checked, reason)
            if noted and checked == noted.position and sealed.hash != noted.hash:
                return Verification(checked, checked, "all up to here was written anew: it was noted otherwise")
            previous = sealed.hash
        if len(rows) < size:
            break
    if reason := await _cut_off(read, checked):
        return Verification(checked, checked + 1, reason)
    if checked < was_read:
        return Verification(checked, checked + 1, f"{reader} has read up to position {was_read}")
    if noted and checked < noted.position:
        return Verification(checked, checked + 1, f"it was noted to go on up to position {noted.position}")
    return Verification(checked, head=Head(checked, previous))


async def _sealed(read: Read, after: int, most: int) -> Sequence[Row[EventSeal, EventRow, EventOrigin]]:
    """Raises one of UNREADABLE."""
    found = await read.session.execute(
        select(EventSeal, EventRow, EventOrigin)
        .outerjoin(EventRow, EventRow.id == EventSeal.event_id)
        .outerjoin(EventOrigin, EventOrigin.event_id == EventSeal.event_id)
        .where(EventSeal.position > after)
        .order_by(EventSeal.position)
        .limit(most)
    )
    return found.all()


async def _event_after(read: Read, position: int) -> int | None:
    """The event of the next seal."""
    following = select(EventSeal.event_id).where(EventSeal.position > position).order_by(EventSeal.position).limit(1)
    return await read.session.scalar(following)


def _flaw(sealed: EventSeal, row: EventRow | None, origin: EventOrigin | None, position: int, previous: str) -> str:
    if sealed.position != position:
        return f"position {position} is missing" if sealed.position > position else "there is a seal before the first"
    if row is None:
        return f"event {sealed.event_id} is missing"
    try:
        if sealed.hash != hash_of(row, position, previous):
            return f"event {row.id} was altered"
    except UNREADABLE:  # of a type that no event of ours has
        return f"event {row.id} was altered"
    if row.subject != subject_in(row.body):  # it stands twice, and only the body is hashed
        return f"the subject of event {row.id} was altered"
    if not row.sealed:  # the sealer would try to seal it once more, for ever
        return f"the mark of event {row.id} was altered: it is sealed"
    if origin and row.origin_hash != origin_hash(origin.salt, origin.credential, origin.address):
        return f"the origin of event {row.id} was altered"
    return ""


async def _cut_off(read: Read, checked: int) -> str:
    """An event that was sealed and has no seal. One statement, so that a seal written meanwhile is no flaw."""
    cut = await read.session.scalar(
        select(EventRow.id)
        .outerjoin(EventSeal, EventSeal.event_id == EventRow.id)
        .where(EventRow.sealed, EventSeal.position.is_(None))
        .order_by(EventRow.id)
        .limit(1)
    )
    if cut is not None:
        return f"the seal of event {cut} is missing"
    if not checked and await fact(read, MODE) is not None and await read.session.scalar(select(EventRow.id)) is None:
        return "a shop was set up here, and no event tells of it"
    return ""


async def _furthest_reader(read: Read) -> tuple[int, str]:
    """By its table. None can have read what was never sealed; to be asked before the walk."""
    found = [(0, "")]
    for cursor in Cursor.__subclasses__():
        read_up_to = await read.session.scalar(select(func.max(cursor.position)))
        found.append((read_up_to or 0, cursor.__tablename__))
    return max(found)
