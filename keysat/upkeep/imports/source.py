"""The database of the published server, read: its tables as they are, in our types. Nothing here writes.

Source: `published-server.md` 1. Ids are UUIDs with or without hyphens; moments are RFC 3339 with nanoseconds, or
SQLite's own text without a zone, which means UTC; flags are 0 or 1; lists and objects are JSON in text.
"""

import os
import re
import sqlite3
from collections.abc import Collection, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import msgspec

from keysat.kit.currencies import is_known
from keysat.kit.errors import BadRequest

MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
NAME_MAX = 40  # characters of what a report quotes


class Senseless(Exception):
    """Of a row that cannot come. Its text goes on after "it"."""


class Row:
    """One row. Each column is asked for as what it has to be; raises Senseless where it is something else."""

    __slots__ = ("_values",)

    def __init__(self, values: sqlite3.Row) -> None:
        self._values = values

    @property
    def name(self) -> str:
        """What a report calls it, whatever its id is."""
        value = self._values[0]
        return value[:NAME_MAX] if isinstance(value, str) and value.isprintable() else repr(value)[:NAME_MAX]

    def words(self, column: str, most: int | None = None) -> str | None:
        """Cut to `most` characters. NUL is dropped: PostgreSQL holds none in a text, and nobody meant one."""
        value: object = self._values[column]
        if value is None:
            return None
        if not isinstance(value, str):
            raise Senseless(f"has a {column} that is no text")
        return (value.replace("\0", "") if "\0" in value else value)[:most]

    def text(self, column: str, most: int | None = None) -> str:
        return there(self.words(column, most), column)

    def whole(self, column: str, most: int, least: int = 0) -> int:
        return there(self.whole_or_none(column, most, least), column)

    def whole_or_none(self, column: str, most: int, least: int = 0) -> int | None:
        value: object = self._values[column]
        if value is not None and (not isinstance(value, int) or not least <= value <= most):
            raise Senseless(f"has a {column} that is no whole number from {least} to {most}")
        return value

    def flag(self, column: str) -> bool:
        return bool(self.whole(column, 1))

    def id(self, column: str = "id") -> UUID:
        return there(self.id_or_none(column), column)

    def id_or_none(self, column: str) -> UUID | None:
        text = self.words(column)
        try:
            return UUID(text) if text is not None else None
        except ValueError:
            raise Senseless(f"has a {column} that is no UUID") from None

    def one_of(self, column: str, known: Collection[str]) -> str:
        text = self.text(column)
        if text not in known:
            raise Senseless(f"has a {column} that nobody knows")
        return text

    def currency(self, column: str) -> str:
        text = self.text(column)
        if not is_known(text):
            raise Senseless(f"has a {column} that is none")
        return text

    def moment(self, column: str) -> datetime | None:
        """None also for what nobody can read."""
        value: object = self._values[column]
        return moment(value) if isinstance(value, str) else None

    def listed(self, column: str) -> list[Any]:
        """A JSON list; nothing for what is none."""
        found = self._json(column)
        return cast("list[Any]", found) if isinstance(found, list) else []

    def mapped(self, column: str) -> dict[str, Any]:
        found = self._json(column)
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def _json(self, column: str) -> object:
        try:
            return msgspec.json.decode(self.words(column) or "null")
        except (msgspec.DecodeError, RecursionError):
            return None


def there(value: Any, column: str) -> Any:
    """What has to be. Raises Senseless."""
    if value is None:
        raise Senseless(f"has no {column}")
    return value


class Source:
    """One open file."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, table: str) -> Iterator[Row]:
        """In the order in which they were written. `table` may go on with a WHERE, here and in `count`."""
        return map(Row, self._connection.execute(f"SELECT * FROM {table} ORDER BY rowid"))  # noqa: S608  names of ours

    def count(self, table: str) -> int:
        [(count,)] = self._connection.execute(f"SELECT count(*) FROM {table}")  # noqa: S608  names of ours
        return int(count)


NEEDED = {
    "merchant_profiles": "is_default",
    "payment_providers": "webhook_secret",
    "invoices": "payment_provider_id",
    "policies": "archived_at",
    "scoped_api_keys": "extra_scopes",
    "subscriptions": "zaprite_payment_profile_id",
    "server_keys": "private_key_pem",
}
"""A column of each table that only the last releases have."""


@contextmanager
def opened(path: Path) -> Generator[Source]:
    """Reads one snapshot, without writing to the file. Raises BadRequest where it is not a database that we know."""
    if not path.is_file():
        raise BadRequest(f"There is no file {path}.")
    with closing(sqlite3.connect(_address(path.resolve()), uri=True, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        connection.text_factory = _text
        try:
            connection.execute("BEGIN")
            _check(connection)
            yield Source(connection)
        except sqlite3.DatabaseError as error:
            raise BadRequest(f"{path.name} cannot be read as a SQLite database: {error}.") from error


def _address(path: Path) -> str:
    """SQLite writes files of its own beside one with a write-ahead log. Where it cannot, nobody else does either."""
    is_still = not os.access(path.parent, os.W_OK) and not path.with_name(f"{path.name}-wal").exists()
    return f"{path.as_uri()}?mode=ro{'&immutable=1' if is_still else ''}"


def _check(connection: sqlite3.Connection) -> None:
    for table, column in NEEDED.items():
        known = {row["name"] for row in connection.execute(f"PRAGMA table_info({table})")}
        if column not in known:
            raise BadRequest(
                f"This is no database of the published server's last releases: {table}.{column} is missing. "
                "Start its newest release once, so that it brings the file up to date, stop it, and import then."
            )


def _text(raw: bytes) -> str | bytes:
    """What is not UTF-8 stays bytes, and makes no sense to whoever asks for a text."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def moment(text: str) -> datetime | None:
    """In UTC, to the microsecond, from 1970 on, as a key tells the time. None for what is no such moment."""
    if MOMENT.fullmatch(text.strip()) is None:
        return None
    try:
        read = datetime.fromisoformat(text.strip())
        read = (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return read if read.year >= 1970 else None
