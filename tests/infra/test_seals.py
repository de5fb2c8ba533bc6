"""One gapless order for readers, whoever commits when."""

import asyncio

from sqlalchemy import select

from keysat.infra.chain import Verification, verify
from keysat.infra.events import Actor, Happening
from keysat.infra.seals import BATCH, seal
from keysat.infra.store import Store
from keysat.infra.tables import EventRow, EventSeal
from keysat.kit.ids import SeededChance
from tests.conftest import NOON, TESTER
from tests.postgres import Cluster


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
