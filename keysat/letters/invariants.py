"""What must hold of letters: none is forgotten, and none is tried for ever."""

from datetime import datetime

from sqlalchemy import select

from keysat.infra.tables import AttentionRow
from keysat.infra.work import Read
from keysat.letters.tables import LetterRow, LetterStatus

MOST = 100


async def broken(read: Read, _now: datetime) -> list[str]:
    """One sentence for each thing that does not hold, at most 100 of a kind. By id: the address is the buyer's."""
    rules = (
        (
            "waits, and nobody will try it",
            (LetterRow.status == LetterStatus.WAITING) & LetterRow.next_try_at.is_(None),
        ),
        (
            "is done with, and would be tried again",
            (LetterRow.status != LetterStatus.WAITING) & LetterRow.next_try_at.is_not(None),
        ),
    )
    lines: list[str] = []
    for words, violated in rules:
        ids = await read.session.scalars(select(LetterRow.id).where(violated).order_by(LetterRow.id).limit(MOST))
        lines += [f"Letter {letter_id} {words}." for letter_id in ids]
    return [*lines, *await _unattended(read)]


async def _unattended(read: Read) -> list[str]:
    """Compared here, since each database has its own text of an id."""
    parked = await read.session.scalars(select(LetterRow.id).where(LetterRow.status == LetterStatus.PARKED))
    waiting = {str(letter_id) for letter_id in parked}
    listed = set(await read.session.scalars(select(AttentionRow.subject).where(AttentionRow.kind == "letter_parked")))
    return [f"Letter {letter_id} is parked, and was never on the list." for letter_id in sorted(waiting - listed)]
