"""Facts of a shop's whole life."""

import asyncio

from keysat.infra.house import Mode, fact, mode_of, write_once
from keysat.infra.store import Store
from keysat.infra.tables import House
from tests.conftest import NOON, TESTER


async def test_a_new_shop_has_no_mode(store: Store) -> None:
    async with store.read() as read:
        assert await mode_of(read) is None
        assert await fact(read, "anything") is None


async def test_the_mode_is_what_was_written_first(store: Store) -> None:
    async with store.work(NOON, TESTER) as work:
        await write_once(work, "mode", Mode.SANDBOX)
        await write_once(work, "mode", Mode.LIVE)
        assert await mode_of(work) is Mode.SANDBOX
        assert (await work.get(House, "mode")).written_at == NOON


async def test_of_two_daemons_that_write_at_once_both_learn_what_stands(store: Store, other_store: Store) -> None:
    async def write(where: Store, value: str) -> str:
        async with where.work(NOON, TESTER) as work:
            return await write_once(work, "vault_check", value)

    stores = (store, other_store)
    told = await asyncio.gather(*(write(stores[number % 2], str(number)) for number in range(10)))
    assert len(set(told)) == 1
    async with store.read() as read:
        assert await fact(read, "vault_check") == told[0]
