"""The sealer: gives committed events their place in one gapless order, and chains them by hash.

A lower event id can be committed after a higher one (PostgreSQL), so no reader follows `events.id`. One sealer at once
takes what is committed and unsealed, in id order: SQLite's write lock or a PostgreSQL advisory lock keeps it alone.
"""

from datetime import datetime

from sqlalchemy import func, insert, select, text, update

from keysat.infra import locks
from keysat.infra.chain import hash_of, head_of
from keysat.infra.events import Actor
from keysat.infra.store import Store
from keysat.infra.tables import EventRow, EventSeal
from keysat.infra.work import Work

BATCH = 500
SEALER = Actor("job:seal")

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
        previous = hash_of(row, position, previous)
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
