"""Opening an order: its price, its provider's invoice, and what happens when that does not come."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from keysat.checkout.collect import collect, look_if_stale
from keysat.checkout.read import purchased
from keysat.checkout.tables import Order, OrderStatus
from keysat.customers.tables import Customer
from keysat.infra.tables import AttentionRow
from keysat.kit.errors import BadRequest, NotFound, UpstreamError
from keysat.licenses.tables import IssuerKey, IssuerStatus, License
from keysat.payments.disconnect import disconnect
from keysat.payments.provider import Rail
from keysat.payments.rates.board import RateUnavailable
from keysat.payments.rates.pins import clear_pin
from keysat.subscriptions.tables import Subscription
from tests.catalog.shelf import a_product, a_tier
from tests.checkout.counter import BUYER, LOOKER, Counter
from tests.conftest import TESTER

S = OrderStatus


async def only_order(counter: Counter) -> Order:
    async with counter.store.read() as read:
        return (await read.session.scalars(select(Order))).one()


async def test_fiat_is_converted_at_the_pin_and_the_order_keeps_the_evidence(counter: Counter) -> None:
    await a_tier(counter.store, "standard")
    order = await counter.buy("standard")
    assert (order.listed_currency, order.listed_value, order.amount_sats) == ("USD", 2500, 50_000)
    assert (order.exchange_rate_centibps, order.exchange_rate_source) == (500_000_000, "pin")
    invoice = counter.fake.invoices[await counter.invoice_of(order)]
    assert (str(invoice.amount), invoice.currency) == ("25.00", "USD")


async def test_a_price_in_sats_needs_no_rate(counter: Counter) -> None:
    await a_product(counter.store, "tool", price_sats=21_000)
    order = await counter.buy(None, product="tool")
    assert (order.listed_currency, order.amount_sats) == ("SAT", 21_000)
    assert (order.exchange_rate_centibps, order.exchange_rate_source, order.exchange_rate_evidence) == (None,) * 3


async def test_without_a_rate_the_provider_tells_the_sats(counter: Counter) -> None:
    async with counter.store.work(counter.now, TESTER) as work:
        await clear_pin(work, "USD")
    order = await counter.buy()
    assert order.exchange_rate_centibps is None
    assert order.amount_sats == counter.fake.invoices[await counter.invoice_of(order)].price_sats
    await counter.pay(order)
    assert (await counter.order(order.id)).status == S.FULFILLED


async def test_a_free_tier_asks_no_provider_and_gives_the_key_at_once(counter: Counter) -> None:
    await a_tier(counter.store, "free", price_sats_override=0)
    asked = len(counter.fake.requests)
    order = await counter.buy("free")
    assert (order.status, order.paid_how, order.amount_sats) == (S.FULFILLED, "free", 0)
    assert len(counter.fake.requests) == asked
    async with counter.store.read() as read:
        told = await purchased(read, counter.ring, order.id, "http://shop.test")
    assert told.checkout_url == ""
    assert told.btcpay_invoice_id == f"free-{order.invoice_id}"
    assert told.license_key == (await counter.poll(order)).license_key


async def test_the_answer_of_a_paid_purchase_has_no_key(counter: Counter) -> None:
    order = await counter.buy()
    async with counter.store.read() as read:
        told = await purchased(read, counter.ring, order.id, "http://shop.test")
    assert told.checkout_url.startswith("http://btcpay.test/i/")
    assert told.poll_url == f"http://shop.test/v1/purchase/{order.invoice_id}"
    assert (told.amount_sats, told.base_price_sats, told.discount_applied_sats) == (150_000, 150_000, 0)
    assert not told.license_key


async def test_a_shop_without_a_provider_says_so(counter: Counter) -> None:
    async with counter.store.work(counter.now, TESTER) as work:
        await disconnect(work, counter.tills.all()[0].id)
    await counter.tills.refresh()
    with pytest.raises(BadRequest, match="no payment provider"):
        await counter.buy()


@pytest.mark.parametrize(
    ("wish", "problem"),
    [
        ({"product": "nope"}, NotFound),
        ({"tier": "nope"}, NotFound),
        ({"offer": "nope"}, NotFound),
        ({"code": "SPRING"}, BadRequest),
        ({"rail": Rail.CARD}, BadRequest),
        ({"buyer_email": "not an address"}, BadRequest),
    ],
)
@pytest.mark.once
async def test_a_wish_that_cannot_be_met_writes_nothing(
    counter: Counter, wish: dict[str, str], problem: type[Exception]
) -> None:
    with pytest.raises(problem):
        await counter.buy(**wish)
    async with counter.store.read() as read:
        assert (await read.session.scalars(select(Order))).all() == []
        assert (await read.session.scalars(select(Customer))).all() == []


async def test_an_answer_that_got_lost_is_searched_for_and_not_repeated(counter: Counter) -> None:
    counter.fake.fail_next("lost_after", method="POST", path="/invoices")
    order = await counter.buy()
    assert order.status == S.AWAITING
    assert len([found for found in counter.fake.invoices.values() if found.amount == 75]) == 1


async def test_a_crash_between_asking_and_keeping_is_mended_by_the_reconciler(counter: Counter) -> None:
    """The invoice was made, its answer was lost, and so was the answer of the search."""
    counter.fake.fail_next("lost_after", method="POST", path="/invoices")
    counter.fake.fail_next("broken", method="GET", path="/invoices")
    with pytest.raises(UpstreamError):
        await counter.buy()
    assert (await only_order(counter)).status == S.DRAFT
    await counter.travel(minutes=1)
    order = await only_order(counter)
    assert order.status == S.AWAITING
    await counter.pay(order)
    assert (await counter.order(order.id)).status == S.FULFILLED


async def test_a_draft_that_was_never_opened_ends(counter: Counter) -> None:
    counter.fake.fail_next("garbage", method="POST", path="/invoices")
    counter.fake.fail_next("broken", method="GET", path="/invoices")
    with pytest.raises(UpstreamError):
        await counter.buy()
    counter.fake.invoices.clear()
    await counter.travel(minutes=15)
    ended = await only_order(counter)
    assert (ended.status, ended.failure) == (S.INVALID, "never_opened")


async def test_a_provider_that_was_not_reached_ends_the_draft_and_the_buyer_may_try_again(counter: Counter) -> None:
    counter.fake.fail_next("lost_before", method="POST", path="/invoices")
    with pytest.raises(UpstreamError, match="Nothing was charged"):
        await counter.buy()
    assert (await only_order(counter)).status == S.INVALID
    assert (await counter.buy()).status == S.AWAITING


async def test_a_provider_that_refuses_calls_the_operator(counter: Counter) -> None:
    for store in counter.fake.stores.values():
        store.methods = []
    with pytest.raises(UpstreamError):
        await counter.buy()
    assert "provider_refuses" in await counter.attention()


async def test_the_providers_words_are_for_the_operator_and_not_for_the_buyer(counter: Counter) -> None:  # W-40
    for store in counter.fake.stores.values():
        store.methods = []
    with pytest.raises(UpstreamError) as told:
        await counter.buy()
    async with counter.store.read() as read:
        [reason] = await read.session.scalars(select(AttentionRow.reason))
    said = reason.partition("opened no invoice: ")[2]
    assert said
    assert said not in told.value.message


async def test_the_same_browser_is_shown_its_open_order_again(counter: Counter) -> None:
    await a_tier(counter.store, "standard")
    first = await counter.buy(buyer_token="cookie")
    assert (await counter.buy(buyer_token="cookie")).id == first.id
    assert (await counter.buy("standard", buyer_token="cookie")).id != first.id
    assert (await counter.buy(buyer_token="another")).id != first.id
    assert (await counter.buy()).id != first.id
    await counter.travel(minutes=20)
    assert (await counter.buy(buyer_token="cookie")).id != first.id


async def test_an_email_makes_one_customer(counter: Counter) -> None:
    first = await counter.buy(buyer_email="Ann@Example.org")
    second = await counter.buy(buyer_email=" ann@example.org ")
    assert first.customer_id is not None
    assert first.customer_id == second.customer_id


async def test_a_paid_order_that_cannot_be_fulfilled_is_kept_and_tried_again(counter: Counter) -> None:
    order = await counter.buy()
    async with counter.store.work(counter.now, TESTER) as work:
        await work.session.execute(update(IssuerKey).values(status=IssuerStatus.VERIFYING))
    await counter.pay(order)
    paid = await counter.order(order.id)
    assert (paid.status, paid.failure, paid.failures) == (S.PAID, "service_unavailable", 1)
    assert (await counter.poll(order)).status == "pending"
    assert await counter.attention() == ["order_unfulfilled"]
    assert await counter.licenses() == 0
    await counter.travel(minutes=2)
    assert (await counter.order(order.id)).failures == 2
    async with counter.store.work(counter.now, TESTER) as work:
        await work.session.execute(update(IssuerKey).values(status=IssuerStatus.SIGNING))
    await counter.travel(minutes=11)
    assert (await counter.order(order.id)).status == S.FULFILLED
    assert await counter.licenses() == 1
    assert (await counter.events()).count("order.paid") == 1


async def test_twenty_looks_at_once_issue_one_license(counter: Counter) -> None:
    order = await counter.buy()
    counter.deaf = True
    await counter.fake.pay(await counter.invoice_of(order))
    looks = [collect(counter.desk(LOOKER), order.id) for _ in range(20)]
    outcomes = await asyncio.gather(*looks, return_exceptions=True)
    assert [outcome for outcome in outcomes if isinstance(outcome, BaseException)] == []
    assert await counter.licenses() == 1
    assert (await counter.events()).count("order.paid") == 1


async def test_a_waiting_page_makes_us_look_at_most_every_three_seconds(counter: Counter) -> None:
    order = await counter.buy()
    counter.deaf = True
    await counter.fake.pay(await counter.invoice_of(order))
    looks = await asyncio.gather(*(look_if_stale(counter.desk(BUYER), order) for _ in range(10)))
    assert looks.count(True) == 1
    assert (await counter.poll(order)).status == "settled"


async def test_a_recurring_tier_sells_one_period(counter: Counter) -> None:
    await a_tier(
        counter.store, "team", price_sats_override=1200, is_recurring=True,
        renewal_period={"count": 1, "unit": "month"}, grace_period_days=5,
    )  # fmt: skip
    order = await counter.buy("team")
    await counter.pay(order)
    async with counter.store.read() as read:
        license = (await read.session.scalars(select(License))).one()
        subscription = (await read.session.scalars(select(Subscription))).one()
    assert license.expires_at == subscription.paid_through
    assert timedelta(days=28) <= subscription.paid_through - subscription.anchor_at <= timedelta(days=31)
    assert license.grace_seconds == 5 * 86_400
    assert (subscription.listed_currency, subscription.listed_value) == ("USD", 1200)


async def test_who_comes_back_with_another_address_has_mended_it(counter: Counter) -> None:
    first = await counter.buy(buyer_token="cookie", buyer_email="ann@exmaple.org")
    again = await counter.buy(buyer_token="cookie", buyer_email="ann@example.org")
    assert again.id == first.id
    async with counter.store.read() as read:
        customer = await read.get(Customer, again.customer_id)
    assert customer.email == "ann@example.org"
    assert (await counter.buy(buyer_token="cookie")).customer_id == again.customer_id


async def test_another_rail_is_another_order(counter: Counter) -> None:
    first = await counter.buy(buyer_token="cookie", rail=Rail.LIGHTNING)
    assert (await counter.buy(buyer_token="cookie", rail=Rail.LIGHTNING)).id == first.id
    assert (await counter.buy(buyer_token="cookie", rail=Rail.ONCHAIN)).id != first.id


async def test_an_invoice_whose_sats_nobody_knows_is_told_honestly_and_kept(counter: Counter) -> None:
    async with counter.store.work(counter.now, TESTER) as work:
        await clear_pin(work, "USD")
    counter.fake.fail_next("broken", method="GET", path="/payment-methods")
    with pytest.raises(RateUnavailable, match="cannot be converted"):
        await counter.buy()
    order = await only_order(counter)
    assert (order.status, order.amount_sats, order.base_sats) == (S.AWAITING, None, None)
    assert (await counter.poll(order)).amount_sats == 0
    await counter.pay(order)
    assert (await counter.order(order.id)).status == S.FULFILLED


async def test_free_is_nought_sats_and_no_rate_is_none(counter: Counter) -> None:
    await a_tier(counter.store, "free", price_sats_override=0)
    given = await counter.buy("free", buyer_token="cookie")
    assert (given.amount_sats, given.base_sats) == (0, 0)
    assert (await counter.buy("free", buyer_token="cookie")).id == given.id
    await counter.travel(minutes=11)
    assert (await counter.buy("free", buyer_token="cookie")).id != given.id
