"""Codes of the app and recovery codes: each opens once, whoever sends it at the same time."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import select

from keysat.infra.store import Store
from keysat.infra.tables import EventRow
from keysat.infra.vault import Vault
from keysat.kit.errors import BadRequest, Conflict
from keysat.kit.ids import SeededChance
from keysat.operators import accounts, second_step, sessions, totp
from keysat.operators.invariants import broken
from keysat.operators.passwords import NOBODYS
from keysat.operators.scopes import Role
from keysat.operators.tables import Account, AccountId, RecoveryCode, SessionId
from tests.conftest import NOON, TESTER

SEED = b"12345678901234567890"
VAULT = Vault(bytes(32), SeededChance(3))


@dataclass
class Ada:
    store: Store
    id: AccountId
    session_id: SessionId

    async def switch_on(self, typed: str, at: timedelta = timedelta()) -> list[str]:
        async with self.store.work(NOON + at, TESTER) as work:
            _, codes = await second_step.switch_on(work, VAULT, self.id, self.session_id, SEED, typed)
        return codes

    async def opens(self, typed: str, at: timedelta = timedelta()) -> bool:
        async with self.store.work(NOON + at, TESTER) as work:
            return await second_step.use_code(work, VAULT, await work.get(Account, self.id), typed)


@pytest.fixture
async def ada(store: Store) -> Ada:
    async with store.work(NOON, TESTER) as work:
        made = await accounts.create(work, "Ada", Role.OWNER, NOBODYS)
        session_id, _ = await sessions.begin(work, made.id, "203.0.113.7", "Tests")
    return Ada(store, made.id, session_id)


def code(at: timedelta = timedelta()) -> str:
    return totp.code(SEED, totp.step_of(NOON + at))


async def test_each_code_of_the_app_counts_once(ada: Ada):  # ASVS 6.5.1
    assert not await ada.opens(code())
    with pytest.raises(BadRequest):
        await ada.switch_on("000000")
    await ada.switch_on(code())
    with pytest.raises(Conflict):
        await ada.switch_on(code())
    assert not await ada.opens(code())  # it switched the step on
    soon = timedelta(seconds=31)
    assert not await ada.opens("000000", soon)
    assert sorted(await asyncio.gather(*(ada.opens(code(soon), soon) for _ in range(5)))) == [False] * 4 + [True]
    assert not await ada.opens(code(), soon)  # an older one of the window counts no more
    typed = code(timedelta(minutes=5))
    assert await ada.opens(f" {typed[:3]} {typed[3:]} ", timedelta(minutes=5))


async def test_each_recovery_code_counts_once(ada: Ada):  # ASVS 6.5.1, 11.5.1
    codes = await ada.switch_on(code())
    assert len(set(codes)) == second_step.CODES
    assert second_step.CODE_BITS >= 128
    assert sorted(await asyncio.gather(*(ada.opens(codes[0]) for _ in range(5)))) == [False] * 4 + [True]
    assert await ada.opens(codes[1].upper().replace("-", " "))
    assert not await ada.opens(codes[2][:-1])
    async with ada.store.read() as read:
        assert await second_step.codes_left(read, ada.id) == 8
        kept = (await read.session.scalars(select(RecoveryCode.hash))).all()
        account = await read.get(Account, ada.id)
        names = (
            await read.session.scalars(
                select(EventRow.name).where(EventRow.subject == str(ada.id)).order_by(EventRow.id)
            )
        ).all()
    assert not {one.replace("-", "") for one in codes} & set(kept)
    assert account.totp_sealed is not None
    assert SEED not in account.totp_sealed
    assert names[1:] == ["account.totp_switched_on"] + 2 * ["account.recovery_code_used"]


async def test_switching_off_takes_the_codes_along_and_changes_the_token(ada: Ada):
    codes = await ada.switch_on(code())
    async with ada.store.work(NOON, TESTER) as work:
        _, other = await sessions.begin(work, ada.id, "203.0.113.8", "Tests")
    async with ada.store.work(NOON, TESTER) as work:
        token = await second_step.switch_off(work, ada.id, ada.session_id)
        with pytest.raises(Conflict):
            await second_step.switch_off(work, ada.id, ada.session_id)
    assert not await ada.opens(codes[0])
    async with ada.store.read() as read:
        found = await sessions.signed_in(read, token, NOON)
        assert found is not None
        assert found.session_id == ada.session_id
        assert await sessions.signed_in(read, other, NOON) is None
        assert await broken(read, NOON) == []
