"""Every situation of `payment-rails.md` 2.2, played on BTCPay's specification-checked fake: one test a row."""

from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from keysat.checkout.collect import collect
from keysat.checkout.operate import accept, refuse
from keysat.checkout.tables import Order, OrderStatus
from keysat.infra.http import HttpClient
from keysat.kit.errors import Conflict
from keysat.payments.provider import Rail
from keysat.payments.tills import Tills
from tests.checkout.counter import LOOKER, Counter
from tests.conftest import TESTER

S = OrderStatus


async def status_of(counter: Counter, order: Order) -> OrderStatus:
    return (await counter.order(order.id)).status


async def test_lightning_settles_at_once(counter: Counter) -> None:
    order = await counter.buy()
    assert (order.status, order.amount_sats, order.listed_value) == (S.AWAITING, 150_000, 7500)
    await counter.pay(order, rail=Rail.LIGHTNING)
    seen = await counter.poll(order)
    assert seen.status == "settled"
    assert seen.license_key is not None
    assert await counter.licenses() == 1
    assert await counter.events() == ["order.opened", "order.paid", "order.fulfilled"]


async def test_on_chain_waits_for_its_confirmation(counter: Counter) -> None:
    order = await counter.buy()
    await counter.pay(order, confirmed=False)
    assert await status_of(counter, order) == S.PROCESSING
    assert (await counter.poll(order)).status == "pending"
    assert await counter.licenses() == 0
    await counter.fake.confirm(await counter.invoice_of(order))
    await counter.work_off()
    assert (await counter.poll(order)).status == "settled"
    assert await counter.licenses() == 1


async def test_a_partial_payment_that_is_completed_in_time_is_a_sale(counter: Counter) -> None:
    order = await counter.buy()
    await counter.pay(order, percent=40)
    assert await status_of(counter, order) == S.AWAITING
    await counter.pay(order, percent=60)
    assert (await counter.poll(order)).status == "settled"
    assert await counter.licenses() == 1


async def test_a_partial_payment_that_expires_is_the_operators_business(counter: Counter) -> None:
    order = await counter.buy()
    await counter.pay(order, percent=40)
    await counter.travel(minutes=20)
    assert await status_of(counter, order) == S.UNDERPAID
    assert (await counter.poll(order)).status == "expired"
    assert await counter.attention() == ["order_underpaid"]
    assert await counter.licenses() == 0
    async with counter.store.work(counter.now, TESTER) as work:
        await accept(work, order.id)
    assert (await counter.poll(order)).license_key is not None
    assert await counter.licenses() == 1


async def test_nothing_paid_expires_and_is_still_watched(counter: Counter) -> None:
    order = await counter.buy()
    await counter.travel(minutes=20)
    ended = await counter.order(order.id)
    assert ended.status == S.EXPIRED
    assert ended.next_look_at is not None
    await counter.travel(days=20)
    assert (await counter.order(order.id)).next_look_at is None


async def test_paid_late_in_full_is_accepted_within_a_day(counter: Counter) -> None:
    order = await counter.buy()
    await counter.travel(hours=3)
    await counter.pay(order, confirmed=False)
    assert await status_of(counter, order) == S.EXPIRED
    await counter.fake.confirm(await counter.invoice_of(order))
    await counter.travel(minutes=1)
    sold = await counter.order(order.id)
    assert (sold.status, sold.paid_how) == (S.FULFILLED, "late")
    assert await counter.licenses() == 1


async def test_paid_late_in_full_after_a_day_is_reviewed(counter: Counter) -> None:
    order = await counter.buy()
    await counter.travel(hours=30)
    await counter.pay(order)
    assert await status_of(counter, order) == S.REVIEW
    assert (await counter.poll(order)).status == "pending"
    assert await counter.attention() == ["order_too_late"]
    assert await counter.licenses() == 0


async def test_a_review_ends_by_the_operators_word(counter: Counter) -> None:
    first, second = await counter.buy(), await counter.buy()
    await counter.travel(hours=30)
    await counter.pay(first)
    await counter.pay(second)
    async with counter.store.work(counter.now, TESTER) as work:
        await accept(work, first.id)
        await refuse(work, second.id)
    assert [await status_of(counter, order) for order in (first, second)] == [S.FULFILLED, S.INVALID]
    assert await counter.licenses() == 1
    with pytest.raises(Conflict):
        async with counter.store.work(counter.now, TESTER) as work:
            await accept(work, first.id)


async def test_paid_late_in_part_is_the_operators_business(counter: Counter) -> None:
    order = await counter.buy()
    await counter.travel(hours=1)
    await counter.pay(order, percent=40)
    await counter.travel(minutes=10)
    assert "order_underpaid" in await counter.attention()
    assert await counter.licenses() == 0


