"""The writer's connection to SQLite: what waits, waits in a thread, and who is cancelled leaves nothing behind."""

import asyncio
import sqlite3
import time
from collections.abc import Generator
from contextlib import closing, suppress

import pytest
from sqlalchemy import Executable, delete, text
from sqlalchemy.exc import IntegrityError

from keysat.infra.house import fact, write_once
from keysat.infra.locks import BUSY_SECONDS
from keysat.infra.sqlite_writer import STATEMENTS_AT_A_STRETCH
from keysat.infra.store import Store
from keysat.infra.tables import House
from tests.conftest import NOON, TESTER

pytestmark = pytest.mark.once

LONGEST_FREEZE_SECONDS = BUSY_SECONDS / 2  # of the loop: a machine is busy with other tests, too
COUNTED = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5000000) SELECT max(i) FROM n"


@pytest.fixture
def other(store: Store) -> Generator[sqlite3.Connection, None, None]:
    """Another process."""
    with closing(sqlite3.connect(str(store.url.database), isolation_level=None)) as connection:
        yield connection


async def longest_freeze(stop: asyncio.Event) -> float:
    """Seconds that the loop stood still at the most, until `stop`."""
    longest = 0.0
    while not stop.is_set():
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - began)
    return longest


async def write(store: Store, name: str) -> None:
    async with store.work(NOON, TESTER) as work:
        await write_once(work, name, "here")


async def test_another_process_at_the_lock_stops_the_writer_and_not_the_loop(
    store: Store, other: sqlite3.Connection
) -> None:
    await write(store, "before")
    stop = asyncio.Event()
    watching = asyncio.create_task(longest_freeze(stop))
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(write(store, "after"))
    await asyncio.sleep(0.3)
    assert not writing.done()
    other.execute("COMMIT")
    await writing
    stop.set()
    assert await watching < LONGEST_FREEZE_SECONDS
    async with store.read() as read:
        assert await fact(read, "after") == "here"


@pytest.mark.parametrize(
    "statement",
    [
        delete(House).where(text(f"({COUNTED}) < 0")),
        text(f"UPDATE house SET value = value WHERE ({COUNTED}) < 0").execution_options(is_long=True),
    ],
)
async def test_a_long_statement_does_not_stop_the_loop(store: Store, statement: Executable) -> None:
    await write(store, "before")
    stop = asyncio.Event()
    watching = asyncio.create_task(longest_freeze(stop))
    async with store.work(NOON, TESTER) as work:
        began = time.perf_counter()
        await work.session.execute(statement)
        took = time.perf_counter() - began
    stop.set()
    assert await watching < max(took / 2, 0.1)


async def test_a_verb_of_many_statements_gives_way_to_others(store: Store) -> None:
    others = 0

    async def count() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    async with store.work(NOON, TESTER) as work:
        counting = asyncio.create_task(count())
        for number in range(5 * STATEMENTS_AT_A_STRETCH):
            await write_once(work, f"fact {number}", "here")
        assert others >= 5
    counting.cancel()


async def test_who_is_cancelled_at_any_moment_leaves_no_open_transaction(
    store: Store, other: sqlite3.Connection
) -> None:
    """Cancelled while it waits for the lock, in the middle, at the commit: the next one can write."""
    for moment in range(40):
        holds = moment % 4 == 0
        if holds:
            other.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(write(store, f"fact {moment}"))
        await asyncio.sleep(moment / 8000)
        writing.cancel()
        await asyncio.sleep(0.01)
        if holds:
            other.execute("COMMIT")
        with suppress(asyncio.CancelledError):
            await writing
        other.execute("BEGIN IMMEDIATE")  # raises while anyone else has the lock
        other.execute("COMMIT")
    await write(store, "last")


async def test_what_fails_at_the_commit_is_rolled_back(store: Store) -> None:
    """A foreign key that is checked at the end."""
    for _ in range(2):
        with pytest.raises(IntegrityError):
            async with store.work(NOON, TESTER) as work:
                await write_once(work, "mode", "live")
                await work.session.execute(text("PRAGMA defer_foreign_keys=ON"))
                await work.session.execute(text("INSERT INTO event_origins (event_id, salt) VALUES (99, 'x')"))
    async with store.read() as read:
        assert await fact(read, "mode") is None
