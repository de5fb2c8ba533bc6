"""Point reads: one row by its key, for the hot path, without session and transaction.

On SQLite the standard library's read-only connection is asked on the event loop itself: 10-20 us, where a hop into a
thread and back costs ten times that (`performance.md`). On PostgreSQL it is one prepared statement.
"""

import asyncio
import sqlite3
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from keysat.infra.locks import POINT_BUSY_SECONDS
from keysat.infra.prepared import Prepared

POSTGRES_POINTS = 4


class SqlitePoints:
    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    async def row(self, query: Prepared, key: tuple[object, ...]) -> tuple[object, ...] | None:
        if self._connection is None:
            self._connection = sqlite3.connect(
                f"file:{self._path}?mode=ro", uri=True, isolation_level=None, timeout=POINT_BUSY_SECONDS
            )
        found = self._connection.execute(query.sql, query.arguments(key)).fetchone()
        return query.row(found) if found is not None else None

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class PostgresPoints:
    """A few driver connections taken out of the engine's pool for good; asyncpg prepares each statement once."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._opened: list[AsyncConnection] = []
        self._free: asyncio.Queue[Any] = asyncio.Queue()

    async def row(self, query: Prepared, key: tuple[object, ...]) -> tuple[object, ...] | None:
        if self._free.empty() and len(self._opened) < POSTGRES_POINTS:
            await self._open()
        driver = await self._free.get()
        try:
            found = await driver.fetchrow(query.sql, *query.arguments(key))
        finally:
            self._free.put_nowait(driver)
        return query.row(found) if found is not None else None

    async def _open(self) -> None:
        connection = self._engine.connect()
        self._opened.append(connection)
        await connection.start()
        self._free.put_nowait((await connection.get_raw_connection()).driver_connection)

    async def close(self) -> None:
        for connection in self._opened:
            await connection.invalidate()
            await connection.close()
        self._opened.clear()
