from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest
from sqlalchemy import update

from keysat.infra.house import MODE, Mode, rewrite, write_once
from keysat.infra.settings import load
from keysat.infra.store import Store
from keysat.payments.tables import ConnectionRow, ConnectionStatus
from keysat.upkeep.backup import LAST_BACKUP
from keysat.upkeep.warn import warnings
from tests.checkout.counter import LOOKER, Counter, open_counter


@pytest.fixture
async def sold(store: Store) -> AsyncGenerator[Counter, None]:
    async with open_counter(store) as counter:
        yield counter


async def warned(counter: Counter, mode: Mode = Mode.LIVE, *, days: int = 0, **environ: str) -> list[str]:
    async with counter.store.read() as read:
        return await warnings(read, load(environ), mode, counter.now + timedelta(days=days))


async def test_a_shop_that_can_sell_is_warned_of_nothing(sold: Counter):
    assert await warned(sold, KEYSAT_PUBLIC_URL="https://shop.test") == []
    assert await warned(sold, Mode.SANDBOX) == []


async def test_what_keeps_a_shop_from_selling_is_warned_of(sold: Counter):
    assert "KEYSAT_PUBLIC_URL is not set" in (await warned(sold))[0]
    health = {"reachable": False, "authorized": False}
    async with sold.store.work(sold.now, LOOKER) as work:
        await work.attend("provider_unauthorized", "a-connection", "Half of it came.")
        await work.session.execute(update(ConnectionRow).values(health=health, checked_at=sold.now))
    calls, away = await warned(sold, Mode.SANDBOX)
    assert calls.startswith("1 thing needs attention")
    assert "could not be reached" in away
    async with sold.store.work(sold.now, LOOKER) as work:
        await work.session.execute(update(ConnectionRow).values(health={"reachable": True, "authorized": False}))
    assert "does not take its API key" in (await warned(sold, Mode.SANDBOX))[1]
    async with sold.store.work(sold.now, LOOKER) as work:
        await work.session.execute(update(ConnectionRow).values(status=ConnectionStatus.DISCONNECTED))
    assert "No payment provider is connected" in (await warned(sold, Mode.SANDBOX))[1]


async def test_a_shop_that_nobody_backs_up_is_warned_of_it(sold: Counter):
    settings = {"KEYSAT_PUBLIC_URL": "https://shop.test"}
    folder = settings | {"KEYSAT_BACKUP_DIR": "/backups"}
    async with sold.store.work(sold.now, LOOKER) as work:
        await write_once(work, MODE, Mode.LIVE)
    assert await warned(sold, Mode.LIVE, days=7, **settings) == []
    [line] = await warned(sold, Mode.LIVE, days=8, **settings)
    assert line == "No backup was ever made: set KEYSAT_BACKUP_DIR, and Keysat makes them by itself."
    assert await warned(sold, Mode.SANDBOX, days=8) == []
    [line] = await warned(sold, Mode.LIVE, days=3, **folder)
    assert line == "No backup was ever made, though KEYSAT_BACKUP_DIR is set: does `keysat serve` run?"
    async with sold.store.work(sold.now, LOOKER) as work:
        await rewrite(work, LAST_BACKUP, sold.now.isoformat())
    assert await warned(sold, Mode.LIVE, days=2, **folder) == []
    [line] = await warned(sold, Mode.LIVE, days=3, **folder)
    assert line.startswith("The last backup was made at 2026-")
