"""Point reads: one row by its key, for the hot path, without session and transaction.

On SQLite the standard library's read-only connection is asked on the event loop itself: 10-20 us, where a hop into a
thread and back costs ten times that (`performance.md`). On PostgreSQL it is one prepared statement.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Dialect, Select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from keysat.infra.locks import POINT_BUSY_SECONDS

POSTGRES_POINTS = 4


@dataclass(frozen=True, slots=True)
class Point:
    """A select of one row by its bind parameters, in the order of the text, compiled once for one dialect."""

    sql: str
    binds: tuple[Callable[[Any], Any] | None, ...]
    columns: tuple[Callable[[Any], Any] | None, ...]

    @staticmethod
    @lru_cache(maxsize=64)
    def of(statement: Select[*tuple[Any, ...]], dialect: Dialect) -> "Point":
        compiled = statement.compile(dialect=dialect)
        names = compiled.positiontup or ()
        return Point(
            sql=str(compiled),
            binds=tuple(compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names),
            columns=tuple(
                column.type.dialect_impl(dialect).result_processor(dialect, None)
                for column in statement.selected_columns
            ),
        )

    def key(self, values: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(write(value) if write else value for write, value in zip(self.binds, values, strict=True))

    def row(self, raw: Sequence[object]) -> tuple[object, ...]:
        return tuple(read(value) if read is not None else value for read, value in zip(self.columns, raw, strict=True))


class SqlitePoints:
    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    async def row(self, point: Point, key: tuple[object, ...]) -> tuple[object, ...] | None:
        if self._connection is None:
            self._connection = sqlite3.connect(
                f"file:{self._path}?mode=ro", uri=True, isolation_level=None, timeout=POINT_BUSY_SECONDS
            )
        found = self._connection.execute(point.sql, point.key(key)).fetchone()
        return point.row(found) if found is not None else None

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

    async def row(self, point: Point, key: tuple[object, ...]) -> tuple[object, ...] | None:
        if self._free.empty() and len(self._opened) < POSTGRES_POINTS:
            await self._open()
        driver = await self._free.get()
        try:
            found = await driver.fetchrow(point.sql, *point.key(key))
        finally:
            self._free.put_nowait(driver)
        return point.row(tuple(found)) if found is not None else None

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
