"""Everything in the shop as JSON lines, in the names of its tables and columns; what opens something is left out.

Left out are what is sealed, hashes, salts, and the facts of the house, which are the admin key's hash and the like.
"""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Column, ColumnElement, LargeBinary, String, Table, select

from keysat.infra.events import Actor
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest
from keysat.upkeep.happenings import ShopExported
from keysat.upkeep.rows import lines, one_moment, tables
from keysat.upkeep.shop import Shop

SECRET_WORDS = frozenset({"hash", "sealed", "salt", "secret", "token", "password", "seed"})
PUBLIC = frozenset({"issuer_keys.public_key"})
SECRET = frozenset({"house.value", "payment_attempts.echo", "orders.invoice_id"})


def told(table: Table) -> Sequence[Column[Any]]:
    """The columns of a table that open nothing."""
    return [column for column in table.columns if not is_secret(column)]


def is_secret(column: Column[Any]) -> bool:
    """By its name and type, so that a new column is told only if it is plain that it may be."""
    name = f"{column.table.name}.{column.name}"
    if name in PUBLIC:
        return False
    named = isinstance(column.type, String) and not SECRET_WORDS.isdisjoint(column.name.split("_"))
    return name in SECRET or named or isinstance(column.type, LargeBinary)


async def write_out(shop: Shop, folder: Path, actor: Actor) -> int:
    """A file for each table, `<table>.jsonl`, in a new folder. Returns how many rows. Raises BadRequest, OSError."""
    _make(folder)
    total = 0
    async with shop.read() as read:
        await one_moment(read)
        for table in tables():
            with (folder / f"{table.name}.jsonl").open("wb") as file:
                async for text, count in lines(read, told(table)):
                    file.write(text)
                    total += count
    await _record(shop, actor)
    return total


async def stream(shop: Shop, actor: Actor) -> AsyncGenerator[bytes, None]:
    """The same in one stream: lines of `{"table": ..., "row": {...}}`."""
    await _record(shop, actor)
    async with shop.read() as read:
        await one_moment(read)
        for table in tables():
            before = b'{"table":%b,"row":' % msgspec.json.encode(str(table.name))
            async for text, _ in lines(read, told(table)):
                yield b"".join(before + line + b"}\n" for line in text.splitlines())


async def rows_of(read: Read, table: Table, *which: ColumnElement[bool]) -> list[dict[str, Any]]:
    """Some rows of a table, as they are told."""
    columns = told(table)
    query = select(*columns).where(*which).order_by(*table.primary_key.columns)
    # Rows of a bare table come as a cursor, and SQLite's writer has the plain driver's (`infra/sqlite_writer.py`).
    found = await read.session.run_sync(lambda session: session.execute(query).all())
    names = [str(column.name) for column in columns]
    return [dict(zip(names, row, strict=True)) for row in found]


def _make(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise BadRequest(f"There is something in {folder} already: choose another folder.")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


async def _record(shop: Shop, actor: Actor) -> None:
    async with shop.work(actor) as work:
        work.record(ShopExported(shop.mode))
