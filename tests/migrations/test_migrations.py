"""The migrations that ship: from nothing to exactly what the tables say, on both databases."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from keysat.infra.migrate import SCRIPTS, known_revisions, migrate
from keysat.infra.store import Store
from keysat.schema import metadata


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


async def test_from_nothing_to_exactly_what_the_tables_say(empty_database_url: str):
    store = Store(empty_database_url)
    try:
        await migrate(store)
        async with store.engine.begin() as connection:
            assert await connection.run_sync(differences) == []
    finally:
        await store.close()


def test_the_history_is_one_line_of_numbered_revisions_which_their_files_name():
    scripts = list(ScriptDirectory(str(SCRIPTS)).walk_revisions())
    names = [script.revision for script in reversed(scripts)]
    assert names == [*reversed(known_revisions())]
    assert names == [f"1_{number:04d}" for number in range(1, len(names) + 1)]
