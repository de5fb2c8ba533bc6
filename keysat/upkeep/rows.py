"""A table's rows as JSON lines, and back: the one form in which what is kept leaves the database, and comes into one.

Ids, moments (RFC 3339), bytes (base64) and amounts look the same from either database. A million rows take no more
memory than a thousand.
"""

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypedDict, TypeVar, cast

import msgspec
from sqlalchemy import JSON, Column, Connection, MetaData, Table, func, inspect, select, text
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import TypeDecorator

from keysat.infra.tables import Base
from keysat.infra.work import Read

T = TypeVar("T")

CHUNK = 1000
CHUNK_BYTES = 16 * 1024 * 1024
REVISION_TABLE = "alembic_version"

_encoder = msgspec.json.Encoder()


def tables() -> Sequence[Table]:
    """All of the main database, those first that others refer to."""
    return Base.metadata.sorted_tables


async def one_moment(read: Read) -> None:
    """Whatever is read from now on, it is the shop of this moment. SQLite's transactions are so by themselves."""
    if read.dialect == "postgresql":
        await read.session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


async def lines(read: Read, columns: Sequence[Column[Any]]) -> AsyncGenerator[tuple[bytes, int], None]:
    """Lines of at most 1,000 rows of one table, and how many; in the order of its key."""
    [table] = {column.table for column in columns}
    query = select(*columns).order_by(*table.primary_key.columns)
    names = [str(column.name) for column in columns]
    found = await read.session.stream(query, execution_options={"yield_per": CHUNK})
    async for part in found.partitions():
        yield _encoder.encode_lines([dict(zip(names, row, strict=True)) for row in part]), len(part)


class Loader:
    """Puts lines into a table, which may be that of an older schema: only the columns that are `named` are there."""

    def __init__(self, table: Table, named: Sequence[str]) -> None:
        kept = [table.columns[name] for name in dict.fromkeys(named)]
        # A null of SQL and one of JSON were told alike. SQL's is what a query finds.
        twins = [Column(one.name, JSON(none_as_null=True) if isinstance(one.type, JSON) else one.type) for one in kept]
        self._insert = Table(table.name, MetaData(), *twins).insert()
        shape = cast("Any", TypedDict)(table.name, {one.name: _kind(one) for one in kept})
        self._decoder: msgspec.json.Decoder[dict[str, Any]] = msgspec.json.Decoder(shape)

    async def load(self, connection: AsyncConnection, text: Iterable[bytes]) -> int:
        """Returns how many rows it were. Raises msgspec.DecodeError, also for what no column can hold."""
        total = 0
        for part in _lines_parted(text):
            rows = self._decoder.decode_lines(b"".join(part))
            await connection.run_sync(self._put, rows)
            total += len(rows)
        return total

    def _put(self, connection: Connection, rows: list[dict[str, Any]]) -> None:
        try:
            connection.execute(self._insert, rows)
        except (OverflowError, StatementError) as error:
            if isinstance(error, DBAPIError):
                raise
            raise msgspec.DecodeError(f"a row of {self._insert.table.name} holds what no shop has") from error


def _kind(column: Column[Any]) -> Any:
    stored = column.type.impl_instance if isinstance(column.type, TypeDecorator) else column.type
    kind = Any if isinstance(stored, JSON) else stored.python_type
    return kind | None if column.nullable else kind


def parted(things: Iterable[T], most: int) -> Iterator[list[T]]:
    each = iter(things)
    while part := list(islice(each, most)):
        yield part


def _lines_parted(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """So many, or so large, as are put in at once."""
    part: list[bytes] = []
    size = 0
    for line in lines:
        part.append(line)
        size += len(line)
        if len(part) == CHUNK or size >= CHUNK_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


async def number_on(connection: AsyncConnection) -> None:
    """What numbers its rows by itself goes on after the last one that was put in. SQLite does so anyway."""
    if connection.dialect.name != "postgresql":
        return
    for table in tables():
        counted = table.autoincrement_column
        if counted is not None:
            last = await connection.scalar(select(func.max(counted)))
            if last is not None:
                set_on = text("SELECT setval(pg_get_serial_sequence(:table, :column), :last)")
                await connection.execute(set_on, {"table": table.name, "column": counted.name, "last": last})


def strangers(connection: Connection) -> set[str]:
    """Tables that are in the database and not ours, or the other way round."""
    there = set(inspect(connection).get_table_names()) - {REVISION_TABLE}
    return there ^ {table.name for table in tables()}


def empty(connection: Connection) -> None:
    """Of all rows, those first that refer to others. Tables of a later schema are not there."""
    there = set(inspect(connection).get_table_names())
    for table in reversed(tables()):
        if table.name in there:
            connection.execute(table.delete())


def is_empty(connection: Connection) -> bool:
    """There is no table at all."""
    return not inspect(connection).get_table_names()
