"""Drilled: a shop that goes on selling is backed up, and restored elsewhere with every key sold, or not at all."""

import asyncio
import io
import re
import zipfile
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import Connection, Engine, event, inspect, select, text, update

from keysat.customers.tables import Customer
from keysat.infra.chain import Head, verify
from keysat.infra.house import MODE, write_once
from keysat.infra.migrate import known_revisions, migrate, rebuilding, upgrade
from keysat.infra.seals import seal
from keysat.infra.settings import Settings, load
from keysat.infra.store import Store
from keysat.infra.tables import AttentionRow, EventRow
from keysat.infra.vault import KEY_FILE, Vault
from keysat.kit.errors import BadRequest
from keysat.kit.ids import SeededChance
from keysat.payments.tables import ConnectionRow
from keysat.subscriptions.tables import Subscription
from keysat.upkeep.archive import LINE_BYTES_MAX, TABLES_MAX, Lines, Manifest, opened, written
from keysat.upkeep.backup import FAILED, SUBJECT, back_up
from keysat.upkeep.doctor import violations
from keysat.upkeep.drill import SEALED, drill
from keysat.upkeep.opening import VAULT_CHECK, CannotOpen, open_shop
from keysat.upkeep.restore import RESTORED, restore
from keysat.upkeep.rows import lines, tables
from keysat.upkeep.shop import Shop
from tests.conftest import NOON, TESTER
from tests.postgres import Cluster
from tests.stories.conftest import Story
from tests.web.conftest import browse, doors_of
from tests.web.selling import open_front

VAULT_KEY = "A" * 43  # of the counter's vault
PASSPHRASE = "correct horse battery staple"
MOVES_ON = {"events", "event_seals", "attention", "subscriptions", "house"}
"""Tables that a restore itself writes to."""


class Noon:
    def now(self):
        return NOON


@pytest.fixture
async def story(empty_database_url: str, tmp_path: Path) -> AsyncGenerator[Story, None]:
    """A shop whose schema came from its migrations."""
    store = Store(empty_database_url, SeededChance(1))
    await migrate(store)
    async with open_front(store, tmp_path) as front:
        async with store.work(front.counter.now, TESTER) as work:
            await write_once(work, MODE, front.shop.mode)
            await write_once(work, VAULT_CHECK, front.shop.vault.check_value())
        yield Story(front, front.shop)
    await store.close()


@pytest.fixture
def elsewhere(database_kind: str, postgres: Cluster, tmp_path: Path) -> Generator[Settings, None, None]:
    """A host without a shop, and with the other kind of database."""
    settings = load({"KEYSAT_VAULT_KEY": VAULT_KEY}, data_dir=tmp_path / "elsewhere")
    if database_kind == "postgresql":
        yield settings
    else:
        with postgres.empty_database() as url:
            yield replace(settings, database_url=url)


@asynccontextmanager
async def reopened(settings: Settings, story: Story) -> AsyncGenerator[Shop, None]:
    away = httpx.MockTransport(lambda _: httpx.Response(503))
    async with open_shop(settings, clock=story.counter.clock, chance=SeededChance(7), transport=away) as shop:
        yield shop


class CutOff(BaseException):
    """Not an Exception: nothing of the program may catch it and go on."""


