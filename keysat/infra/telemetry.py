"""Telemetry: counts of outcomes and exact last-seen times, grouped in memory and flushed by a job every 50 ms.

It has a database of its own (a SQLite file; on PostgreSQL the schema `telemetry`), because it is high in volume and low
in worth: it may be lost, it is not backed up, and it never makes the main database's caches and writers wait.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Insert,
    MetaData,
    String,
    Table,
    Uuid,
    delete,
    event,
    func,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from keysat.infra import locks
from keysat.infra.log import get
from keysat.infra.prepared import Prepared
from keysat.infra.tables import UtcDateTime
from keysat.kit.errors import KeysatError

COARSE_AGE = timedelta(hours=6)  # how exact the times in the main database are
COARSE_MOST = 500  # rows in one transaction of the main database
QUEUE_MOST = 50_000  # kept of each kind between two flushes; the oldest give way
DAYS_KEPT = 400  # of counts, unless the operator says otherwise
NOBODY = UUID(int=0)
"""Whom an outcome is counted for when the key told no license."""

SCHEMA = "telemetry"

Coarse = Callable[[Mapping[UUID, datetime]], Awaitable[None]]
Counted = tuple[str, UUID, date]
"""Outcome, license, day in UTC."""

metadata = MetaData()
outcomes = Table(
    "outcomes",
    metadata,
    Column("license_id", Uuid(), primary_key=True),
    Column("day", Date(), primary_key=True),
    Column("outcome", String(32), primary_key=True),
    Column("count", BigInteger(), nullable=False),
)
sightings = Table(
    "sightings",
    metadata,
    Column("subject", Uuid(), primary_key=True),
    Column("at", UtcDateTime(), nullable=False),
)

_log = get(__name__)


class Telemetry:
    """`count` and `seen` cost a dictionary entry; the daemon's jobs call `flush` and, less often, `flush_coarse`.

    `on_coarse` writes into the main database when machines were seen whose time there is older than `COARSE_AGE`. What
    it could not write, because it raised, it is given again.
    """

    def __init__(self, url: str, on_coarse: Coarse | None = None) -> None:
        self.on_coarse = on_coarse
        self.dropped = 0
        self._engine = _engine(url)
        self._counts: dict[Counted, int] = {}
        self._seen: dict[UUID, datetime] = {}
        self._coarse: dict[UUID, datetime] = {}
        self._flushing = asyncio.Lock()
        self._is_made = False

    def count(self, outcome: str, license_id: UUID | None, now: datetime) -> None:
        key = (outcome, license_id or NOBODY, now.date())
        known = self._counts.get(key)
        if known is None and len(self._counts) >= QUEUE_MOST:
            self.dropped += self._counts.pop(next(iter(self._counts)))
        self._counts[key] = (known or 0) + 1

    def seen(self, subject: UUID, now: datetime, coarse: datetime | None = None) -> None:
        """`coarse`: the time that stands in the main database, when the caller has just read it."""
        self._put(self._seen, subject, now)
        if coarse is not None and self.on_coarse is not None and now - coarse >= COARSE_AGE:
            self._put(self._coarse, subject, now)

    async def flush(self) -> None:
        """What cannot be written is dropped and counted: nobody waits for telemetry."""
        async with self._flushing:
            if not self._counts and not self._seen:
                return
            counts, self._counts = self._counts, {}
            seen, self._seen = self._seen, {}
            try:
                async with self._connection() as connection:
                    await _write(connection, counts, seen)
            except (SQLAlchemyError, OSError) as error:
                self.dropped += sum(counts.values()) + len(seen)
                _log.warning("telemetry.lost", reason=type(error).__name__)

    async def flush_coarse(self) -> None:
        while self._coarse and self.on_coarse is not None:
            batch = dict(list(self._coarse.items())[:COARSE_MOST])
            try:
                await self.on_coarse(batch)
            except (KeysatError, SQLAlchemyError) as error:
                _log.warning("telemetry.coarse_waits", reason=type(error).__name__)
                return
            for subject, at in batch.items():
                if self._coarse.get(subject) == at:
                    del self._coarse[subject]

    async def last_seen(self, subjects: Iterable[UUID]) -> dict[UUID, datetime]:
        """Exact times of those that are known; after a loss of telemetry, of none."""
        wanted = sightings.c.subject.in_(list(subjects))
        async with self._connection() as connection:
            rows = await connection.execute(select(sightings.c.subject, sightings.c.at).where(wanted))
            return {row.subject: row.at for row in rows}

    async def outcomes_of(self, license_id: UUID | None, since: date) -> dict[str, int]:
        """How often each outcome was answered since that day (UTC); None: to keys that told no license."""
        wanted = outcomes.c.license_id == (license_id or NOBODY), outcomes.c.day >= since
        query = select(outcomes.c.outcome, func.sum(outcomes.c.count)).where(*wanted).group_by(outcomes.c.outcome)
        async with self._connection() as connection:
            return {outcome: int(count) for outcome, count in await connection.execute(query)}

    async def forget(self, before: date) -> None:
        """Drop the counts of earlier days. A daily job calls it."""
        async with self._connection() as connection:
            await connection.execute(delete(outcomes).where(outcomes.c.day < before))

    async def close(self) -> None:
        await self.flush()
        await self.flush_coarse()
        await self._engine.dispose()

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[AsyncConnection, None]:
        async with self._engine.begin() as connection:
            if not self._is_made:
                await _make(connection)
            yield connection
        self._is_made = True

    def _put(self, queue: dict[UUID, datetime], subject: UUID, now: datetime) -> None:
        if subject not in queue and len(queue) >= QUEUE_MOST:
            del queue[next(iter(queue))]
            self.dropped += 1
        queue[subject] = now


@dataclass(frozen=True, slots=True)
class _Writes:
    """Of rows as their tables have them: outcomes are added up, of two sightings the later one stays."""

    count: Insert
    see: Insert
    schema: str | None


def _writes(insert: Callable[[Table], postgresql.Insert | sqlite.Insert], schema: str | None) -> _Writes:
    count, seen = insert(outcomes), insert(sightings)
    return _Writes(
        count.on_conflict_do_update(
            index_elements=["license_id", "day", "outcome"], set_={"count": outcomes.c.count + count.excluded.count}
        ),
        seen.on_conflict_do_update(
            index_elements=["subject"], set_={"at": seen.excluded.at}, where=sightings.c.at < seen.excluded.at
        ),
        schema,
    )


_WRITES = {"postgresql": _writes(postgresql.insert, SCHEMA), "sqlite": _writes(sqlite.insert, None)}


async def _write(connection: AsyncConnection, counts: Mapping[Counted, int], seen: Mapping[UUID, datetime]) -> None:
    writes = _WRITES[connection.dialect.name]
    counted = ((license_id, day, outcome, number) for (outcome, license_id, day), number in counts.items())
    for statement, rows in ((writes.count, counted), (writes.see, seen.items())):
        insert = Prepared.of(statement, connection.dialect, writes.schema)
        # Sorted, so that two daemons lock the rows in the same order.
        if ready := sorted(insert.arguments(row) for row in rows):
            await connection.exec_driver_sql(insert.sql, ready)


async def _make(connection: AsyncConnection) -> None:
    if connection.dialect.name == "postgresql":
        await connection.execute(text(locks.advisory(locks.TELEMETRY)))
        await connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    await connection.run_sync(metadata.create_all)


def _engine(url: str) -> AsyncEngine:
    if make_url(url).get_backend_name() == "postgresql":
        engine = create_async_engine(url, pool_size=1, max_overflow=1, hide_parameters=True)
        return engine.execution_options(schema_translate_map={None: SCHEMA})
    engine = create_async_engine(url, pool_size=1, max_overflow=0, hide_parameters=True)

    def tune(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "busy_timeout=2000", "synchronous=OFF"):  # it may be lost
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine.sync_engine, "connect", tune)
    return engine
