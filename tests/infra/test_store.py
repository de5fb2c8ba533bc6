"""The store's promises, on both databases."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from keysat.infra import store as store_module
from keysat.infra.events import Happening
from keysat.infra.house import fact, write_once
from keysat.infra.store import Store
from keysat.infra.tables import EventRow, House
from keysat.kit.errors import Conflict, KeysatError, NotFound, Unavailable
from tests.conftest import NOON, TESTER


class Counted(Happening, frozen=True, tag="test.counted"):
    what: str
    number: int


async def add_one(store: Store) -> None:
    async with store.work(NOON, TESTER) as work:
        house = await work.session.get_one(House, "count", with_for_update=True)
        value = int(house.value)
        await asyncio.sleep(0)
        house.value = str(value + 1)


async def test_forty_concurrent_read_modify_writes_all_count(store: Store) -> None:
    async with store.work(NOON, TESTER) as work:
        await write_once(work, "count", "0")
    await asyncio.gather(*(add_one(store) for _ in range(40)))
    async with store.read() as read:
        assert await fact(read, "count") == "40"


async def test_what_raises_leaves_neither_rows_nor_events(store: Store) -> None:
    with pytest.raises(KeysatError):
        async with store.work(NOON, TESTER) as work:
            await write_once(work, "mode", "live")
            work.record(Counted("x", 1))
            raise Conflict("no")
    async with store.read() as read:
        assert await fact(read, "mode") is None
        assert (await read.session.scalars(select(EventRow))).all() == []


async def test_a_savepoint_that_fails_takes_its_events_with_it(store: Store) -> None:
    async with store.work(NOON, TESTER) as work:
        work.record(Counted("kept", 1))
        with pytest.raises(Conflict):
            async with work.savepoint():
                await write_once(work, "mode", "live")
                work.record(Counted("lost", 2))
                raise Conflict("no")
        work.record(Counted("kept too", 3))
    async with store.read() as read:
        assert await fact(read, "mode") is None
        assert (await read.session.scalars(select(EventRow.subject).order_by(EventRow.id))).all() == [
            "kept",
            "kept too",
        ]


async def test_a_reader_cannot_write(store: Store) -> None:
    async with store.work(NOON, TESTER) as work:
        await write_once(work, "mode", "live")
    with pytest.raises((DBAPIError, KeysatError)):
        async with store.read() as read:
            await read.session.execute(update(House).values(value="sandbox"))
    async with store.read() as read:
        assert await fact(read, "mode") == "live"


async def test_what_is_written_once_stays(store: Store) -> None:
    async with store.work(NOON, TESTER) as work:
        assert await write_once(work, "mode", "live") == "live"
        assert await write_once(work, "mode", "sandbox") == "live"


async def test_a_point_read_sees_what_was_committed_and_no_more(store: Store) -> None:
    from sqlalchemy import bindparam

    statement = select(House.value, House.written_at).where(House.name == bindparam("name"))
    assert await store.point(statement, "mode") is None
    async with store.work(NOON, TESTER) as work:
        await write_once(work, "mode", "live")
        assert await store.point(statement, "mode") is None
    assert await store.point(statement, "mode") == ("live", NOON)


async def test_listeners_are_woken_by_the_commit_and_not_before(store: Store) -> None:
    woken = store.listen("events")
    async with store.work(NOON, TESTER) as work:
        work.record(Counted("x", 1))
        assert not woken.is_set()
    assert woken.is_set()


async def test_a_missing_row_is_named(store: Store) -> None:
    async with store.read() as read:
        with pytest.raises(NotFound, match="house"):
            await read.get(House, "nothing")


async def test_who_waits_in_vain_for_a_connection_is_told_that_the_shop_is_busy(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "CONNECTION_SECONDS", 0.05)
    crowded = Store(database_url)
    with pytest.raises(Unavailable):
        async with AsyncExitStack() as visitors:
            while True:
                read = await visitors.enter_async_context(crowded.read())
                await read.session.execute(text("SELECT 1"))
    async with crowded.read() as read:
        assert await read.session.scalar(text("SELECT 1")) == 1
    await crowded.close()
