"""Bring a database to this release's schema, at start, on a connection and in a transaction of our own.

A migration that fails leaves nothing behind. Revisions are named `<major>_<number>`: within a major number migrations
only add, so the previous release starts on a newer database of the same major with a warning, and refuses a newer one.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

import keysat
from keysat.infra import locks
from keysat.infra.store import Store

SCRIPTS = Path(keysat.__file__).parent / "migrations"


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
    return MigrationContext.configure(connection).get_current_revision()


def known_revisions(folder: Path = SCRIPTS) -> Sequence[str]:
    """The newest first."""
    return [script.revision for script in ScriptDirectory(str(folder)).walk_revisions()]


def upgrade(connection: Connection, folder: Path = SCRIPTS, to: str = "head") -> Migrated:
    """In the caller's transaction. Raises NewerDatabase."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(locks.advisory(locks.MIGRATE))  # two daemons start at once
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))  # ConfigParser reads single ones
    config.attributes["connection"] = connection
    revisions = known_revisions(folder)
    head = revisions[0]
    before = revision_of(connection)
    if before is not None and before not in revisions:
        if int(before.split("_")[0]) > int(head.split("_")[0]):
            raise NewerDatabase(
                f"The database was written by a newer Keysat (schema {before}, this one knows {head}). "
                "Install that release again, or restore a backup made before the update."
            )
        return Migrated(before, before, is_ahead=True)
    command.upgrade(config, to)
    return Migrated(before, head if to == "head" else to)
