"""One gapless order for readers, whoever commits when; and a chain that tells where it was touched."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import delete, select, text, update

from keysat.infra.events import Actor, Happening
from keysat.infra.seals import BATCH, Head, Verification, seal, verify
from keysat.infra.store import Store
from keysat.infra.tables import EventOrigin, EventRow, EventSeal
from keysat.kit.ids import SeededChance
from tests.conftest import NOON, TESTER
from tests.postgres import Cluster

BUYER = Actor("buyer", credential="session-7", address="192.0.2.7")


class Rung(Happening, frozen=True, tag="test.rung"):
    bell: str
    times: int


async def ring(store: Store, *bells: str, actor: Actor = TESTER) -> None:
    async with store.work(NOON, actor) as work:
        for bell in bells:
            work.record(Rung(bell, 1))


async def order_of(store: Store) -> list[tuple[int, str]]:
    async with store.read() as read:
        rows = await read.session.execute(
            select(EventSeal.position, EventRow.subject)
            .join(EventRow, EventRow.id == EventSeal.event_id)
            .order_by(EventSeal.position)
        )
        return [(position, subject) for position, subject in rows]


async def checked(store: Store) -> Verification:
    async with store.read() as read:
        return await verify(read)


async def test_events_are_sealed_in_the_order_they_were_written(store: Store) -> None:
    await ring(store, "a", "b")
    await ring(store, "c")
    assert await seal(store, NOON) == 3
    assert await order_of(store) == [(1, "a"), (2, "b"), (3, "c")]
    assert await checked(store) == Verification(3)


async def test_sealing_again_changes_nothing(store: Store) -> None:
    await ring(store, "a")
    await seal(store, NOON)
    assert await seal(store, NOON) == 0
    assert await order_of(store) == [(1, "a")]


async def test_an_empty_chain_is_whole(store: Store) -> None:
    assert await seal(store, NOON) == 0
    assert await checked(store) == Verification(0)


async def test_a_sealer_wakes_the_readers(store: Store) -> None:
    woken = store.listen("seals")
    assert await seal(store, NOON) == 0
    assert not woken.is_set()
    await ring(store, "a")
    await seal(store, NOON)
    assert woken.is_set()


async def test_more_than_a_batch_is_sealed_and_verified_in_one_go(store: Store) -> None:
    await ring(store, *(f"bell-{number}" for number in range(BATCH + 3)))
    assert await seal(store, NOON) == BATCH + 3
    assert [position for position, _ in await order_of(store)] == list(range(1, BATCH + 4))
    assert await checked(store) == Verification(BATCH + 3)


async def test_fifty_writers_and_two_sealers_at_once_leave_no_gap(store: Store, other_store: Store) -> None:
    busy = True

    async def keep_sealing(where: Store) -> None:
        while busy:
            await seal(where, NOON)
            await asyncio.sleep(0)

    sealers = [asyncio.create_task(keep_sealing(where)) for where in (store, other_store)]
    names = [f"bell-{number}" for number in range(50)]
    await asyncio.gather(
        *(ring((store, other_store)[number % 2], name, name + "'") for number, name in enumerate(names))
    )
    busy = False
    await asyncio.gather(*sealers)
    await asyncio.gather(seal(store, NOON), seal(other_store, NOON))
    order = await order_of(store)
    assert [position for position, _ in order] == list(range(1, 101))
    assert sorted(subject for _, subject in order) == sorted(names + [name + "'" for name in names])
    assert await checked(other_store) == Verification(100)


async def test_a_lower_id_that_turns_up_later_gets_a_later_position(store: Store) -> None:
    for event_id in (10, 5):
        body = f'{{"bell":"{event_id}"}}'
        async with store.work(NOON, TESTER) as work:
            work.session.add(
                EventRow(id=event_id, at=NOON, name="test.rung", subject=str(event_id), actor="test", body=body)
            )
        await seal(store, NOON)
    assert await order_of(store) == [(1, "10"), (2, "5")]
    assert await checked(store) == Verification(2)


async def test_what_is_open_while_others_commit_is_not_lost(postgres: Cluster) -> None:
    """SQLite has one writer at a time; PostgreSQL numbers rows before they are committed."""
    with postgres.database() as url:
        slow, quick = Store(url, SeededChance(1)), Store(url, SeededChance(2))
        async with slow.work(NOON, TESTER) as work:
            row = EventRow(at=NOON, name="test.rung", subject="slow", actor="test", body='{"bell":"slow"}')
            work.session.add(row)
            await work.session.flush()
            await ring(quick, "quick")
            assert await seal(quick, NOON) == 1
            async with quick.read() as read:
                assert row.id < (await read.session.scalars(select(EventSeal.event_id))).one()
        assert await seal(quick, NOON) == 1
        assert await order_of(slow) == [(1, "quick"), (2, "slow")]
        assert await checked(slow) == Verification(2)
        await slow.close()
        await quick.close()


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


async def test_sealing_goes_on_while_the_chain_is_verified(postgres: Cluster) -> None:
    """Each statement of PostgreSQL sees what is committed by then: new seals are no broken ones."""
    with postgres.database() as url:
        store, other = Store(url, SeededChance(1)), Store(url, SeededChance(2))
        await ring(store, *(f"bell-{number}" for number in range(BATCH)))
        await seal(store, NOON)
        busy = True

        async def keep_ringing() -> None:
            while busy:
                await ring(other, "more")
                await seal(other, NOON)

        ringing = asyncio.create_task(keep_ringing())
        found = [await checked(store) for _ in range(20)]
        busy = False
        await ringing
        assert [one for one in found if one.broken_at is not None] == []
        await store.close()
        await other.close()
