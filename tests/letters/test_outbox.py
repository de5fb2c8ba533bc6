"""The outbox: each letter goes out once the server takes it, and what cannot go is seen by a person."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from keysat.infra.mail import Mailer
from keysat.infra.setting_values import Smtp
from keysat.infra.tables import AttentionRow, EventRow
from keysat.kit.errors import NotFound
from keysat.kit.states import IllegalStep
from keysat.letters.invariants import broken
from keysat.letters.outbox import AGAIN, LEASE_SECONDS, letters, retry, send_due
from keysat.letters.tables import LetterRow, LetterStatus
from tests.checkout.counter import BUYER
from tests.conftest import NOON
from tests.letters.conftest import SENDER, Desk
from tests.running import free_port

MINUTE = timedelta(minutes=1)


async def attention(desk: Desk) -> list[str]:
    async with desk.room.store.read() as read:
        return list(await read.session.scalars(select(AttentionRow.reason).where(AttentionRow.settled_at.is_(None))))


async def wrong(desk: Desk) -> list[str]:
    async with desk.room.store.read() as read:
        return await broken(read, NOON)


async def test_a_letter_is_sent_once(desk: Desk):
    await desk.give()
    assert len(await desk.run()) == 1
    [row] = await desk.rows()
    assert (row.status, row.status_at, row.next_try_at) == (LetterStatus.SENT, desk.counter.now, None)
    assert await desk.run() == []
    async with desk.room.store.read() as read:
        [told] = await read.session.scalars(select(EventRow).where(EventRow.name == "letter.sent"))
    assert "example.org" not in told.body.lower()
    assert await wrong(desk) == []


async def test_what_may_pass_is_tried_again_with_the_same_message_id(desk: Desk):
    desk.office.data_answer = "451 4.7.1 greylisted"
    await desk.give()
    assert await desk.run() == []
    [row] = await desk.rows()
    assert (row.failures, row.next_try_at) == (1, desk.counter.now + MINUTE)
    assert "451" in (row.failure or "")
    desk.office.data_answer = "250 OK"
    assert await desk.run() == []
    desk.counter.clock.move(desk.counter.now + MINUTE)
    [letter] = await desk.run()
    assert letter["Message-ID"] == f"<{row.id}@shop.test>"
    assert await attention(desk) == []


async def test_a_server_that_stays_away_parks_the_letter_in_the_end(desk: Desk):
    desk.office.data_answer = "451 later"
    await desk.give()
    for delay in (*AGAIN.delays, MINUTE):
        await desk.run()
        desk.counter.clock.move(desk.counter.now + delay)
    [row] = await desk.rows()
    assert (row.status, row.failures, row.next_try_at) == (LetterStatus.PARKED, len(AGAIN.delays) + 1, None)
    assert len(await attention(desk)) == 1
    assert await wrong(desk) == []


async def test_a_refusal_for_good_parks_it_at_once_and_a_person_sends_it_again(desk: Desk):
    desk.office.rcpt_answer = "550 5.1.1 <ann@example.org> unknown"
    await desk.give()
    await desk.run()
    [row] = await desk.rows()
    assert row.status is LetterStatus.PARKED
    [reason] = await attention(desk)
    assert "550" in reason
    assert "ann@" not in reason + (row.failure or "")
    assert await wrong(desk) == []
    for answer in ("550 5.1.1 still unknown", "250 OK"):
        assert len(await attention(desk)) == 1  # also when it is refused a second time
        desk.office.rcpt_answer = answer
        async with desk.room.store.work(desk.counter.now, BUYER) as work:
            await retry(work, row.id)
        assert await attention(desk) == []
        arrived = await desk.run()
    assert len(arrived) == 1
    assert await attention(desk) == []
    with pytest.raises(IllegalStep):
        async with desk.room.store.work(desk.counter.now, BUYER) as work:
            await retry(work, row.id)
    with pytest.raises(NotFound):
        async with desk.room.store.work(desk.counter.now, BUYER) as work:
            await retry(work, work.new_id())


async def test_words_that_cannot_be_written_are_told_to_the_seller(desk: Desk):
    desk.room.words.mkdir()
    (desk.room.words / "receipt.txt").write_text("{{ licence_key }}")
    await desk.give()
    assert await desk.run() == []
    [reason] = await attention(desk)
    assert "licence_key" in reason


async def test_one_letters_trouble_is_not_the_others(desk: Desk):
    for email in ("ann@example.org", "bob@example.org", "eve@example.org"):
        await desk.give(email)
    await desk.follow()
    desk.office.refuses = {"bob@example.org"}
    arrived = await desk.run()
    assert sorted(letter["To"] for letter in arrived) == ["ann@example.org", "eve@example.org"]
    assert [row.status for row in await desk.rows()].count(LetterStatus.PARKED) == 1


async def test_a_daemon_that_died_leaves_its_letter_to_the_next(desk: Desk):
    await desk.give()
    await desk.follow()
    async with desk.room.store.work(desk.counter.now, BUYER) as work:
        row = (await work.session.scalars(select(LetterRow))).one()
        row.leased_by, row.leased_until = "the dead", desk.counter.now + timedelta(seconds=LEASE_SECONDS)
    assert await desk.run() == []
    desk.counter.clock.move(desk.counter.now + timedelta(seconds=LEASE_SECONDS + 1))
    assert len(await desk.run()) == 1


async def test_a_letter_holds_nothing_that_is_secret_or_personal(desk: Desk):
    order = await desk.give()
    await desk.run()
    [row] = await desk.rows()
    stored = repr(vars(row))
    assert all(secret not in stored for secret in ("xample.org", "LIC1-", order.invoice_id))


async def test_letters_are_listed_newest_first_and_by_status(desk: Desk):
    first = await desk.give()
    await desk.run()
    desk.counter.clock.move(desk.counter.now + MINUTE)
    second = await desk.give()
    await desk.follow()
    async with desk.room.store.read() as read:
        assert [row.subject for row in await letters(read, None)] == [second.id, first.id]
        assert [row.subject for row in await letters(read, LetterStatus.SENT)] == [first.id]


async def test_a_server_that_is_not_there_keeps_the_letter_waiting(desk: Desk):
    await desk.give()
    await desk.follow()
    room = replace(desk.room, mailer=Mailer(Smtp(host="127.0.0.1", port=free_port()), SENDER))
    assert await send_due(room, desk.counter.now) == 1
    [row] = await desk.rows()
    assert (row.status, row.next_try_at) == (LetterStatus.WAITING, desk.counter.now + MINUTE)
