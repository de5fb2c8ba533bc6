"""What the reconciler does when the provider forgets, falls silent, or says again what the operator has decided."""

from datetime import timedelta

from keysat.checkout.collect import look_if_stale
from keysat.checkout.operate import refuse
from keysat.checkout.tables import Order, OrderStatus
from tests.checkout.counter import BUYER, Counter
from tests.conftest import TESTER

S = OrderStatus


async def status_of(counter: Counter, order: Order) -> OrderStatus:
    return (await counter.order(order.id)).status


async def test_a_refused_review_stays_refused(counter: Counter) -> None:
    order = await counter.buy()
    await counter.travel(hours=30)
    await counter.pay(order)
    async with counter.store.work(counter.now, TESTER) as work:
        await refuse(work, order.id)
    await counter.travel(days=3)
    assert await status_of(counter, order) == S.INVALID
    assert (await counter.events()).count("order.needs_attention") == 1


async def test_an_invoice_the_provider_no_longer_knows_runs_out(counter: Counter) -> None:
    order = await counter.buy()
    counter.fake.invoices.clear()
    await counter.travel(minutes=10)
    assert await status_of(counter, order) == S.AWAITING
    await counter.travel(minutes=10)
    assert await status_of(counter, order) == S.EXPIRED
    assert await counter.licenses() == 0


async def test_money_seen_on_an_invoice_that_is_gone_is_a_persons_business(counter: Counter) -> None:
    order = await counter.buy()
    await counter.pay(order, confirmed=False)
    counter.fake.invoices.clear()
    await counter.travel(minutes=20)
    assert await status_of(counter, order) == S.REVIEW
    assert await counter.attention() == ["order_invoice_gone"]


async def test_a_credential_that_is_gone_for_good_does_not_keep_us_looking_for_ever(counter: Counter) -> None:
    open_order, ended = await counter.buy(), await counter.buy()
    await counter.fake.expire(await counter.invoice_of(ended))
    await counter.work_off()
    counter.fake.revoke_key()
    for order in (open_order, ended):
        async with counter.store.work(counter.now, TESTER) as work:
            row = await work.get(Order, order.id)
            row.watch_until = counter.now.replace(microsecond=0)
    await counter.travel(hours=6)
    assert [(await counter.order(order.id)).next_look_at for order in (open_order, ended)] == [None, None]
    assert await status_of(counter, open_order) == S.EXPIRED
    assert "provider_refuses" in await counter.attention()


async def test_late_money_is_seen_by_a_buyer_who_waits_on_the_page(counter: Counter) -> None:
    order = await counter.buy()
    await counter.travel(minutes=20)
    counter.deaf = True
    await counter.fake.pay(await counter.invoice_of(order))
    counter.clock.move(counter.now + timedelta(seconds=20))
    assert await look_if_stale(counter.desk, await counter.order(order.id), counter.now, BUYER)
    assert (await counter.poll(order)).status == "settled"
