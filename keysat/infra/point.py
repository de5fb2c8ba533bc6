"""Point reads: one row by its key, for the hot path, without session and transaction.

On SQLite the standard library's read-only connection is asked on the event loop itself: 10-20 us, where a hop into a
thread and back costs ten times that (`performance.md`). On PostgreSQL it is one prepared statement.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Dialect, Insert, Select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from keysat.infra.locks import POINT_BUSY_SECONDS

POSTGRES_POINTS = 4

Conversions = tuple[tuple[int, Callable[[Any], Any]], ...]
"""Position and function of the values that the driver does not take, or give, as they are wanted."""


@dataclass(frozen=True, slots=True)
class Point:
    """A select of one row, or an insert, by its bind parameters, in the order of the text, compiled for one dialect."""

    sql: str
    binds: Conversions
    columns: Conversions

    @staticmethod
    @lru_cache(maxsize=64)
    def of(statement: Select[*tuple[Any, ...]] | Insert, dialect: Dialect, schema: str | None = None) -> "Point":
        elsewhere: dict[str, Any] = (
            {"schema_translate_map": {None: schema}, "render_schema_translate": True} if schema else {}
        )
        compiled = statement.compile(dialect=dialect, **elsewhere)
        binds = (compiled.binds[name].type.dialect_impl(dialect) for name in compiled.positiontup or ())
        selected = statement.selected_columns if isinstance(statement, Select) else ()
        columns = (column.type.dialect_impl(dialect) for column in selected)
        return Point(
            sql=str(compiled),
            binds=_conversions(kind.bind_processor(dialect) for kind in binds),
            columns=_conversions(kind.result_processor(dialect, None) for kind in columns),
        )

    def key(self, values: Iterable[object]) -> tuple[object, ...]:
        return _converted(values, self.binds)

    def row(self, raw: Iterable[object]) -> tuple[object, ...]:
        return _converted(raw, self.columns)


def _conversions(found: Iterable[Callable[[Any], Any] | None]) -> Conversions:
    return tuple((position, convert) for position, convert in enumerate(found) if convert is not None)


def _converted(values: Iterable[object], conversions: Conversions) -> tuple[object, ...]:
    converted = list(values)
    for position, convert in conversions:
        converted[position] = convert(converted[position])
    return tuple(converted)


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
        return point.row(found) if found is not None else None

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
