"""Migrations at start: all or nothing, once, and never by a release that is too old for the database."""

import asyncio
import shutil
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError

from keysat.infra.migrate import SCRIPTS, BrokenReferences, Migrated, NewerDatabase, migrate
from keysat.infra.store import Store
from tests.conftest import NOON, TESTER

REVISION = '''
"""{name}"""
import sqlalchemy as sa
from alembic import op

revision = "{name}"
down_revision = {down!r}


def upgrade() -> None:
    {act}
'''


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """The package's own way in, with no revision yet."""
    folder = tmp_path / "100 % scripts"
    (folder / "versions").mkdir(parents=True)
    shutil.copy(SCRIPTS / "env.py", folder)
    shutil.copy(SCRIPTS / "script.py.mako", folder)
    return folder


def write(scripts: Path, name: str, down: str | None, act: str) -> None:
    (scripts / "versions" / f"{name}.py").write_text(REVISION.format(name=name, down=down, act=act))


def make(table: str) -> str:
    return f'op.create_table("{table}", sa.Column("id", sa.Integer(), primary_key=True))'


async def tables(store: Store) -> set[str]:
    async with store.engine.connect() as connection:
        return set(await connection.run_sync(lambda inner: inspect(inner).get_table_names())) & {"shelf", "box"}


async def stamp(store: Store, revision: str) -> None:
    async with store.work(NOON, TESTER) as work:
        await work.session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


async def test_all_revisions_run_at_the_first_start_and_none_at_the_second(store: Store, scripts: Path) -> None:
    write(scripts, "1_0001", None, make("shelf"))
    write(scripts, "1_0002", "1_0001", make("box"))
    assert await migrate(store, scripts) == Migrated(None, "1_0002")
    assert await tables(store) == {"shelf", "box"}
    assert await migrate(store, scripts) == Migrated("1_0002", "1_0002")


async def test_a_later_release_brings_only_what_is_new(store: Store, scripts: Path) -> None:
    write(scripts, "1_0001", None, make("shelf"))
    await migrate(store, scripts)
    write(scripts, "1_0002", "1_0001", make("box"))
    assert await migrate(store, scripts) == Migrated("1_0001", "1_0002")


async def test_a_migration_that_fails_leaves_nothing_of_the_whole_run_behind(store: Store, scripts: Path) -> None:
    write(scripts, "1_0001", None, make("shelf"))
    write(scripts, "1_0002", "1_0001", make("box") + '; op.execute("INSERT INTO nowhere VALUES (1)")')
    with pytest.raises(DBAPIError):
        await migrate(store, scripts)
    assert await tables(store) == set()
    write(scripts, "1_0002", "1_0001", make("box"))
    assert await migrate(store, scripts) == Migrated(None, "1_0002")


ON_THE_SHELF = """
    op.create_table("shelf", sa.Column("id", sa.Integer(), primary_key=True))
    owner = sa.ForeignKey("shelf.id", ondelete="CASCADE")
    op.create_table("box", sa.Column("id", sa.Integer(), primary_key=True), sa.Column("shelf_id", sa.Integer(), owner))
    op.execute("INSERT INTO shelf VALUES (1)")
    op.execute("INSERT INTO box VALUES (1, 1)")
"""
REBUILD = """
    with op.batch_alter_table("shelf", recreate="always") as shelf:
        shelf.add_column(sa.Column("colour", sa.String(), nullable=True))
"""


async def count_of_boxes(store: Store) -> int:
    async with store.read() as read:
        return await read.session.scalar(text("SELECT count(*) FROM box")) or 0


@pytest.mark.once
async def test_what_refers_to_a_table_outlives_its_rebuilding(store: Store, scripts: Path) -> None:
    write(scripts, "1_0001", None, ON_THE_SHELF.strip())
    await migrate(store, scripts)
    write(scripts, "1_0002", "1_0001", REBUILD.strip())
    assert (await migrate(store, scripts)).after == "1_0002"
    assert await count_of_boxes(store) == 1
    async with store.work(NOON, TESTER) as work:
        await work.session.execute(text("DELETE FROM shelf"))  # from here on references hold as ever
    assert await count_of_boxes(store) == 0


async def test_a_migration_that_takes_away_what_others_refer_to_is_undone(store: Store, scripts: Path) -> None:
    write(scripts, "1_0001", None, ON_THE_SHELF.replace("CASCADE", "RESTRICT").strip())
    await migrate(store, scripts)
    write(scripts, "1_0002", "1_0001", 'op.execute("DELETE FROM shelf")')
    with pytest.raises((BrokenReferences, DBAPIError)):  # PostgreSQL says it itself
        await migrate(store, scripts)
    assert await count_of_boxes(store) == 1


async def test_two_daemons_that_start_at_once_migrate_once(store: Store, other_store: Store, scripts: Path) -> None:
    write(scripts, "1_0001", None, make("shelf"))
    done = await asyncio.gather(migrate(store, scripts), migrate(other_store, scripts))
    assert sorted(str(one.before) for one in done) == ["1_0001", "None"]


async def test_a_newer_database_of_the_same_major_is_left_as_it_is(store: Store, scripts: Path) -> None:
    write(scripts, "1_0001", None, make("shelf"))
    await migrate(store, scripts)
    await stamp(store, "1_0009")
    assert await migrate(store, scripts) == Migrated("1_0009", "1_0009", is_ahead=True)


async def test_a_database_of_a_later_major_is_refused(store: Store, scripts: Path) -> None:
    write(scripts, "1_0001", None, make("shelf"))
    await migrate(store, scripts)
    await stamp(store, "2_0001")
    with pytest.raises(NewerDatabase, match="2_0001"):
        await migrate(store, scripts)
