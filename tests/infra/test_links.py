"""One-time links: looked at by anybody, used by one."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select

from keysat.infra.links import LIFE, make, peek, token_of, use
from keysat.infra.store import Store
from keysat.infra.tables import OneTimeLink
from keysat.infra.vault import Vault
from keysat.kit.errors import NotFound
from keysat.kit.ids import SeededChance
from tests.conftest import NOON, TESTER

VAULT = Vault(bytes(32), SeededChance(1))
SECOND = timedelta(seconds=1)


async def made(store: Store, subject: str = "an order") -> str:
    async with store.work(NOON, TESTER) as work:
        return token_of(VAULT, await make(work, VAULT, "recovery", subject))


async def is_open(store: Store, token: str, *, purpose: str = "recovery", after: timedelta = SECOND) -> bool:
    async with store.read() as read:
        return await peek(read, purpose, token, NOON + after)


async def used(store: Store, token: str, *, purpose: str = "recovery", after: timedelta = SECOND) -> str | None:
    try:
        async with store.work(NOON + after, TESTER) as work:
            return await use(work, purpose, token)
    except NotFound:
        return None


async def test_of_a_hundred_who_use_one_link_at_once_one_gets_in(store: Store) -> None:
    token = await made(store)
    answers = await asyncio.gather(*(used(store, token) for _ in range(100)))
    assert sorted(answers, key=str) == [*[None] * 99, "an order"]
    assert not await is_open(store, token)


async def test_looking_uses_nothing_up(store: Store) -> None:
    token = await made(store)
    assert [await is_open(store, token) for _ in range(3)] == [True] * 3
    assert await used(store, token) == "an order"


async def test_it_works_for_half_an_hour(store: Store) -> None:
    token = await made(store)
    assert await is_open(store, token, after=LIFE - SECOND)
    assert not await is_open(store, token, after=LIFE)
    assert await used(store, token, after=LIFE) is None


async def test_what_is_undone_leaves_it_unused(store: Store) -> None:
    token = await made(store)
    with pytest.raises(RuntimeError):
        async with store.work(NOON, TESTER) as work:
            await use(work, "recovery", token)
            raise RuntimeError
    assert await used(store, token) == "an order"


@pytest.mark.parametrize("token", ["", "x", "\u0661", "a" * 26])
async def test_what_is_no_token_opens_nothing(store: Store, token: str) -> None:
    await made(store)
    assert not await is_open(store, token)
    assert await used(store, token) is None


async def test_a_link_for_one_purpose_serves_no_other(store: Store) -> None:
    token = await made(store)
    assert not await is_open(store, token, purpose="login")
    assert await used(store, token, purpose="login") is None


async def test_the_table_holds_no_token_and_another_vault_key_makes_another(store: Store) -> None:
    token = await made(store)
    async with store.read() as read:
        row = (await read.session.scalars(select(OneTimeLink))).one()
    assert token not in repr(vars(row))
    assert len(token) == 26
    assert token_of(VAULT, row.id) == token
    assert token_of(Vault(b"k" * 32, SeededChance(1)), row.id) != token
    assert token_of(VAULT, UUID(int=1)) != token
