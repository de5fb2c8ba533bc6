"""Bring a database to this release's schema, at start, on a connection and in a transaction of our own.

A migration that fails leaves nothing behind. Revisions are named `<major>_<number>`: within a major number migrations
only add, so the previous release starts on a newer database of the same major with a warning, and refuses a newer one.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

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
    async with store.engine.connect() as connection:
        return await connection.run_sync(_migrate, scripts)


def _migrate(connection: Connection, scripts: Path) -> Migrated:
    with _tables_may_be_rebuilt(connection), connection.begin():
        done = _upgrade(connection, scripts)
        if connection.dialect.name == "sqlite" and done.before != done.after:
            for row in connection.exec_driver_sql("PRAGMA foreign_key_check").mappings():
                raise BrokenReferences(f"A row of {row['table']} refers to one of {row['parent']} that is not there.")
        return done


@contextmanager
def _tables_may_be_rebuilt(connection: Connection) -> Generator[None]:
    """SQLite changes a table by making it anew; with foreign keys on, dropping the old one takes its referrers along.

    They are switched outside of a transaction only (https://sqlite.org/lang_altertable.html, section 7).
    """
    if connection.dialect.name != "sqlite":
        yield
        return
    cursor = connection.connection.cursor()
    try:
        cursor.execute("PRAGMA foreign_keys=OFF")
        yield
    finally:
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()


def _upgrade(connection: Connection, folder: Path) -> Migrated:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(locks.advisory(locks.MIGRATE))  # two daemons start at once
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))  # ConfigParser reads single ones
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    head = scripts.get_current_head()
    assert head is not None  # noqa: S101  the package ships at least one
    before = MigrationContext.configure(connection).get_current_revision()
    if before is not None and before not in {script.revision for script in scripts.walk_revisions()}:
        if int(before.split("_")[0]) > int(head.split("_")[0]):
            raise NewerDatabase(
                f"The database was written by a newer Keysat (schema {before}, this one knows {head}). "
                "Install that release again, or restore a backup made before the update."
            )
        return Migrated(before, before, is_ahead=True)
    command.upgrade(config, "head")
    return Migrated(before, head)