@contextmanager
def cut_off_at(beginning: str) -> Generator[None, None, None]:
    """Whoever would execute such a statement is dead: PostgreSQL sees a connection that says no goodbye."""

    def die(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(beginning):
            if connection.dialect.name == "postgresql":
                connection.connection.driver_connection.terminate()  # pyright: ignore[reportOptionalMemberAccess]
            raise CutOff

    event.listen(Engine, "before_cursor_execute", die)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", die)


async def sell_on(story: Story) -> None:
    """What a daemon does meanwhile: without end."""
    while True:
        await story.counter.buy()
        await seal(story.shop.store, story.now)


async def backed_up(story: Story, to: Path, passphrase: str | None = None) -> tuple[Path, Manifest]:
    selling = asyncio.create_task(sell_on(story))
    await asyncio.sleep(0.05)
    try:
        return await back_up(story.shop, to, passphrase, TESTER)
    finally:
        selling.cancel()
        with suppress(asyncio.CancelledError):
            await selling


async def test_every_key_that_was_sold_validates_on_another_host_with_another_database(
    story: Story, elsewhere: Settings, tmp_path: Path
) -> None:
    await story.tier("monthly", 2500)
    keys = [
        await story.buy("pro"),
        await story.buy("monthly", buyer_email="ann@example.org", buyer_note="Hi\n\u2028 ü"),
    ]
    async with story.shop.work(TESTER) as work:  # a saved card pays the next month
        connection = await work.session.scalar(select(ConnectionRow.id))
        await work.session.execute(update(Subscription).values(profile_id="card", profile_connection_id=connection))
    await story.run("seal")
    path, manifest = await backed_up(story, tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    due = (await story.subscription()).paid_through
    story.counter.clock.move(due + timedelta(minutes=1))

    with cut_off_at("INSERT INTO event_seals"), pytest.raises((CutOff, CannotOpen)):
        await restore(elsewhere, path, None, story.counter.clock, SeededChance(3))
    done = await restore(elsewhere, path, None, story.counter.clock, SeededChance(3))  # as if nothing had been begun
    assert (done.manifest, done.held, done.chain.flaw) == (manifest, 1, "")
    async with reopened(elsewhere, story) as shop:
        await seal(shop.store, shop.now())
        async with shop.read() as read:
            assert await violations(read, shop.now()) == []
            assert (await verify(read, Head.read(manifest.head))).broken_at is None
            assert (await read.session.scalars(select(Subscription.parked_reason))).all() == [RESTORED]
            assert RESTORED in (await read.session.scalars(select(AttentionRow.kind))).all()
        async with browse(doors_of(shop)) as http:
            for key in keys:
                told = await http.post("/v1/validate", json={"key": key, "product_slug": "app"})
                assert told.json()["ok"] is True, told.text
        _, again = await back_up(shop, tmp_path, None, TESTER)
    same = {one.name: one for one in manifest.tables if one.name not in MOVES_ON}
    assert {one.name: one for one in again.tables if one.name not in MOVES_ON} == same
    with pytest.raises(CannotOpen, match="something in this database"):
        await restore(elsewhere, path, None, story.counter.clock, SeededChance(3))


@pytest.mark.once
async def test_what_is_not_as_it_was_written_is_refused_before_anything_is_made(story: Story, tmp_path: Path) -> None:
    elsewhere = load({"KEYSAT_VAULT_KEY": VAULT_KEY}, data_dir=tmp_path / "elsewhere")
    path, manifest = await back_up(story.shop, tmp_path / "shop.zip", None, TESTER)
    whole, target = path.read_bytes(), elsewhere.data_dir

    async def refused(
        content: bytes, words: str, settings: Settings = elsewhere, passphrase: str | None = None
    ) -> None:
        path.write_bytes(content)
        with pytest.raises(CannotOpen, match=words):
            await restore(settings, path, PASSPHRASE, Noon(), SeededChance(3))
        assert not target.exists()

    for place in [*range(0, len(whole), len(whole) // 50), len(whole) - 1]:
        await refused(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :], "not as it was written")
    for content in (b"", whole[:-1], whole + b"\n", b"not a zip" * 50):
        await refused(content, "no backup")
    await refused(whole, "needs its vault key", replace(elsewhere, vault_key=None))
    other = load({"KEYSAT_VAULT_KEY": "B" * 43}, data_dir=target).vault_key
    await refused(whole, "KEYSAT_VAULT_KEY is not the vault key", replace(elsewhere, vault_key=other))
    with pytest.raises(BadRequest, match="is there already"):
        await back_up(story.shop, path, None, TESTER)
    first, *others = manifest.tables
    for number, (changed, words) in enumerate(
        (
            (replaced(manifest, schema="1_9999"), "with that release"),
            (replaced(manifest, tables=[*others, replaced(first, sha256="0" * 64)]), "altered"),
            (replaced(manifest, tables=[*others, replaced(first, bytes=first.bytes + 1)]), "not as large"),
            (replaced(manifest, tables=[*others, first, first]), "lists .* 2 times"),
            (replaced(manifest, tables=others), "lists .* 0 times"),
            (None, "a row of products holds what no shop has"),
        )
    ):
        forged = tmp_path / f"forged-{number}.zip"
        with zipfile.ZipFile(path) as old, written(forged, SeededChance(4)) as draft:
            for entry in manifest.tables:
                with draft.table(entry.name, entry.columns) as write:
                    text = old.read(f"{entry.name}.jsonl")
                    if changed is None and entry.name == "products":
                        text = re.sub(rb'"price_value":\d+', b'"price_value":%d' % 2**63, text)
                    write(text, entry.rows)
            draft.finish(changed or replaced(manifest, tables=draft.entries))
        with pytest.raises(CannotOpen, match=words):
            await restore(elsewhere, forged, None, Noon(), SeededChance(3))
    assert not (target / KEY_FILE).exists()


@pytest.mark.once
async def test_what_would_fill_memory_or_disk_is_refused(tmp_path: Path) -> None:
    at = {"made_at": NOON, "keysat": "1", "schema": "1_0001", "mode": "live", "head": "0:", "vault_check": ""}
    for name, content, words in (("airy", b"x" * 8_000_000, "250 times"), ("many", b"", "more than 500 tables")):
        with written(tmp_path / name, SeededChance(4)) as draft:
            for number in range(1 if content else TABLES_MAX + 1):
                with draft.table(f"t{number}", []) as write:
                    write(content, 1)
            draft.finish(msgspec.convert(at | {"vault_key": None, "tables": draft.entries}, Manifest))
        with pytest.raises(BadRequest, match=words), opened(tmp_path / name):
            pass
    for moment in ("9999-12-31T23:59:59Z", "2026-01-15T12:00:00"):
        with pytest.raises(msgspec.ValidationError, match="no moment of any backup"):
            msgspec.convert(at | {"made_at": moment, "vault_key": None, "tables": []}, Manifest)
    row = b"x" * (LINE_BYTES_MAX + 1)
    with pytest.raises(BadRequest, match="too large for any of ours"):
        list(Lines("t", io.BytesIO(row)))
    with (
        pytest.raises(BadRequest, match="too large for a backup"),
        written(tmp_path / "long", SeededChance(4)) as draft,
        draft.table("t", []) as write,
    ):
        write(row, 1)
    with pytest.raises(BadRequest, match="cannot be written"), written(tmp_path / "gone" / "x", SeededChance(4)):
        pass


@pytest.mark.once
async def test_a_drill_says_what_a_backup_is_worth_and_an_altered_shop_is_restored_only_where_it_is_accepted(
    story: Story, tmp_path: Path
) -> None:
    await story.run("seal")
    sealed = {str(column) for table in tables() for column in table.columns if "sealed_" in f"{column.name}_"}
    untried = {"events.sealed", "idempotent_answers.answer_sealed"}  # no secret; and forgotten after a day
    assert {str(column.expression) for column, _ in SEALED} == sealed - untried
    elsewhere = load({"KEYSAT_VAULT_KEY": VAULT_KEY}, data_dir=tmp_path / "elsewhere")
    path, _ = await back_up(story.shop, tmp_path / "well.zip", None, TESTER)
    well = await drill(path, bytes(32), None, violations, SeededChance(3))
    assert (well.chain.flaw, well.wrong, (well.opened or 0) >= 2) == ("", [], True)
    with pytest.raises(BadRequest, match="without a passphrase"):
        await drill(path, None, PASSPHRASE, violations, SeededChance(3))

    async with story.shop.work(TESTER) as work:
        await work.session.execute(update(EventRow).where(EventRow.id == 2).values(body="{}"))
    path, _ = await back_up(story.shop, tmp_path / "altered.zip", None, TESTER)
    flaw = "The chain of events is broken at position 2: event 2 was altered."
    altered = await drill(path, bytes([1]) * 32, None, violations, SeededChance(3))
    assert (altered.wrong[0], "not the vault key" in altered.wrong[1], altered.opened) == (flaw, True, None)
    with pytest.raises(CannotOpen, match=f"Nothing was restored.*{flaw}"):
        await restore(elsewhere, path, None, story.counter.clock, SeededChance(3))
    done = await restore(elsewhere, path, None, story.counter.clock, SeededChance(3), accepts_altered=True)
    assert done.chain.flaw == flaw


def replaced(struct: Any, **values: Any) -> Any:
    return type(struct)(**{name: getattr(struct, name) for name in struct.__struct_fields__} | values)


async def asked_for(story: Story) -> list[str]:
    async with story.shop.read() as read:
        return list(await read.session.scalars(select(AttentionRow.kind).where(AttentionRow.subject == SUBJECT)))


@pytest.mark.once
async def test_with_a_passphrase_the_file_alone_brings_the_shop_back(story: Story, tmp_path: Path) -> None:
    scheduled = {"KEYSAT_BACKUP_DIR": str(tmp_path), "KEYSAT_BACKUP_PASSPHRASE_FILE": "words"}
    settings = load({"KEYSAT_VAULT_KEY": VAULT_KEY, **scheduled}, data_dir=tmp_path)
    story.shop = replace(story.shop, settings=settings)
    key = await story.buy("pro")
    async with story.shop.work(TESTER) as work:
        await work.attend(FAILED, SUBJECT, "No backup was made: it is gone.")
    for name, words in (("elsewhere", PASSPHRASE), ("bare.zip", None)):  # not where, or what, the daemon would make
        (tmp_path / "elsewhere").mkdir(exist_ok=True)
        await back_up(story.shop, tmp_path / name, words, TESTER)
        assert await asked_for(story) == [FAILED]
    with pytest.raises(BadRequest, match="at least 12"):
        await back_up(story.shop, tmp_path, "too short", TESTER)
    path, _ = await back_up(story.shop, tmp_path, PASSPHRASE, TESTER)
    assert await asked_for(story) == []  # by hand it is made as well
    bare = load({}, data_dir=tmp_path / "restored")
    with pytest.raises(CannotOpen, match="not the passphrase"):
        await restore(bare, path, PASSPHRASE + "!", Noon(), SeededChance(3))
    with pytest.raises(CannotOpen, match="give the passphrase"):
        await restore(bare, path, None, Noon(), SeededChance(3))
    assert not bare.data_dir.exists()
    await restore(bare, path, PASSPHRASE, story.counter.clock, SeededChance(3))
    assert (bare.data_dir / KEY_FILE).stat().st_mode & 0o777 == 0o600
    async with reopened(bare, story) as shop, browse(doors_of(shop)) as http:
        assert (await http.post("/v1/validate", json={"key": key, "product_slug": "app"})).json()["ok"] is True


@pytest.mark.once
async def test_a_backup_of_an_older_schema_is_brought_to_this_one(tmp_path: Path) -> None:
    """Of the eleventh migration, with what was there then."""
    path, schema = tmp_path / "old.zip", "1_0011"
    store = Store(f"sqlite+aiosqlite:///{tmp_path / 'old.db'}", SeededChance(1))
    async with rebuilding(store) as connection:
        await connection.run_sync(upgrade, to=schema)
        there = await connection.run_sync(_columns)
        await connection.run_sync(_fill_as_then)
    with written(path, SeededChance(2)) as draft:
        async with store.read() as read:
            for table in tables():
                kept = [column for column in table.columns if column.name in there.get(table.name, ())]
                if kept:
                    with draft.table(str(table.name), [str(column.name) for column in kept]) as write:
                        async for part, count in lines(read, kept):
                            write(part, count)
        check = Vault(bytes(32), SeededChance(2)).check_value()
        at = {"made_at": NOON, "keysat": "0.9", "schema": schema, "mode": "live", "head": "0:", "vault_check": check}
        draft.finish(msgspec.convert(at | {"vault_key": None, "tables": draft.entries}, Manifest))
    await store.close()
    now_here = load({"KEYSAT_VAULT_KEY": VAULT_KEY}, data_dir=tmp_path / "elsewhere")
    await restore(now_here, path, None, Noon(), SeededChance(3))
    store = Store(now_here.database_url, SeededChance(1))
    assert (await migrate(store)).before == known_revisions()[0]
    async with store.read() as read:
        assert (await read.session.scalars(select(Customer.email))).all() == ["ann@example.org"]
    await store.close()


def _fill_as_then(connection: Connection) -> None:
    ann = {"id": "01" * 16, "email": "ann@example.org", "email_normal": "ann@example.org", "at": "2026-01-15 12:00:00"}
    connection.execute(
        text("INSERT INTO customers (id, email, email_normal, created_at) VALUES (:id, :email, :email_normal, :at)"),
        ann,
    )
    connection.execute(
        text(
            "INSERT INTO events (at, name, subject, actor, body, sealed) "
            """VALUES (:at, 'shop.set_up', 'live', 'setup', '{"mode":"live"}', 0)"""
        ),
        ann,
    )
    connection.execute(text("INSERT INTO house (name, value, written_at) VALUES ('mode', 'live', :at)"), ann)


def _columns(connection: Connection) -> dict[str, set[str]]:
    found = inspect(connection)
    return {table: {column["name"] for column in found.get_columns(table)} for table in found.get_table_names()}
