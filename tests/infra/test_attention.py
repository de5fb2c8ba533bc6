import pytest

from keysat.infra.attention import attention, clear, settle, settle_about
from keysat.infra.store import Store
from keysat.kit.errors import BadRequest, NotFound
from keysat.kit.paging import encode_cursor
from tests.catalog.shelf import events
from tests.conftest import NOON, TESTER


async def call(store: Store, *subjects: str) -> None:
    async with store.work(NOON, TESTER) as work:
        for subject in subjects:
            await work.attend("order_review", subject, f"Look at {subject}.")


async def listed(store: Store, *, include_settled: bool = False) -> list[str]:
    subjects: list[str] = []
    cursor = None
    async with store.read() as read:
        while True:
            page = await attention(read, limit=2, cursor=cursor, include_settled=include_settled)
            subjects += [view.subject for view in page.items]
            if (cursor := page.next_cursor) is None:
                return subjects


async def test_what_is_open_comes_first_and_the_latest_call_before_the_others(store: Store):
    await call(store, "a", "b", "c", "d", "e")
    async with store.work(NOON, TESTER) as work:
        await settle_about(work, "b")
        await settle_about(work, "e")
    assert await listed(store) == ["d", "c", "a"]
    assert await listed(store, include_settled=True) == ["d", "c", "a", "e", "b"]


async def test_what_is_settled_is_told_once_and_stays_settled(store: Store):
    await call(store, "a")
    async with store.read() as read:
        [found] = (await attention(read)).items
    async with store.work(NOON, TESTER) as work:
        first = await settle(work, found.id)
    async with store.work(NOON.replace(hour=13), TESTER) as work:
        again = await settle(work, found.id)
    assert first.settled_at == again.settled_at == NOON
    assert await events(store) == ["attention.settled"]
    await call(store, "a")
    assert await listed(store) == []


async def test_a_condition_that_comes_back_is_called_anew_once_it_was_settled(store: Store):
    async def refused(hour: int) -> bool:
        async with store.work(NOON.replace(hour=hour), TESTER) as work:
            return await work.attend("provider_refuses", "a", f"since {hour}", again=True)

    assert await refused(12)
    assert not await refused(13)
    async with store.work(NOON.replace(hour=14), TESTER) as work:
        await settle_about(work, "a")
    assert await refused(15)
    async with store.read() as read:
        [found] = (await attention(read)).items
    assert (found.reason, found.called_at.hour, found.settled_at) == ("since 15", 15, None)


async def test_what_ended_by_itself_leaves_the_list_and_can_come_back(store: Store):
    await call(store, "a", "b")
    async with store.work(NOON, TESTER) as work:
        await clear(work, "a", "order_review", "another")
        await clear(work, "b", "another")
    assert await listed(store, include_settled=True) == ["b"]
    await call(store, "a")
    assert await listed(store) == ["a", "b"]


@pytest.mark.parametrize("number", [7, -1, 2**63, 2**80])
async def test_what_is_not_on_the_list_cannot_be_settled(store: Store, number: int):
    with pytest.raises(NotFound, match=str(number)):
        async with store.work(NOON, TESTER) as work:
            await settle(work, number)


@pytest.mark.parametrize("cursor", ["mine", encode_cursor(1), encode_cursor("x", "y", "z")])
async def test_a_foreign_cursor_is_refused(store: Store, cursor: str):
    with pytest.raises(BadRequest):
        async with store.read() as read:
            await attention(read, cursor=cursor)
