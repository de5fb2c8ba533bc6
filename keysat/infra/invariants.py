"""What must hold of the events, and of the list of things that need attention."""

from datetime import datetime, timedelta

from sqlalchemy import func, select

from keysat.infra.chain import verify
from keysat.infra.tables import EventRow
from keysat.infra.work import Read

SEALED_AFTER = timedelta(seconds=5)


async def broken(read: Read, now: datetime) -> list[str]:
    """One sentence for each thing that does not hold. Walks the whole chain of events."""
    lines: list[str] = []
    waiting = await read.session.scalar(
        select(func.count()).where(~EventRow.sealed, EventRow.at < now - SEALED_AFTER).select_from(EventRow)
    )
    if waiting:
        lines.append(f"{waiting} events older than 5 s are not sealed: does `keysat serve` run?")
    flaw = (await verify(read)).flaw
    return [*lines, flaw] if flaw else lines
