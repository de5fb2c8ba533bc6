"""Bring a database to this release's schema, at start, on a connection and in a transaction of our own.

A migration that fails leaves nothing behind. Revisions are named `<major>_<number>`: within a major number migrations
only add, so the previous release starts on a newer database of the same major with a warning, and refuses a newer one.

Alembic is imported where there is something to migrate: it takes a tenth of a start, and most starts need none of it.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, column, inspect, select, table
from sqlalchemy.ext.asyncio import AsyncConnection

import keysat
from keysat.infra import locks
from keysat.infra.store import Store

SCRIPTS = Path(keysat.__file__).parent / "migrations"
_VERSION = table("alembic_version", column("version_num"))


class NewerDatabase(Exception):
    """The database belongs to a later major release; this one must not touch it."""


class BrokenReferences(Exception):
    """A migration, or what was there before, left rows that refer to nothing; nothing of the run is kept."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """Revisions before and after; `is_ahead` when the database is newer than this release, and usable all the same."""

    before: str | None
    after: str
    is_ahead: bool = False


async def migrate(store: Store, scripts: Path = SCRIPTS) -> Migrated:
    """Raises NewerDatabase, BrokenReferences."""
    async with rebuilding(store) as connection:
        done = await connection.run_sync(upgrade, scripts)
        if done.before != done.after:
            await connection.run_sync(check_references)
        return done


@asynccontextmanager
async def rebuilding(store: Store) -> AsyncGenerator[AsyncConnection, None]:
    """One transaction in which tables are made, made anew and filled. References are not asked: `check_references`.

    SQLite changes a table by making it anew; with foreign keys on, dropping the old one takes its referrers along. They
    are switched outside of a transaction only (https://sqlite.org/lang_altertable.html, section 7).
    """
    async with store.engine.connect() as connection:
        await connection.run_sync(_ask_references, "OFF")
        try:
            async with connection.begin():
                yield connection
        finally:
            await connection.run_sync(_ask_references, "ON")


def _ask_references(connection: Connection, switch: str) -> None:
    if connection.dialect.name == "sqlite":
        cursor = connection.connection.cursor()
        cursor.execute(f"PRAGMA foreign_keys={switch}")
        cursor.close()


def check_references(connection: Connection) -> None:
    """Raises BrokenReferences. (PostgreSQL has asked about each row.)"""
    if connection.dialect.name == "sqlite":
        for row in connection.exec_driver_sql("PRAGMA foreign_key_check").mappings():
            raise BrokenReferences(f"A row of {row['table']} refers to one of {row['parent']} that is not there.")


def revision_of(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION.name):
        return None
    return connection.scalar(select(_VERSION.c.version_num))


def known_revisions(folder: Path = SCRIPTS) -> Sequence[str]:
    """The newest first, by the names of their files: `1_0002_discount_codes.py`."""
    revisions = ["_".join(path.stem.split("_")[:2]) for path in (folder / "versions").glob("[0-9]*.py")]
    return sorted(revisions, key=_major_and_number, reverse=True)


def upgrade(connection: Connection, folder: Path = SCRIPTS, to: str = "head") -> Migrated:
    """In the caller's transaction. Raises NewerDatabase."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(locks.advisory(locks.MIGRATE))  # two daemons start at once
    revisions = known_revisions(folder)
    head = revisions[0]
    before, after = revision_of(connection), head if to == "head" else to
    if before is not None and before not in revisions:
        if _major_and_number(before)[0] > _major_and_number(head)[0]:
            raise NewerDatabase(
                f"The database was written by a newer Keysat (schema {before}, this one knows {head}). "
                "Install that release again, or restore a backup made before the update."
            )
        return Migrated(before, before, is_ahead=True)
    if before != after:
        _run(connection, folder, after)
    return Migrated(before, after)


def _run(connection: Connection, folder: Path, to: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))  # ConfigParser reads single ones
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def _major_and_number(revision: str) -> tuple[int, int]:
    major, number = revision.split("_")
    return int(major), int(number)
