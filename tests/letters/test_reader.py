"""The reader: each letter once, whatever happens, and none for who gave no address."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from keysat.infra.happenings import AttentionSettled
from keysat.infra.reader import LAZY
from keysat.infra.seals import seal
from keysat.letters.reader import YOUNGEST, follow
from keysat.letters.tables import LetterBucket, LetterCursor, LetterKind, LetterStatus
from tests.catalog.shelf import a_tier
from tests.checkout.counter import BUYER
from tests.letters.conftest import Desk


async def position(desk: Desk) -> int:
    async with desk.room.store.read() as read:
        return await read.session.scalar(select(LetterCursor.position)) or 0


async def test_who_bought_with_an_address_is_owed_a_receipt_and_others_are_not(desk: Desk):
    order = await desk.give()
    await desk.give(None)
    assert await desk.follow() == 1
    [row] = await desk.rows()
    assert (row.kind, row.subject, row.status) == (LetterKind.RECEIPT, order.id, LetterStatus.WAITING)
    assert row.next_try_at == desk.counter.now
    assert await desk.follow() == 0


async def test_an_event_that_is_not_sealed_yet_is_not_read(desk: Desk):
    await desk.give()
    assert await follow(desk.room.store, desk.counter.now) == 0
    assert await desk.follow() == 1


async def test_of_daemons_that_read_at_once_each_letter_is_written_once(desk: Desk):
    for _ in range(5):
        await desk.give()
    await seal(desk.room.store, desk.counter.now)
    made = await asyncio.gather(*(follow(desk.room.store, desk.counter.now) for _ in range(20)))
    assert sum(made) == 5
    assert len(await desk.rows()) == 5


async def test_events_read_again_make_no_second_letter(desk: Desk):
    await desk.give()
    await desk.follow()
    async with desk.room.store.work(desk.counter.now, BUYER) as work:
        (await work.session.scalars(select(LetterCursor))).one().position = 0
    await desk.follow()
    assert len(await desk.rows()) == 1


async def test_letters_that_nobody_paid_for_take_turns_and_hold_up_no_others(desk: Desk):
    await a_tier(desk.room.store, "free", price_sats_override=0)
    start = desk.counter.now
    orders = [await desk.counter.buy("free", buyer_email=f"victim+{number}@example.org") for number in range(8)]
    await desk.counter.buy("free", buyer_email="other@example.org")
    await desk.sell("victim@example.org")
    await desk.give("victim@example.org")
    for _ in range(2):
        await desk.ask_for_link(orders[7], "victim+7@example.org")
    await desk.follow()
    waits = [
        (row.kind, (row.next_try_at - start) // timedelta(minutes=1)) for row in await desk.rows() if row.next_try_at
    ]
    assert sorted(waits) == sorted(
        [(LetterKind.RECEIPT, minutes) for minutes in (0, 0, 0, 0, 0, 10, 20, 30, 0, 0, 0)]
        + [(LetterKind.RECOVERY, 0)] * 2
    )
    assert len(await desk.run()) == 5 + 3 + 1  # the older of the two links is closed
    desk.counter.clock.move(start + timedelta(minutes=30))
    assert len(await desk.run()) == 3
    desk.counter.clock.move(start + timedelta(minutes=90))
    await desk.counter.buy("free", buyer_email="victim@example.org")
    assert len(await desk.run()) == 1
    async with desk.room.store.read() as read:
        assert len((await read.session.scalars(select(LetterBucket))).all()) == 1  # what is full again is forgotten


async def test_old_news_make_no_letter(desk: Desk):
    await desk.give()
    desk.counter.clock.move(desk.counter.now + YOUNGEST)
    await desk.give()
    await desk.follow()
    assert len(await desk.rows()) == 1


async def test_more_letters_than_fit_into_one_round_are_all_written(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("keysat.infra.reader.BATCH", 2)
    for _ in range(5):
        await desk.give()
    assert await desk.follow() == 5


async def test_events_that_concern_nobody_cost_no_write_each(desk: Desk):
    async def happen(times: int) -> None:
        async with desk.room.store.work(desk.counter.now, BUYER) as work:
            for number in range(times):
                work.record(AttentionSettled(number, "test", "x"))

    await happen(10)
    await desk.follow()
    assert await position(desk) == 0
    await happen(LAZY)
    await desk.follow()
    assert await position(desk) > LAZY
    await desk.give()
    desk.counter.clock.move(desk.counter.now + timedelta(minutes=1))
    assert await desk.follow() == 1
