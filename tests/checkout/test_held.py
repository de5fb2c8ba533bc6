from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from keysat.checkout import operate
from keysat.checkout.held import Held, Standing, held_for_browser
from keysat.checkout.tables import Order
from keysat.checkout.wish import hash_of
from keysat.infra.store import Store
from keysat.payments.provider import Rail
from tests.checkout.counter import Counter, open_counter
from tests.conftest import TESTER

pytestmark = pytest.mark.once

BROWSER = "a" * 32


@pytest.fixture
async def counter(store: Store) -> AsyncGenerator[Counter, None]:
    async with open_counter(store) as counter:
        yield counter


async def held(counter: Counter, order: Order) -> list[Held]:
    async with counter.store.read() as read:
        return list(await held_for_browser(read, hash_of(BROWSER), order.product_id, counter.now))


async def test_too_little_is_held_until_the_seller_has_decided(counter: Counter):
    order = await counter.buy(buyer_token=BROWSER)
    assert await held(counter, order) == []
    await counter.pay(order, percent=40)
    [part] = await held(counter, order)
    assert part.standing is Standing.PART
    assert part.seen is not None
    assert part.missing == part.asked - part.seen
    await counter.travel(minutes=20)
    assert [one.standing for one in await held(counter, order)] == [Standing.WAITS]
    counter.clock.move((await counter.order(order.id)).watch_until + timedelta(days=1))
    assert [one.standing for one in await held(counter, order)] == [Standing.WAITS], "who gets it is still not said"
    async with counter.store.work(counter.now, TESTER) as work:
        await operate.refuse(work, order.id)
    assert await held(counter, order) == []


async def test_all_of_it_comes_while_it_may_count_and_waits_where_it_needs_a_person(counter: Counter):
    first, second = [await counter.buy(buyer_token=BROWSER, rail=rail) for rail in (None, Rail.ONCHAIN)]
    await counter.pay(first, confirmed=False)
    await counter.travel(minutes=20)
    await counter.pay(second, confirmed=False)
    assert [one.standing for one in await held(counter, first)] == [Standing.COMES] * 2
    await counter.fake.confirm(await counter.invoice_of(first))
    await counter.work_off()
    assert [one.order.id for one in await held(counter, first)] == [second.id], "the other one is a sale"
    third = await counter.buy(buyer_token=BROWSER)
    counter.clock.move(counter.now + timedelta(days=2))
    await counter.fake.tick()
    await counter.pay(third)
    assert [one.standing for one in await held(counter, first)] == [Standing.WAITS, Standing.COMES]
    await counter.fake.mark(await counter.invoice_of(second), "Invalid")
    await counter.work_off()
    assert [one.order.id for one in await held(counter, first)] == [third.id]