async def test_paid_in_time_and_confirmed_after_the_expiry_is_normal(counter: Counter) -> None:
    order = await counter.buy()
    await counter.pay(order, confirmed=False)
    await counter.travel(hours=2)
    assert await status_of(counter, order) == S.PROCESSING
    await counter.fake.confirm(await counter.invoice_of(order))
    await counter.work_off()
    sold = await counter.order(order.id)
    assert (sold.status, sold.paid_how) == (S.FULFILLED, "in_time")


async def test_an_overpayment_issues_once_and_notes_the_surplus(counter: Counter) -> None:
    order = await counter.buy()
    await counter.pay(order, percent=120)
    assert await status_of(counter, order) == S.FULFILLED
    assert await counter.licenses() == 1
    assert await counter.attention() == ["order_overpaid"]
    assert await counter.reasons() == [f"15.00 USD too much was paid for order {order.support_reference}."]


async def test_two_payments_for_one_order_issue_once(counter: Counter) -> None:
    order = await counter.buy()
    twin = await counter.second_attempt(order)
    await counter.pay(order)
    await counter.fake.pay(twin)
    await counter.travel(hours=2)
    assert await counter.licenses() == 1
    assert await counter.attention() == ["paid_twice"]
    assert (await counter.events()).count("order.paid_twice") == 1


async def test_a_fee_bump_is_no_new_order(counter: Counter) -> None:
    order = await counter.buy()
    await counter.pay(order, confirmed=False)
    await counter.fake.replace(await counter.invoice_of(order))
    await counter.travel(minutes=2)
    assert await status_of(counter, order) == S.AWAITING
    await counter.pay(order, confirmed=False)
    assert await status_of(counter, order) == S.PROCESSING
    await counter.fake.confirm(await counter.invoice_of(order))
    await counter.work_off()
    assert await status_of(counter, order) == S.FULFILLED
    assert await counter.licenses() == 1


async def test_double_spent_before_the_expiry_goes_back_to_waiting_without_a_webhook(counter: Counter) -> None:
    order = await counter.buy()
    await counter.pay(order, confirmed=False)
    await counter.fake.replace(await counter.invoice_of(order))
    await counter.travel(minutes=2)
    assert await status_of(counter, order) == S.AWAITING
    assert await counter.licenses() == 0


async def test_double_spent_after_the_expiry_expires(counter: Counter) -> None:
    order = await counter.buy()
    await counter.pay(order, confirmed=False)
    await counter.travel(minutes=20)
    await counter.fake.replace(await counter.invoice_of(order))
    await counter.travel(minutes=10)
    assert await status_of(counter, order) == S.EXPIRED
    assert await counter.licenses() == 0


async def test_every_invoice_asks_for_a_confirmation_and_no_tolerance(counter: Counter) -> None:
    order = await counter.buy()
    checkout = counter.fake.invoices[await counter.invoice_of(order)].checkout
    assert (checkout["speedPolicy"], checkout["paymentTolerance"]) == ("MediumSpeed", 0)


async def test_never_confirmed_is_invalid_and_a_later_confirmation_is_reviewed(counter: Counter) -> None:
    order = await counter.buy()
    await counter.pay(order, confirmed=False)
    counter.fake.invoices[await counter.invoice_of(order)].monitor_until = counter.now + timedelta(hours=3)
    await counter.travel(hours=4)
    assert await status_of(counter, order) == S.INVALID
    assert (await counter.poll(order)).status == "invalid"
    await counter.fake.confirm(await counter.invoice_of(order))
    await counter.travel(days=1)
    assert await status_of(counter, order) == S.REVIEW
    assert await counter.licenses() == 0


async def test_marked_settled_by_hand_is_accepted_and_said_so(counter: Counter) -> None:
    order = await counter.buy()
    await counter.fake.mark(await counter.invoice_of(order), "Settled")
    await counter.work_off()
    sold = await counter.order(order.id)
    assert (sold.status, sold.paid_how) == (S.FULFILLED, "marked")


async def test_marked_invalid_before_the_sale_ends_the_order(counter: Counter) -> None:
    order = await counter.buy()
    await counter.fake.mark(await counter.invoice_of(order), "Invalid")
    await counter.work_off()
    assert await status_of(counter, order) == S.INVALID


async def test_marked_settled_after_the_expiry_is_still_a_sale(counter: Counter) -> None:
    order = await counter.buy()
    await counter.travel(days=2)
    await counter.fake.mark(await counter.invoice_of(order), "Settled")
    await counter.work_off()
    assert await status_of(counter, order) == S.FULFILLED


async def test_a_sale_marked_invalid_afterwards_keeps_its_license_and_calls_a_person(counter: Counter) -> None:
    order = await counter.buy()
    await counter.fake.mark(await counter.invoice_of(order), "Settled")
    await counter.work_off()
    await counter.fake.mark(await counter.invoice_of(order), "Invalid")
    await counter.travel(hours=30)
    assert await status_of(counter, order) == S.FULFILLED
    assert await counter.attention() == ["payment_reversed"]
    assert (await counter.events()).count("order.payment_reversed") == 1
    assert (await counter.poll(order)).license_key is not None


