"""What the reconciler does when the provider forgets, falls silent, or says again what the operator has decided."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update

from keysat.checkout.collect import look_if_stale
from keysat.checkout.operate import accept, refuse
from keysat.checkout.tables import Order, OrderStatus
from keysat.infra.attention import attention
from keysat.licenses.tables import IssuerKey, IssuerStatus
from keysat.payments.provider import Rail
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
    assert await look_if_stale(counter.desk(BUYER), await counter.order(order.id))
    assert (await counter.poll(order)).status == "settled"


async def test_a_page_waits_neither_for_a_busy_database_nor_for_a_clock_that_was_set_back(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = await counter.buy()
    await counter.travel(minutes=2)
    counter.deaf = True
    await counter.fake.pay(await counter.invoice_of(order), rail=Rail.LIGHTNING)
    order, desk = await counter.order(order.id), replace(counter.desk(BUYER), now=counter.now - timedelta(hours=1))
    monkeypatch.setattr("keysat.checkout.collect.PAGE_WAITS_SECONDS", 0.2)
    async with counter.store.work(counter.now, TESTER) as work:
        await work.hold(Order, order.id)
        assert not await look_if_stale(desk, order)
    monkeypatch.undo()
    assert await look_if_stale(desk, order)
    assert (await counter.poll(order)).status == "settled"


async def test_an_accepted_order_that_cannot_be_fulfilled_stays_on_the_list(counter: Counter) -> None:
    order = await counter.buy()
    async with counter.store.work(counter.now, TESTER) as work:
        await work.session.execute(update(IssuerKey).values(status=IssuerStatus.VERIFYING))
    async with counter.store.work(counter.now, TESTER) as work:
        await accept(work, order.id)
    assert await status_of(counter, order) == S.PAID
    async with counter.store.read() as read:
        [call] = (await attention(read)).items
    assert call.kind == "order_unfulfilled"


async def test_the_accepted_payment_that_confirms_later_is_not_a_second_one(counter: Counter) -> None:
    order = await counter.buy()
    await counter.pay(order, confirmed=False)
    async with counter.store.work(counter.now, TESTER) as work:
        await accept(work, order.id)
    await counter.fake.confirm(await counter.invoice_of(order))
    await counter.travel(hours=2)
    assert await counter.attention() == []
    assert await counter.licenses() == 1


async def test_money_that_comes_after_an_order_was_accepted_for_cash_is_a_second_payment(counter: Counter) -> None:
    order = await counter.buy()
    async with counter.store.work(counter.now, TESTER) as work:
        await accept(work, order.id)
    await counter.pay(order)
    assert await counter.attention() == ["paid_twice"]
    assert await counter.licenses() == 1


async def test_a_sale_takes_what_was_doubted_off_the_list(counter: Counter) -> None:
    order = await counter.buy()
    await counter.pay(order, percent=50)
    await counter.travel(minutes=20)
    assert await counter.attention() == ["order_underpaid"]
    await counter.pay(order, percent=50)
    assert await status_of(counter, order) == S.FULFILLED
    assert await counter.attention() == []


async def test_money_on_an_invoice_that_was_marked_invalid_reaches_the_list(counter: Counter) -> None:
    order = await counter.buy()
    await counter.fake.mark(await counter.invoice_of(order), "Invalid")
    await counter.work_off()
    await counter.pay(order)
    await counter.travel(minutes=6)
    assert await status_of(counter, order) == S.INVALID
    assert await counter.attention() == ["order_money_on_invalid"]
