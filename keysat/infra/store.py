"""The store: one door to SQLite or PostgreSQL, and the only place that commits.

SQLite's default lets two transactions read the same row and both write it: one update is lost, silently. Here a writing
transaction takes the write lock first (BEGIN IMMEDIATE), writers of one process queue in an asyncio.Lock instead of in
the file, and readers are truly read-only. PostgreSQL stays at READ COMMITTED; counts are taken in one statement.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from datetime import datetime
from sqlite3 import OperationalError as OperationalDriverError
from typing import Any

from sqlalchemy import Connection, Select, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from keysat.infra import sqlite_writer
from keysat.infra.edition import UNCAPPED
from keysat.infra.events import Actor
from keysat.infra.locks import BUSY_SECONDS
from keysat.infra.point import PostgresPoints, SqlitePoints
from keysat.infra.prepared import Prepared
from keysat.infra.work import Read, Work
from keysat.kit.errors import Unavailable
from keysat.kit.ids import Chance, SystemChance

WAL_TRIES = 50
READERS = 4  # connections for reading sessions; SQLite answers most reads in well under a millisecond
POSTGRES_WRITERS = 10
CONNECTION_SECONDS = 30  # as long somebody waits until one of them is free


class Store:
    """`work` for one writing transaction, `read` for a snapshot, `point` for the hot path's single read."""

    def __init__(self, url: str, chance: Chance | None = None) -> None:
        self.url = make_url(url)
        self.chance = chance or SystemChance()
        self.edition = UNCAPPED
        """For whoever opened the shop to fill."""
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._lock = asyncio.Lock() if self.is_sqlite else nullcontext()
        self._listeners: defaultdict[str, list[asyncio.Event]] = defaultdict(list)
        if self.is_sqlite:
            self.engine = _sqlite_engine(self.url.set(drivername=sqlite_writer.DRIVER), 1, _write_pragmas)
            self._reader = _sqlite_engine(self.url, READERS, _read_pragmas)
            event.listen(self._reader.sync_engine, "begin", _begin)
            self._points = SqlitePoints(str(self.url.database))
        else:
            self.engine = create_async_engine(
                url, pool_size=POSTGRES_WRITERS, pool_timeout=CONNECTION_SECONDS, hide_parameters=True
            )
            self._reader = self.engine.execution_options(postgresql_readonly=True)
            self._points = PostgresPoints(self.engine)
        self._writing = async_sessionmaker(self.engine, expire_on_commit=False)
        self._reading = async_sessionmaker(self._reader, expire_on_commit=False)

    @asynccontextmanager
    async def work(self, now: datetime, actor: Actor) -> AsyncGenerator[Work, None]:
        """One transaction: committed when the block ends, or nothing of it. Raises Unavailable when it is busy."""
        with _busy_is_unavailable():
            async with self._lock, self._writing.begin() as session:
                work = Work(session, now, actor, self.chance, self.edition)
                yield work
                await work.write_events()
        for topic in work.topics:
            for listener in self._listeners[topic]:
                listener.set()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[Read, None]:
        with _busy_is_unavailable():
            async with self._reading.begin() as session:
                yield Read(session)

    async def point(self, statement: Select[*tuple[Any, ...]], *key: object) -> tuple[Any, ...] | None:
        """One row by its key (a value for each bind parameter, in the order of the text), without a session.

        10-20 us on SQLite. The statement is compiled once: keep it in a constant.
        """
        return await self._points.row(Prepared.of(statement, self.engine.dialect), key)

    def listen(self, topic: str) -> asyncio.Event:
        """An event that is set after each commit of this process that woke the topic."""
        listener = asyncio.Event()
        self._listeners[topic].append(listener)
        return listener

    async def close(self) -> None:
        await self._points.close()
        await self._reader.dispose()
        await self.engine.dispose()


def _sqlite_engine(url: URL, size: int, pragmas: tuple[str, ...]) -> AsyncEngine:
    engine = create_async_engine(
        url, pool_size=size, max_overflow=0, pool_timeout=CONNECTION_SECONDS, hide_parameters=True
    )

    def tune(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        cursor = connection.cursor()
        for pragma in pragmas:
            _set(cursor, pragma)
        cursor.close()

    event.listen(engine.sync_engine, "connect", tune)
    return engine


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _set(cursor: DBAPICursor, pragma: str) -> None:
    """Two processes may open a new file at once, and SQLite does not wait for the lock that the switch to WAL wants."""
    for _ in range(WAL_TRIES):
        try:
            cursor.execute(f"PRAGMA {pragma}")
            return
        except OperationalDriverError:
            time.sleep(BUSY_SECONDS / WAL_TRIES)
    cursor.execute(f"PRAGMA {pragma}")


_write_pragmas = (
    f"busy_timeout={BUSY_SECONDS * 1000}",
    "journal_mode=WAL",
    "foreign_keys=ON",
    "synchronous=FULL",  # money and keys survive a power cut
)
_read_pragmas = (f"busy_timeout={BUSY_SECONDS * 1000}", "query_only=ON")


@contextmanager
def _busy_is_unavailable() -> Generator[None]:
    """A lock held too long, a deadlock, no connection free, a lost one: all mean "a moment later, please"."""
    try:
        yield
    except (OperationalError, NoConnection) as error:
        raise Unavailable("The shop is busy. Please try again in a moment.", retry_after_seconds=2) from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in ("40001", "40P01") or error.connection_invalidated:
            raise Unavailable("The shop is busy. Please try again in a moment.", retry_after_seconds=2) from error
        raise
