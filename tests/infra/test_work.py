"""Advance as a compare-and-set, attention that is called once, and events that carry who did it."""

import asyncio

import pytest
from sqlalchemy import select

from keysat.infra.events import Actor, Happening, origin_hash
from keysat.infra.store import Store
from keysat.infra.tables import AttentionRow, EventOrigin, EventRow, EventSeal
from keysat.kit.errors import Conflict, NotFound
from keysat.kit.states import IllegalStep
from tests.conftest import NOON, TESTER
from tests.infra.errands import ERRAND, Errand, ErrandStatus, ErrandStep


class Finished(Happening, frozen=True, tag="test.finished"):
    errand: int


async def write(store: Store) -> Errand:
    async with store.work(NOON, TESTER) as work:
        row = Errand(id=1, status=ErrandStatus.OPEN, due_at=NOON)
        work.session.add(row)
    return row


async def row_of(store: Store) -> Errand:
    async with store.read() as read:
        return await read.get(Errand, 1)


async def test_a_step_writes_status_and_values_and_the_row_in_hand_knows(errands: Store) -> None:
    await write(errands)
    async with errands.work(NOON, TESTER) as work:
        row = await work.get(Errand, 1)
        await work.advance(ERRAND, row, ErrandStep.FINISH, result="fine")
        assert (row.status, row.result) == (ErrandStatus.DONE, "fine")
        assert not work.session.dirty
    stored = await row_of(errands)
    assert (stored.status, stored.result) == (ErrandStatus.DONE, "fine")


async def test_a_step_the_table_does_not_have_is_refused(errands: Store) -> None:
    await write(errands)
    with pytest.raises(IllegalStep):
        async with errands.work(NOON, TESTER) as work:
            row = await work.get(Errand, 1)
            await work.advance(ERRAND, row, ErrandStep.FINISH)
            await work.advance(ERRAND, row, ErrandStep.DROP)
    assert (await row_of(errands)).status == ErrandStatus.OPEN


async def test_a_step_from_a_state_that_is_no_more_conflicts_and_writes_nothing(errands: Store) -> None:
    stale = await write(errands)
    async with errands.work(NOON, TESTER) as work:
        await work.advance(ERRAND, await work.get(Errand, 1), ErrandStep.FINISH, result="first")
    with pytest.raises(Conflict):
        async with errands.work(NOON, TESTER) as work:
            await work.advance(ERRAND, stale, ErrandStep.DROP, result="second")
    assert stale.status == ErrandStatus.OPEN
    assert (await row_of(errands)).result == "first"


async def test_of_many_at_once_one_takes_the_step(errands: Store, other_store: Store) -> None:
    await write(errands)
    rows = [await row_of(errands) for _ in range(8)]

    async def finish(store: Store, row: Errand) -> None:
        async with store.work(NOON, TESTER) as work:
            await work.advance(ERRAND, row, ErrandStep.FINISH)
            work.record(Finished(1))

    stores = (errands, other_store)
    done = await asyncio.gather(
        *(finish(stores[number % 2], row) for number, row in enumerate(rows)), return_exceptions=True
    )
    assert all(isinstance(one, Conflict) for one in done if one is not None)
    assert done.count(None) == 1
    async with errands.read() as read:
        assert len((await read.session.scalars(select(EventRow))).all()) == 1


async def test_attention_is_called_once_however_many_call_at_once(store: Store, other_store: Store) -> None:
    async def call(where: Store, reason: str) -> bool:
        async with where.work(NOON, TESTER) as work:
            return await work.attend("paid_twice", "order-1", reason)

    stores = (store, other_store)
    called = await asyncio.gather(*(call(stores[number % 2], f"reason {number}") for number in range(12)))
    assert called.count(True) == 1
    async with store.read() as read:
        rows = (await read.session.scalars(select(AttentionRow))).all()
    assert [(row.kind, row.subject, row.reason) for row in rows] == [
        ("paid_twice", "order-1", f"reason {called.index(True)}")
    ]


async def test_what_was_settled_does_not_call_again(store: Store) -> None:
    async with store.work(NOON, TESTER) as work:
        assert await work.attend("paid_twice", "order-1", "refund it")
        (await work.session.scalars(select(AttentionRow))).one().settled_at = NOON
    async with store.work(NOON, TESTER) as work:
        assert not await work.attend("paid_twice", "order-1", "refund it")
        assert await work.attend("paid_twice", "order-2", "refund it")


async def test_what_is_held_waits_and_is_read_as_committed(store: Store, other_store: Store) -> None:
    async with store.work(NOON, TESTER) as work:
        await work.attend("paid_twice", "order-1", "0")
        row_id = (await work.session.scalars(select(AttentionRow.id))).one()

    async def count(where: Store) -> None:
        async with where.work(NOON, TESTER) as work:
            await work.session.get(AttentionRow, row_id)  # known from before it was held
            row = await work.hold(AttentionRow, row_id)
            row.reason = str(int(row.reason) + 1)

    await asyncio.gather(*(count(where) for where in (store, other_store) * 6))
    async with store.read() as read:
        assert (await read.get(AttentionRow, row_id)).reason == "12"


async def test_what_is_not_there_is_named_in_words(store: Store) -> None:
    async with store.work(NOON, TESTER) as work:
        with pytest.raises(NotFound, match="There is no event seal 7"):
            await work.get(EventSeal, 7)
        with pytest.raises(NotFound, match="There is no attention 7"):
            await work.hold(AttentionRow, 7)


async def test_an_event_carries_its_origin_apart_and_only_when_there_is_one(store: Store) -> None:
    buyer = Actor("buyer", credential="session-7", address="192.0.2.7")
    for actor in (TESTER, buyer):
        async with store.work(NOON, actor) as work:
            work.record(Finished(1))
            work.record(Finished(2))
    async with store.read() as read:
        rows = (await read.session.scalars(select(EventRow).order_by(EventRow.id))).all()
        origins = (await read.session.scalars(select(EventOrigin).order_by(EventOrigin.event_id))).all()
    assert [(row.actor, row.origin_hash is None) for row in rows] == [
        ("test", True),
        ("test", True),
        ("buyer", False),
        ("buyer", False),
    ]
    assert [origin.event_id for origin in origins] == [row.id for row in rows[2:]]
    assert len({origin.salt for origin in origins}) == 2
    assert [origin_hash(origin.salt, origin.credential, origin.address) for origin in origins] == [
        row.origin_hash for row in rows[2:]
    ]