async def test_a_refund_at_the_provider_changes_nothing_by_itself(counter: Counter) -> None:
    order = await counter.buy()
    await counter.pay(order)
    await counter.fake.refund(await counter.invoice_of(order))
    await counter.work_off()
    assert await status_of(counter, order) == S.FULFILLED


async def test_a_lost_webhook_costs_seconds_not_a_sale(counter: Counter) -> None:
    order = await counter.buy()
    counter.fake.drop_next(10)
    await counter.pay(order, rail=Rail.LIGHTNING)
    assert await status_of(counter, order) == S.AWAITING
    await counter.travel(seconds=31)
    assert await status_of(counter, order) == S.FULFILLED


async def test_a_webhook_twice_and_redelivered_long_after_issues_once(counter: Counter) -> None:
    order = await counter.buy()
    counter.fake.duplicate_next(10)
    await counter.pay(order, rail=Rail.LIGHTNING)
    for delivery in list(counter.fake.hooks[0].past):
        await counter.fake.redeliver(delivery.id)
    await counter.work_off()
    assert await counter.licenses() == 1
    assert (await counter.events()).count("order.paid") == 1


async def test_webhooks_out_of_order_do_not_matter(counter: Counter) -> None:
    order = await counter.buy()
    counter.fake.hold()
    await counter.pay(order)
    await counter.fake.release(reverse=True)
    await counter.work_off()
    assert await status_of(counter, order) == S.FULFILLED
    assert await counter.licenses() == 1


async def test_our_outage_loses_nothing(counter: Counter) -> None:
    order = await counter.buy()
    counter.deaf = True
    await counter.fake.pay(await counter.invoice_of(order))
    counter.deaf = False
    await counter.travel(minutes=1)
    assert await status_of(counter, order) == S.FULFILLED


async def test_the_provider_down_leaves_the_order_as_it_is(counter: Counter) -> None:
    order = await counter.buy()
    counter.fake.fail_next("broken", method="GET", path="/invoices/", times=3)
    await counter.pay(order, rail=Rail.LIGHTNING)
    assert await status_of(counter, order) == S.AWAITING
    await counter.travel(minutes=5)
    assert await status_of(counter, order) == S.FULFILLED


async def test_a_store_that_tolerates_everything_gives_nothing_away(counter: Counter) -> None:
    """The store's owner changed the invoice's tolerance behind our back."""
    order = await counter.buy()
    counter.fake.invoices[await counter.invoice_of(order)].checkout["paymentTolerance"] = 100
    await counter.pay(order, percent=1)
    assert await status_of(counter, order) == S.REVIEW
    assert await counter.attention() == ["order_settled_with_too_little"]
    assert await counter.licenses() == 0


async def test_another_shops_invoice_in_the_same_store_is_not_even_looked_at(counter: Counter) -> None:
    order = await counter.buy()
    ours = counter.fake.invoices[await counter.invoice_of(order)]
    store = counter.fake.stores[ours.store_id]
    body = {"metadata": dict(ours.metadata), "checkout": {}}  # it even claims our order
    theirs = counter.fake.make_invoice(store, ours.amount / 75, ours.currency, body)
    asked = len(counter.fake.requests)
    await counter.fake.pay(theirs.id)
    await counter.work_off()
    assert len(counter.fake.requests) == asked
    assert await status_of(counter, order) == S.AWAITING
    assert await counter.licenses() == 0


async def test_the_return_from_the_checkout_page_proves_nothing(counter: Counter) -> None:
    order = await counter.buy()
    assert (await counter.poll(order)).license_key is None


async def test_play_money_never_buys_a_live_license(counter: Counter) -> None:
    """Somebody switched the store to a test network after it was connected."""
    counter.fake.network = "regtest"
    order = await counter.buy()
    await counter.pay(order)
    assert await status_of(counter, order) == S.REVIEW
    assert await counter.attention() == ["order_other_network"]
    assert await counter.licenses() == 0


class NewWords(httpx.AsyncBaseTransport):
    """A later BTCPay, which has another word for an invoice that is paid."""

    def __init__(self, real: httpx.AsyncBaseTransport) -> None:
        self._real = real

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._real.handle_async_request(request)
        body = (await answer.aread()).replace(b'"Settled"', b'"Ascended"')
        return httpx.Response(answer.status_code, content=body, headers={"content-type": "application/json"})


async def test_a_word_nobody_knows_changes_nothing_and_calls_a_person(counter: Counter) -> None:  # D-27
    order = await counter.buy()
    counter.deaf = True
    await counter.fake.pay(await counter.invoice_of(order))
    async with aclosing(HttpClient(transport=NewWords(counter.fake.transport))) as http:
        tills = Tills(counter.store, counter.vault, http)
        for _ in range(2):
            await collect(replace(counter.desk(LOOKER), tills=tills), order.id)
    assert await status_of(counter, order) == S.AWAITING
    assert await counter.attention() == ["unknown_status"]
    await counter.travel(minutes=2)
    assert await status_of(counter, order) == S.FULFILLED
