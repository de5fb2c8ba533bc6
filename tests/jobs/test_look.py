from collections import Counter as Counted
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import select, update

from keysat.checkout.tables import Order, OrderStatus
from keysat.infra.leases import take
from keysat.jobs.look import TAKEN_AT_ONCE, look
from keysat.payments.tables import Attempt
from keysat.upkeep.shop import Shop
from tests.checkout.counter import LOOKER, Counter


async def test_what_a_webhook_announced_is_fulfilled(shop: Shop, counter: Counter):
    order = await counter.buy()
    await counter.fake.pay(await counter.invoice_of(order))
    assert await look(shop, counter.now) == 1
    assert (await counter.order(order.id)).status == OrderStatus.FULFILLED
    assert await look(shop, counter.now) == 0


async def test_nothing_is_looked_at_before_its_time(shop: Shop, counter: Counter):
    await counter.buy()
    assert await look(shop, counter.now) == 0
    assert await look(shop, counter.now + timedelta(seconds=31)) == 1


async def test_more_orders_than_are_taken_at_once_are_all_looked_at(shop: Shop, counter: Counter):
    orders = [await counter.buy() for _ in range(TAKEN_AT_ONCE + 3)]
    for order in orders:
        await counter.fake.pay(await counter.invoice_of(order))
    assert await look(shop, counter.now) == len(orders)
    assert await counter.licenses() == len(orders)


async def test_one_order_that_cannot_be_looked_at_stops_no_other(shop: Shop, counter: Counter):
    broken, sound = await counter.buy(), await counter.buy()
    for order in (broken, sound):
        await counter.fake.pay(await counter.invoice_of(order))
    async with shop.work(LOOKER) as work:
        await work.session.execute(update(Attempt).where(Attempt.order_id == broken.id).values(price_currency="???"))
    await look(shop, counter.now)
    assert (await counter.order(sound.id)).status == OrderStatus.FULFILLED
    left = await counter.order(broken.id)
    assert (left.status, left.look_failures, left.leased_by) == (OrderStatus.AWAITING, 1, None)
    assert left.next_look_at is not None
    assert left.next_look_at > counter.now
    assert await counter.attention() == ["look_failed"]


async def test_an_order_that_another_daemon_holds_is_left_to_it(shop: Shop, counter: Counter):
    order = await counter.buy()
    await counter.fake.pay(await counter.invoice_of(order))
    async with shop.work(LOOKER) as work:
        await take(work, Order, Order.next_look_at <= counter.now, Order.next_look_at, most=1, seconds=60)
    assert await look(shop, counter.now) == 0
    assert await look(shop, counter.now + timedelta(seconds=61)) == 1  # it died: its lease ran out


class Slow:
    """Between a batch and the next go two minutes by."""

    def __init__(self, start: datetime) -> None:
        self.at = start

    def now(self) -> datetime:
        self.at += timedelta(minutes=2)
        return self.at


async def test_in_a_long_pass_each_batch_has_its_own_moment(shop: Shop, counter: Counter):
    began = counter.now
    for order in [await counter.buy() for _ in range(TAKEN_AT_ONCE + 1)]:
        await counter.fake.pay(await counter.invoice_of(order))
    assert await look(replace(shop, clock=Slow(began)), began) == TAKEN_AT_ONCE + 1
    async with shop.read() as read:
        done = Counted((await read.session.scalars(select(Order.status_at))).all())
    assert done == {began + timedelta(minutes=2): TAKEN_AT_ONCE, began + timedelta(minutes=4): 1}


async def test_the_lease_is_given_back(shop: Shop, counter: Counter):
    order = await counter.buy()
    await look(shop, counter.now + timedelta(seconds=31))
    seen = await counter.order(order.id)
    assert (seen.leased_by, seen.leased_until) == (None, None)
