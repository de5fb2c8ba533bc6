"""Leases: work is shared, never done by two at the same time, and never lost with the one who took it."""

import asyncio
from datetime import datetime, timedelta

from keysat.infra.leases import give_back, take
from keysat.infra.store import Store
from tests.conftest import NOON, TESTER
from tests.infra.errands import Errand, ErrandStatus

MINUTE = timedelta(minutes=1)


async def write(store: Store, *due: datetime | None) -> None:
    async with store.work(NOON, TESTER) as work:
        for number, moment in enumerate(due, 1):
            work.session.add(Errand(id=number, status=ErrandStatus.OPEN, due_at=moment))


async def taken(store: Store, now: datetime, most: int = 10, seconds: int = 60) -> tuple[str, list[int]]:
    async with store.work(now, TESTER) as work:
        holder, rows = await take(work, Errand, Errand.due_at <= now, Errand.due_at, most=most, seconds=seconds)
        return holder, [row.id for row in rows]


async def returned(store: Store, now: datetime, row_id: int, holder: str, **values: object) -> bool:
    async with store.work(now, TESTER) as work:
        return await give_back(work, Errand, row_id, holder, **values)


async def row_of(store: Store, row_id: int) -> Errand:
    async with store.read() as read:
        return await read.get(Errand, row_id)


async def test_the_oldest_due_rows_come_first_and_no_more_than_asked_for(errands: Store) -> None:
    await write(errands, NOON, NOON - 2 * MINUTE, NOON - MINUTE, NOON + MINUTE, None)
    assert (await taken(errands, NOON, most=2))[1] == [2, 3]
    assert (await taken(errands, NOON))[1] == [1]


async def test_the_rows_show_their_lease(errands: Store) -> None:
    await write(errands, NOON)
    async with errands.work(NOON, TESTER) as work:
        known = await work.get(Errand, 1)
        holder, rows = await take(work, Errand, Errand.due_at <= NOON, Errand.due_at, most=1, seconds=90)
        assert [row is known for row in rows] == [True]
        assert (known.leased_by, known.leased_until) == (holder, NOON + timedelta(seconds=90))


async def test_what_is_leased_is_not_taken_again(errands: Store) -> None:
    await write(errands, NOON)
    assert (await taken(errands, NOON))[1] == [1]
    assert (await taken(errands, NOON + timedelta(seconds=60)))[1] == []


async def test_two_takers_never_get_the_same_row(errands: Store, other_store: Store) -> None:
    await write(errands, *(NOON for _ in range(100)))
    stores = (errands, other_store)
    lots = await asyncio.gather(*(taken(stores[number % 2], NOON, most=7) for number in range(20)))
    rows = [row_id for _, lot in lots for row_id in lot]
    assert len(rows) == len(set(rows))
    rest = [(await taken(errands, NOON, most=100))[1]]  # what takers skipped while it was locked
    assert sorted(rows + rest[0]) == list(range(1, 101))
    assert len({holder for holder, _ in lots}) == 20
    assert max(len(lot) for _, lot in lots) <= 7


async def test_giving_back_writes_the_result_and_frees_the_row(errands: Store) -> None:
    await write(errands, NOON)
    holder, _ = await taken(errands, NOON)
    assert await returned(errands, NOON, 1, holder, result="fine", due_at=NOON + MINUTE)
    row = await row_of(errands, 1)
    assert (row.leased_by, row.leased_until, row.result, row.due_at) == (None, None, "fine", NOON + MINUTE)
    assert not await returned(errands, NOON, 1, holder, result="again")


async def test_a_lease_that_ran_out_belongs_to_the_next_and_the_first_holder_is_told(
    errands: Store, other_store: Store
) -> None:
    await write(errands, NOON)
    first, _ = await taken(errands, NOON)
    second, rows = await taken(other_store, NOON + timedelta(seconds=61))
    assert rows == [1]
    assert not await returned(errands, NOON + timedelta(seconds=62), 1, first, result="late")
    row = await row_of(errands, 1)
    assert (row.leased_by, row.result) == (second, None)
    assert await returned(other_store, NOON + timedelta(seconds=63), 1, second, result="in time")


async def test_a_lease_that_ran_out_and_that_nobody_took_may_still_be_given_back(errands: Store) -> None:
    await write(errands, NOON)
    holder, _ = await taken(errands, NOON)
    assert await returned(errands, NOON + timedelta(hours=1), 1, holder, result="slow")
