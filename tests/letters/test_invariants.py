from sqlalchemy import update

from keysat.infra.tables import AttentionRow
from keysat.letters.invariants import broken
from keysat.letters.tables import LetterRow
from tests.checkout.counter import BUYER
from tests.conftest import NOON
from tests.letters.conftest import Desk


async def wrong(desk: Desk, **values: object) -> list[str]:
    async with desk.room.store.work(desk.counter.now, BUYER) as work:
        await work.session.execute(update(LetterRow).values(**values))
    async with desk.room.store.read() as read:
        return await broken(read, NOON)


async def test_a_letter_that_nobody_would_try_is_found(desk: Desk):
    await desk.give()
    await desk.follow()
    assert await wrong(desk, failures=1) == []
    [line] = await wrong(desk, next_try_at=None)
    assert line.endswith("waits, and nobody will try it.")


async def test_a_letter_that_would_go_out_twice_is_found(desk: Desk):
    await desk.give()
    await desk.run()
    [line] = await wrong(desk, next_try_at=desk.counter.now)
    assert line.endswith("is done with, and would be tried again.")


async def test_a_parked_letter_that_no_person_was_told_of_is_found(desk: Desk):
    desk.office.rcpt_answer = "550 no"
    await desk.give()
    await desk.run()
    async with desk.room.store.work(desk.counter.now, BUYER) as work:
        await work.session.execute(update(AttentionRow).values(kind="other"))
    [line] = await wrong(desk, failures=1)
    assert line.endswith("is parked, and was never on the list.")
