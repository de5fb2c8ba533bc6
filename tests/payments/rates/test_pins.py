import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from keysat.infra.store import Store
from keysat.infra.tables import EventRow
from keysat.kit.errors import BadRequest
from keysat.kit.money import BtcRate
from keysat.payments.rates.pins import all_pins, clear_pin, pin_of, set_pin
from keysat.payments.rates.tables import RatePin
from tests.conftest import NOON, TESTER


async def pin(store: Store, currency: str, price: str, minutes: int = 0) -> BtcRate:
    async with store.work(NOON + timedelta(minutes=minutes), TESTER) as work:
        return await set_pin(work, currency, Decimal(price))


async def events(store: Store) -> list[tuple[str, str]]:
    async with store.read() as read:
        rows = await read.session.execute(select(EventRow.name, EventRow.body).order_by(EventRow.id))
        return [(name, body) for name, body in rows]


async def test_a_pin_holds_until_it_is_changed_or_cleared(store: Store) -> None:
    assert await pin(store, "USD", "50000") == BtcRate("USD", 500_000_000)
    await pin(store, "EUR", "89240.12345")
    await pin(store, "USD", "65000", minutes=1)
    async with store.read() as read:
        assert await pin_of(read, "USD") == BtcRate("USD", 650_000_000)
        assert await pin_of(read, "CHF") is None
        assert list((await all_pins(read)).values()) == [BtcRate("EUR", 892_401_235), BtcRate("USD", 650_000_000)]
        assert (await read.get(RatePin, "USD")).set_at == NOON + timedelta(minutes=1)
    async with store.work(NOON, TESTER) as work:
        assert await clear_pin(work, "USD")
    async with store.read() as read:
        assert await pin_of(read, "USD") is None


async def test_every_change_is_recorded_and_no_change_is_not(store: Store) -> None:
    await pin(store, "USD", "50000")
    await pin(store, "USD", "50000")
    async with store.work(NOON, TESTER) as work:
        assert await clear_pin(work, "USD")
        assert not await clear_pin(work, "USD")
    assert await events(store) == [
        ("rate.pinned", '{"currency":"USD","centibps":500000000}'),
        ("rate.unpinned", '{"currency":"USD"}'),
    ]


async def test_operators_who_pin_at_once_do_not_fail(store: Store) -> None:
    await asyncio.gather(*(pin(store, "USD", str(50_000 + number)) for number in range(5)))
    async with store.read() as read:
        assert len(await all_pins(read)) == 1


@pytest.mark.once
@pytest.mark.parametrize(
    ("currency", "price"),
    [
        ("USD", "0"),
        ("USD", "-50000"),
        ("USD", "0.00002"),
        ("USD", "1E30"),
        ("USD", "NaN"),
        ("USD", "sNaN"),
        ("JPY", "97000"),
        ("SAT", "100000000"),
        ("BTC", "1"),
        ("usd", "50000"),
    ],
)
async def test_a_pin_that_cannot_be_right_is_refused(store: Store, currency: str, price: str) -> None:
    with pytest.raises(BadRequest):
        await pin(store, currency, price)
    assert await events(store) == []
