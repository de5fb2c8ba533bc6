from sqlalchemy import select

from keysat.jobs.health import check_connections
from keysat.payments.check import SILENT_FOR
from keysat.payments.connections import EXCESS, UNAUTHORIZED, UNREACHABLE
from keysat.payments.tables import ConnectionRow
from keysat.upkeep.shop import Shop
from tests.checkout.counter import Counter
from tests.fakes.btcpay import API_KEY, Accident


async def row_of(shop: Shop) -> ConnectionRow:
    async with shop.read() as read:
        return (await read.session.scalars(select(ConnectionRow))).one()


async def test_a_connection_that_is_well_says_so_and_calls_nobody(shop: Shop, counter: Counter):
    await check_connections(shop, counter.now)
    row = await row_of(shop)
    assert row.health is not None
    assert (row.health["reachable"], row.health["authorized"], row.health["webhook_ok"]) == (True, True, True)
    assert row.checked_at == counter.now
    assert await counter.attention() == []


async def test_a_lost_webhook_is_registered_again(shop: Shop, counter: Counter):
    before = (await row_of(shop)).webhook_id
    counter.fake.post.hooks.clear()
    await check_connections(shop, counter.now)
    after = (await row_of(shop)).webhook_id
    assert after not in (None, before)
    order = await counter.buy()
    await counter.pay(order)  # the new webhook is heard, with its new secret
    assert await counter.licenses() == 1


async def test_a_key_that_may_do_too_much_is_called_until_it_is_mended(shop: Shop, counter: Counter):
    counter.fake.keys[API_KEY].add("btcpay.store.canmodifystoresettings")
    await check_connections(shop, counter.now)
    assert await counter.attention() == [EXCESS]


async def test_a_server_that_is_down_takes_nothing_off_the_list(shop: Shop, counter: Counter):
    counter.fake.revoke_key()
    await check_connections(shop, counter.now)
    assert await counter.attention() == [UNAUTHORIZED]
    counter.fake.fail_next(Accident.LOST_BEFORE, times=20)
    await check_connections(shop, counter.now)
    assert await counter.attention() == [UNAUTHORIZED]
    row = await row_of(shop)
    assert row.health is not None
    assert row.health["reachable"] is False


async def test_a_server_that_stays_silent_is_called_until_it_answers(shop: Shop, counter: Counter):
    counter.fake.fail_next(Accident.LOST_BEFORE, times=30)
    await check_connections(shop, counter.now)
    await check_connections(shop, counter.now + SILENT_FOR / 2)
    assert await counter.attention() == []
    await check_connections(shop, counter.now + SILENT_FOR)
    assert await counter.attention() == [UNREACHABLE]
    counter.fake.mishaps.clear()
    await check_connections(shop, counter.now + 2 * SILENT_FOR)
    assert await counter.attention() == []
    assert (await row_of(shop)).unreachable_since is None
