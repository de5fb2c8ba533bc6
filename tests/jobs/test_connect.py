from dataclasses import replace

import pytest
from sqlalchemy import select

from keysat.infra.setting_values import Secret
from keysat.infra.settings import BtcPay
from keysat.jobs.connect import NOT_CONNECTED, connect_from_settings
from keysat.payments.tables import ConnectionRow
from keysat.upkeep.shop import Shop
from tests.checkout.counter import LOOKER, Counter
from tests.fakes.btcpay import API_KEY, STORE, Accident


@pytest.fixture
async def unconnected(shop: Shop, counter: Counter) -> Shop:
    """The settings name a store, and nothing is connected yet."""
    async with shop.work(LOOKER) as work:
        for row in await work.session.scalars(select(ConnectionRow)):
            await work.session.delete(row)
    await shop.tills.refresh()
    named = BtcPay(url=counter.fake.base_url, api_key=Secret(API_KEY), store_id=STORE)
    return replace(shop, settings=replace(shop.settings, btcpay=named))


async def test_the_store_in_the_settings_is_connected_once(unconnected: Shop, counter: Counter):
    await connect_from_settings(unconnected, counter.now)
    assert [till.connection.account_id for till in unconnected.tills.all()] == [STORE]
    assert any(source.name.startswith("btcpay-") for source in unconnected.board.health())
    await connect_from_settings(unconnected, counter.now)
    assert len(unconnected.tills.all()) == 1


async def test_the_webhook_secret_in_the_settings_is_the_one_that_signs(unconnected: Shop, counter: Counter):
    secret = Secret("known outside")
    await connect_from_settings(
        replace(unconnected, settings=replace(unconnected.settings, btcpay_webhook_secret=secret)), counter.now
    )
    [till] = unconnected.tills.all()
    assert till.connection.secrets["webhook_secret"] == secret.reveal()


async def test_a_btcpay_that_is_down_is_tried_again(unconnected: Shop, counter: Counter):
    counter.fake.fail_next(Accident.LOST_BEFORE)
    await connect_from_settings(unconnected, counter.now)
    assert unconnected.tills.all() == []
    assert await counter.attention() == [NOT_CONNECTED]
    await connect_from_settings(unconnected, counter.now)
    assert len(unconnected.tills.all()) == 1
    assert await counter.attention() == []


async def test_a_store_that_was_disconnected_on_purpose_stays_so(shop: Shop, counter: Counter):
    named = BtcPay(url=counter.fake.base_url, api_key=Secret(API_KEY), store_id=STORE)
    asked = len(counter.fake.requests)
    await connect_from_settings(replace(shop, settings=replace(shop.settings, btcpay=named)), counter.now)
    assert len(counter.fake.requests) == asked
