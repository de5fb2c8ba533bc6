"""A chain that tells where it was touched."""

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import delete, select, text, update

from keysat.infra.chain import Head, Verification, verify
from keysat.infra.events import Actor
from keysat.infra.house import MODE, write_once
from keysat.infra.seals import seal
from keysat.infra.store import Store
from keysat.infra.tables import EventOrigin, EventRow, EventSeal
from keysat.webhooks.tables import DispatchCursor
from tests.conftest import NOON, TESTER
from tests.infra.test_seals import checked, ring

BUYER = Actor("buyer", credential="session-7", address="192.0.2.7")


@pytest.fixture
async def chain(store: Store) -> Store:
    """Four sealed events; the third was caused by a person."""
    await ring(store, "a", "b")
    await ring(store, "c", actor=BUYER)
    await ring(store, "d")
    await seal(store, NOON)
    assert await checked(store) == Verification(4)
    return store


@pytest.mark.parametrize(
    "change",
    [
        {"body": '{"bell":"b","times":9}'},
        {"name": "test.hushed"},
        {"actor": "cli"},
        {"origin_hash": "0" * 64},
        {"subject": "c"},
    ],
)
async def test_an_altered_event_is_found_where_it_stands(chain: Store, change: dict[str, str]) -> None:
    async with chain.work(NOON, TESTER) as work:
        await work.session.execute(update(EventRow).where(EventRow.subject == "b").values(**change))
    found = await checked(chain)
    assert found.broken_at == 2
    assert "was altered" in found.reason


@pytest.mark.parametrize("position", [1, 2, 4])
async def test_a_removed_seal_is_found_where_it_stood(chain: Store, position: int) -> None:
    async with chain.work(NOON, TESTER) as work:
        await work.session.execute(delete(EventSeal).where(EventSeal.position == position))
    assert (await checked(chain)).broken_at == position


async def test_a_chain_that_was_cut_off_altogether_is_found(chain: Store) -> None:
    async with chain.work(NOON, TESTER) as work:
        await work.session.execute(delete(EventSeal))
    assert (await checked(chain)).broken_at == 1


async def test_a_shop_without_its_events_is_found_and_an_end_that_somebody_has_read(chain: Store) -> None:
    """ASVS 5.0, 16.4.2: without a head that was noted, what stands elsewhere in the shop tells of what was there."""
    async with chain.work(NOON, TESTER) as work:
        await write_once(work, MODE, "live")
        work.session.add(DispatchCursor(name="dispatch", position=4, moved_at=NOON))
    assert await checked(chain) == Verification(4)
    async with chain.work(NOON, TESTER) as work:
        await work.session.execute(delete(EventSeal).where(EventSeal.event_id == 4))
        await work.session.execute(delete(EventRow).where(EventRow.id == 4))
    read_on = "webhook_cursor has read up to position 4"
    assert await checked(chain) == Verification(3, 4, read_on)
    async with chain.work(NOON, TESTER) as work:
        for table in (EventSeal, EventOrigin, EventRow, DispatchCursor):
            await work.session.execute(delete(table))
    assert await checked(chain) == Verification(0, 1, "a shop was set up here, and no event tells of it")


@pytest.mark.once
@pytest.mark.parametrize(
    ("column", "value"),
    [("at", "'soon'"), ("at", "x'00'"), ("at", "7"), ("body", "x'ff'"), ("body", "7"), ("name", "x'00'")],
)
async def test_an_event_that_cannot_be_read_any_more_was_altered(chain: Store, column: str, value: str) -> None:
    """SQLite takes anything for a column."""
    with closing(sqlite3.connect(str(chain.url.database))) as other, other:
        other.execute(f"UPDATE events SET {column} = {value} WHERE subject = 'c'")
    found = await checked(chain)
    assert (found.broken_at, found.reason) == (3, "event 3 was altered")


async def test_a_seal_before_the_first_is_found(chain: Store) -> None:
    await ring(chain, "e")
    async with chain.work(NOON, TESTER) as work:
        event_id = await work.session.scalar(select(EventRow.id).where(EventRow.subject == "e"))
        work.session.add(EventSeal(position=0, event_id=event_id, hash="0" * 64))
    assert (await checked(chain)).broken_at is not None


async def test_a_seal_that_was_written_anew_breaks_the_next_one(chain: Store) -> None:
    async with chain.work(NOON, TESTER) as work:
        await work.session.execute(update(EventSeal).where(EventSeal.position == 2).values(hash="0" * 64))
    assert (await checked(chain)).broken_at == 2


async def test_an_altered_origin_is_found(chain: Store) -> None:
    async with chain.work(NOON, TESTER) as work:
        await work.session.execute(update(EventOrigin).values(address="198.51.100.1"))
    found = await checked(chain)
    assert (found.broken_at, "origin" in found.reason) == (3, True)


async def test_an_erased_origin_keeps_the_chain_whole(chain: Store) -> None:
    async with chain.work(NOON, TESTER) as work:
        await work.session.execute(delete(EventOrigin))
    assert await checked(chain) == Verification(4)


async def test_an_event_that_is_taken_out_is_missed_where_it_stood(chain: Store) -> None:
    """ASVS 5.0, 16.4.2: what was logged is not modified unnoticed, also by whoever can switch off foreign keys."""
    if chain.is_sqlite:
        with closing(sqlite3.connect(str(chain.url.database))) as other, other:
            other.execute("DELETE FROM events WHERE subject = 'b'")
    else:
        async with chain.work(NOON, TESTER) as work:
            await work.session.execute(text("SET LOCAL session_replication_role = replica"))
            await work.session.execute(delete(EventRow).where(EventRow.subject == "b"))
    assert await checked(chain) == Verification(2, 2, "event 2 is missing")


async def test_a_mark_that_was_taken_away_is_found(chain: Store) -> None:
    async with chain.work(NOON, TESTER) as work:
        await work.session.execute(update(EventRow).where(EventRow.subject == "b").values(sealed=False))
    assert (await checked(chain)).broken_at == 2


async def test_a_head_that_was_noted_shows_what_was_cut_off_with_its_events_and_what_was_written_anew(
    chain: Store,
) -> None:
    """ASVS 5.0, 16.4.2: a tail that is gone altogether leaves no trace inside: the head is printed, to be kept."""
    async with chain.read() as read:
        noted = (await verify(read)).head
        assert noted.position == 4
        assert await verify(read, noted) == Verification(4)
        assert (await verify(read, Head(3, "0" * 64))).broken_at == 3
    async with chain.work(NOON, TESTER) as work:
        await work.session.execute(delete(EventSeal).where(EventSeal.position > 3))
        await work.session.execute(delete(EventRow).where(EventRow.subject == "d"))
    async with chain.read() as read:
        assert await verify(read) == Verification(3)
        assert await verify(read, noted) == Verification(3, 4, "it was noted to go on up to position 4")
        assert await verify(read, Head.read(str(Head()))) == Verification(3)
