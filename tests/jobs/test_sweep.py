from datetime import timedelta

from sqlalchemy import select, update

from keysat.checkout.tables import Order, OrderStatus
from keysat.jobs.look import look
from keysat.jobs.sweep import sweep
from keysat.payments.tables import Attempt, ConnectionRow
from keysat.upkeep.shop import Shop
from tests.checkout.counter import LOOKER, Counter
from tests.fakes.btcpay import Accident


async def swept(shop: Shop) -> ConnectionRow:
    async with shop.read() as read:
        return (await read.session.scalars(select(ConnectionRow))).one()


async def test_a_payment_whose_webhooks_were_lost_is_found(shop: Shop, counter: Counter):
    counter.deaf = True
    order = await counter.buy()
    await counter.fake.pay(await counter.invoice_of(order))
    assert await look(shop, counter.now) == 0
    await sweep(shop, counter.now)
    assert await look(shop, counter.now) == 1
    assert (await counter.order(order.id)).status == OrderStatus.FULFILLED


async def test_an_invoice_whose_id_a_crash_lost_is_found_by_its_echo(shop: Shop, counter: Counter):
    counter.deaf = True
    order = await counter.buy()
    await counter.fake.pay(await counter.invoice_of(order))
    async with shop.work(LOOKER) as work:
        await work.session.execute(update(Attempt).values(provider_invoice_id=None, checkout_url=None))
        await work.session.execute(update(Order).values(status=OrderStatus.DRAFT))
    await sweep(shop, counter.now)
    for _ in range(2):  # adopted first, then settled
        await look(shop, counter.now + timedelta(minutes=2))
    assert (await counter.order(order.id)).status == OrderStatus.FULFILLED


async def test_what_is_known_is_not_looked_at_again(shop: Shop, counter: Counter):
    order = await counter.buy()
    await counter.pay(order)
    await counter.buy()
    await sweep(shop, counter.now)
    assert await look(shop, counter.now) == 0


async def test_invoices_of_others_in_the_same_store_are_none_of_ours(shop: Shop, counter: Counter):
    order = await counter.buy()
    ours = counter.fake.invoices[await counter.invoice_of(order)]
    counter.fake.make_invoice(counter.fake.stores[ours.store_id], ours.amount, ours.currency, {})
    await sweep(shop, counter.now)
    assert await look(shop, counter.now) == 0


async def test_the_sweep_remembers_how_far_it_came(shop: Shop, counter: Counter):
    assert (await swept(shop)).swept_at is None
    await sweep(shop, counter.now)
    assert (await swept(shop)).swept_at == counter.now


async def test_a_provider_that_does_not_answer_is_swept_from_the_same_place_next_time(shop: Shop, counter: Counter):
    counter.fake.fail_next(Accident.BROKEN, times=5)
    await sweep(shop, counter.now)
    assert (await swept(shop)).swept_at is None
