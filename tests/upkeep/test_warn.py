from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import update

from keysat.infra.house import Mode
from keysat.infra.settings import load
from keysat.infra.store import Store
from keysat.payments.tables import ConnectionRow, ConnectionStatus
from keysat.upkeep.warn import warnings
from tests.checkout.counter import LOOKER, Counter, open_counter


@pytest.fixture
async def sold(store: Store) -> AsyncGenerator[Counter, None]:
    async with open_counter(store) as counter:
        yield counter


async def warned(counter: Counter, mode: Mode = Mode.LIVE, **environ: str) -> list[str]:
    async with counter.store.read() as read:
        return await warnings(read, load(environ), mode)


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
