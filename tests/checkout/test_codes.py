"""Codes at the counter: what they take off, and uses that are neither lost nor spent twice."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from sqlalchemy import select

from keysat.catalog import discounts
from keysat.catalog.discounts import DiscountEdit
from keysat.catalog.tables import DiscountDuration
from keysat.checkout.codes import CodeRefused
from keysat.checkout.invariants import broken
from keysat.checkout.operate import accept, refuse
from keysat.checkout.order import purchase
from keysat.checkout.preview import preview
from keysat.checkout.tables import Order, OrderStatus, Redemption, RedemptionStatus
from keysat.checkout.trials import unlimited
from keysat.checkout.wish import Wish
from keysat.infra.tables import EventRow
from keysat.kit.errors import BadRequest, Conflict, UpstreamError
from keysat.kit.money import Money
from keysat.payments.rates.board import RateUnavailable
from keysat.payments.rates.pins import clear_pin, set_pin
from keysat.subscriptions.tables import Subscription
from tests.catalog.shelf import MONTHLY, a_code, a_product, a_tier, code_now
from tests.checkout.counter import BUYER, Counter
from tests.conftest import TESTER

S = RedemptionStatus
RACERS = 30  # more than there are connections


async def use_of(counter: Counter, order: Order) -> Redemption:
    async with counter.store.read() as read:
        return (await read.session.scalars(select(Redemption).where(Redemption.order_id == order.id))).one()


async def used(counter: Counter, code: str) -> int:
    return (await code_now(counter.store, code)).used_count


async def well(counter: Counter) -> list[str]:
    async with counter.store.read() as read:
        return await broken(read, counter.now)


async def charged(counter: Counter, order: Order) -> str:
    invoice = counter.fake.invoices[await counter.invoice_of(order)]
    return f"{invoice.amount} {invoice.currency}"


async def refused(counter: Counter, **wish: Any) -> str:
    with pytest.raises(CodeRefused) as raised:
        await counter.buy(**wish)
    return raised.value.why


async def without_rate(counter: Counter) -> None:
    async with counter.store.work(counter.now, TESTER) as work:
        await clear_pin(work, "USD")


@pytest.mark.parametrize(
    ("fields", "listed", "sats", "asked"),
    [
        ({"kind": "percent", "amount": 2000}, 6000, 120_000, "60.00 USD"),
        ({"kind": "percent", "amount": 2}, 7499, 149_980, "74.99 USD"),  # what is taken off is rounded down
        ({"kind": "fixed", "amount": 1000, "discount_currency": "USD"}, 6500, 130_000, "65.00 USD"),
        ({"kind": "set_price", "amount": 2000, "discount_currency": "USD"}, 2000, 40_000, "20.00 USD"),
        ({"kind": "fixed_sats", "amount": 1000}, 7450, 149_000, "149000 SATS"),
        ({"kind": "set_price", "amount": 777}, 39, 777, "777 SATS"),
    ],
)
@pytest.mark.once
async def test_each_kind_takes_off_what_it_says_in_its_own_currency(
    counter: Counter, fields: dict[str, Any], listed: int, sats: int, asked: str
) -> None:
    await a_code(counter.store, "SPRING", **fields)
    order = await counter.buy(code=" spring ")
    assert (order.listed_currency, order.base_value, order.listed_value) == ("USD", 7500, listed)
    assert (order.base_sats, order.amount_sats) == (150_000, sats)
    assert await charged(counter, order) == asked
    shown = await preview(counter.desk(BUYER), "Spring", "app", "pro", None)
    assert (shown.valid, shown.final_price_sats, shown.final_price_value) == (True, sats, listed)
    await counter.pay(order)
    assert (await counter.order(order.id)).status == OrderStatus.FULFILLED
    assert (await use_of(counter, order)).status == S.REDEEMED
    assert await well(counter) == []


@pytest.mark.once
async def test_whatever_the_code_the_provider_charges_what_the_preview_said(counter: Counter) -> None:
    """Codes and prices by chance: never below nothing, never above the list price, never in another currency."""
    chance = Random(21)
    async with counter.store.work(counter.now, TESTER) as work:
        await set_pin(work, "JPY", Decimal(15_000_000))
    for number in range(18):
        slug, currency = f"app-{number}", ("USD", "JPY", "SAT")[number % 3]
        price = chance.randint(1, 10 ** chance.randint(1, 7))
        await a_product(counter.store, slug, price_currency=currency, price_value=price)
        kind, unit = chance.choice(("percent", "fixed", "set_price")), chance.choice((currency, "SAT"))
        amount = chance.randint(0, 10_000) if kind == "percent" else chance.randint(1, 2 * price)
        await a_code(counter.store, slug, kind, amount, **({} if kind == "percent" else {"discount_currency": unit}))
        shown = await preview(counter.desk(BUYER), slug, slug, None, None)
        order = await counter.buy(None, product=slug, code=slug)
        told = (shown.base_price_value, shown.final_price_value, shown.base_price_sats, shown.final_price_sats)
        assert told == (price, order.listed_value, order.base_sats, order.amount_sats)
        assert 0 <= order.listed_value <= price
        assert order.amount_sats is not None
        assert order.base_sats is not None
        assert 0 <= order.amount_sats <= order.base_sats
        assert order.listed_currency == shown.price_currency == currency
        asked = (
            Money("SAT", order.amount_sats) if shown.discount_currency == "SAT" else Money(currency, order.listed_value)
        )
        if order.status == OrderStatus.AWAITING:
            assert Decimal((await charged(counter, order)).split()[0]) == Decimal(asked.decimal_text())
            assert (await charged(counter, order)).split()[1] == ("SATS" if asked.currency == "SAT" else currency)
        else:
            assert (order.status, asked.minor) == (OrderStatus.FULFILLED, 0)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "free_license", "amount": 0},
        {"kind": "percent", "amount": 10_000},
        {"kind": "fixed", "amount": 8000, "discount_currency": "USD"},
        {"kind": "fixed_sats", "amount": 200_000},
    ],
)
@pytest.mark.once
async def test_a_price_of_0_needs_no_payment(counter: Counter, fields: dict[str, Any]) -> None:
    await a_code(counter.store, "GIFT", **fields)
    asked = len(counter.fake.requests)
    order = await counter.buy(code="GIFT")
    assert (order.status, order.paid_how, order.amount_sats) == (OrderStatus.FULFILLED, "free", 0)
    assert (order.base_value, order.base_sats) == (7500, 150_000)
    assert len(counter.fake.requests) == asked
    assert (await use_of(counter, order)).status == S.REDEEMED
    assert await well(counter) == []


async def test_what_does_not_apply_is_refused_with_its_reason_and_leaves_nothing(counter: Counter) -> None:
    await a_product(counter.store, "other", price_sats=5000)
    await a_tier(counter.store, "max", price_sats_override=9000)
    await a_code(counter.store, "OTHER", product_slug="other")
    await a_code(counter.store, "EURO", "fixed", 100, discount_currency="EUR")
    await a_code(counter.store, "MAX", product_slug="app", policy_slugs=["max"])
    await a_code(counter.store, "LATE", expires_at=(counter.now + timedelta(seconds=5)).isoformat())
    off = await a_code(counter.store, "OFF")
    async with counter.store.work(counter.now, TESTER) as work:
        await discounts.set_active(work, off.id, False)
    counter.clock.move(counter.now + timedelta(seconds=5))
    reasons = {code: await refused(counter, code=code) for code in ("?", "NOPE", "OTHER", "EURO", "MAX", "LATE", "OFF")}
    assert reasons == {
        "?": "unknown_code",
        "NOPE": "unknown_code",
        "OTHER": "wrong_product",
        "EURO": "wrong_currency",
        "MAX": "wrong_tier",
        "LATE": "expired",
        "OFF": "disabled",
    }
    for code, reason in reasons.items():
        shown = await preview(counter.desk(BUYER), code, "app", "pro", None)
        assert (shown.valid, shown.reason, shown.base_price_sats) == (False, reason, 150_000)
    async with counter.store.read() as read:
        assert (await read.session.scalars(select(Order))).all() == []
    assert (await counter.buy("max", code="MAX")).listed_value == 7200


async def test_a_restriction_to_tiers_holds_when_no_tier_is_named(counter: Counter) -> None:
    """W-11, D-26: the default tier is judged like one that was named; a free license takes one of its own tiers."""
    await a_tier(counter.store, "default", price_sats_override=1000)
    await a_tier(counter.store, "max", price_sats_override=9000)
    await a_code(counter.store, "PRO", product_slug="app", policy_slugs=["pro"])
    await a_code(counter.store, "FREE", "free_license", 0, product_slug="app", policy_slugs=["pro", "max"])
    assert await refused(counter, tier=None, code="PRO") == "wrong_tier"
    with pytest.raises(CodeRefused, match="only for Pro"):
        await counter.buy("max", code="PRO")
    order = await counter.buy(None, code="FREE")
    assert order.base_value == 7500
    assert await refused(counter, tier="default", code="FREE") == "wrong_tier"


async def test_the_last_uses_go_to_exactly_as_many_as_there_are(counter: Counter) -> None:
    await a_code(counter.store, "FEW", max_uses=7)
    await a_code(counter.store, "GIFT", "free_license", 0, max_uses=3)
    for code, uses in (("FEW", 7), ("GIFT", 3)):
        outcomes = await asyncio.gather(*(counter.buy(code=code) for _ in range(RACERS)), return_exceptions=True)
        lost = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert len(outcomes) - len(lost) == uses
        assert {type(one) for one in lost} == {CodeRefused}
        assert {one.why for one in lost if isinstance(one, CodeRefused)} == {"exhausted"}
        assert await used(counter, code) == uses
    assert await counter.licenses() == 3
    assert await well(counter) == []


async def test_a_featured_code_that_runs_out_in_the_race_leaves_the_list_price(counter: Counter) -> None:
    """W-42: nobody typed it, so nobody is told of it."""
    await a_code(counter.store, "SALE", featured=True, max_uses=5)
    orders = await asyncio.gather(*(counter.buy() for _ in range(RACERS)))
    prices = [order.listed_value for order in orders]
    assert (prices.count(6000), prices.count(7500)) == (5, RACERS - 5)
    assert await used(counter, "SALE") == 5
    assert await well(counter) == []


async def test_a_featured_code_applies_when_a_tier_was_chosen_and_can_be_declined(counter: Counter) -> None:
    await a_tier(counter.store, "free", price_sats_override=0)
    await a_code(counter.store, "ALL", amount=1000, featured=True)
    await a_code(counter.store, "APP", amount=2000, featured=True, product_slug="app")
    await a_code(counter.store, "TIER", amount=3000, featured=True, product_slug="app", policy_slugs=["pro"])
    assert (await counter.buy()).listed_value == 5250
    assert (await counter.buy(code="ALL")).listed_value == 6750
    assert (await counter.buy(takes_featured=False)).listed_value == 7500
    assert (await counter.buy(None)).listed_value == 7500
    assert (await counter.buy("free")).status == OrderStatus.FULFILLED
    assert [await used(counter, code) for code in ("ALL", "APP", "TIER")] == [1, 0, 1]


async def test_a_use_lives_as_long_as_its_order_can_be_paid(counter: Counter) -> None:
    await a_code(counter.store, "ONE", max_uses=1)
    order = await counter.buy(code="ONE")
    await counter.travel(hours=24)  # the invoice expired long ago, but late money would still pay by itself
    assert (await use_of(counter, order)).status == S.RESERVED
    assert await refused(counter, code="ONE") == "exhausted"
    await counter.travel(hours=1)
    assert (await use_of(counter, order)).status == S.RELEASED
    assert await used(counter, "ONE") == 0
    assert await well(counter) == []
    second = await counter.buy(code="ONE")
    await counter.pay(second)
    await counter.pay(order)
    assert (await counter.order(order.id)).status == OrderStatus.REVIEW
    async with counter.store.work(counter.now, TESTER) as work:
        await accept(work, order.id)
    assert (await use_of(counter, order)).status == S.REDEEMED
    assert await used(counter, "ONE") == 2  # beyond its limit: the price was promised
    assert await well(counter) == []


async def test_money_that_was_seen_holds_the_use_and_a_refusal_gives_it_back(counter: Counter) -> None:
    await a_code(counter.store, "TWO", max_uses=2)
    part, none = await counter.buy(code="TWO"), await counter.buy(code="TWO")
    await counter.pay(part, percent=50)
    await counter.travel(hours=1)
    async with counter.store.work(counter.now, TESTER) as work:
        assert (await refuse(work, none.id)).status == OrderStatus.EXPIRED
    with pytest.raises(Conflict, match="is expired already, and holds no use of a code"):
        async with counter.store.work(counter.now, TESTER) as work:
            await refuse(work, none.id)
    await counter.travel(days=3)
    assert (await use_of(counter, part)).status == S.RESERVED
    assert await used(counter, "TWO") == 1
    assert await well(counter) == []
    async with counter.store.work(counter.now, TESTER) as work:
        await refuse(work, part.id)
    assert await used(counter, "TWO") == 0
    assert await well(counter) == []


async def test_an_order_that_never_opened_gives_its_use_back_at_once(counter: Counter) -> None:
    """W-44: no path leaks a use."""
    await a_code(counter.store, "ONE", max_uses=1)
    counter.fake.fail_next("lost_before", method="POST", path="/invoices")
    with pytest.raises(UpstreamError):
        await counter.buy(code="ONE")
    assert await used(counter, "ONE") == 0
    with pytest.raises(BadRequest):
        await counter.buy(code="ONE", buyer_email="not an address")
    assert await used(counter, "ONE") == 0
    order = await counter.buy(code="ONE")
    await counter.pay(order)
    assert await used(counter, "ONE") == 1
    assert await well(counter) == []


async def test_an_edit_of_the_code_changes_no_open_order(counter: Counter) -> None:
    code = await a_code(counter.store, "SPRING", duration="cycles", duration_cycles=3)
    order = await counter.buy(code="SPRING")
    async with counter.store.work(counter.now, TESTER) as work:
        await discounts.edit(
            work,
            code.id,
            DiscountEdit(amount=9000, expires_at=counter.now + timedelta(seconds=1), duration=DiscountDuration.FOREVER),
        )
    await counter.pay(order)
    use = await use_of(counter, order)
    assert (use.status, use.amount, use.cycles) == (S.REDEEMED, 2000, 3)
    assert (await counter.order(order.id)).listed_value == 6000


async def test_a_code_is_not_in_the_price_a_subscription_renews_at(counter: Counter) -> None:
    """W-22: neither for fiat nor for sats."""
    await a_product(counter.store, "tool", price_sats=10_000)
    await a_tier(counter.store, "team", price_sats_override=1200, **MONTHLY)
    await a_tier(counter.store, "team", "tool", price_sats_override=10_000, **MONTHLY)
    await a_code(counter.store, "HALF", amount=5000)
    await a_code(counter.store, "SATS", "fixed_sats", 1000)
    for wish in ({"code": "HALF"}, {"code": "SATS"}, {"code": "HALF", "product": "tool"}):
        await counter.pay(await counter.buy("team", **wish))
    async with counter.store.read() as read:
        rows = (await read.session.scalars(select(Subscription).order_by(Subscription.id))).all()
    prices = sorted((row.listed_currency, row.listed_value) for row in rows)
    assert prices == [("SAT", 10_000), ("USD", 1200), ("USD", 1200)]


async def test_a_code_in_sats_needs_a_rate_and_other_codes_do_not(counter: Counter) -> None:
    await a_code(counter.store, "SATS", "fixed_sats", 1000)
    await a_code(counter.store, "FIFTH")
    await a_code(counter.store, "GIFT", "free_license", 0)
    await without_rate(counter)
    with pytest.raises(RateUnavailable):
        await counter.buy(code="SATS")
    with pytest.raises(RateUnavailable):
        await preview(counter.desk(BUYER), "SATS", "app", "pro", None)
    shown = await preview(counter.desk(BUYER), "FIFTH", "app", "pro", None)
    assert (shown.valid, shown.final_price_sats, shown.final_price_value, shown.price_currency) == (
        True,
        0,
        6000,
        "USD",
    )
    order = await counter.buy(code="FIFTH")
    assert order.listed_value == 6000
    assert order.base_sats is not None
    assert order.amount_sats is not None
    assert 0 <= order.base_sats * 6000 - order.amount_sats * 7500 < 6000  # the sats are the provider's
    assert (await counter.buy(code="GIFT")).status == OrderStatus.FULFILLED
    await a_code(counter.store, "AUTO", "fixed_sats", 1000, featured=True)
    assert (await counter.buy()).listed_value == 7500


async def test_the_same_browser_gets_its_order_back_even_when_it_holds_the_last_use(counter: Counter) -> None:
    await a_code(counter.store, "ONE", max_uses=1)
    first = await counter.buy(code="ONE", buyer_token="cookie")
    assert (await counter.buy(code="one", buyer_token="cookie")).id == first.id
    assert (await counter.buy(buyer_token="cookie")).id != first.id


async def test_redeeming_alone_tells_the_world_and_without_secrets(counter: Counter) -> None:
    await a_code(counter.store, "SPRING")
    order = await counter.buy(code="SPRING", buyer_email="ann@example.org")
    await counter.pay(order)
    async with counter.store.read() as read:
        rows = (await read.session.execute(select(EventRow.name, EventRow.body).order_by(EventRow.id))).all()
    told = [body for name, body in rows if name == "code.redeemed"]
    assert len(told) == 1
    for part in ('"code":"SPRING"', '"discount_applied_sats":30000', '"final_price_sats":120000', str(order.id)):
        assert part in told[0]
    assert all(order.invoice_id not in body and "ann@example.org" not in body for _, body in rows)


async def test_only_what_is_free_is_redeemed(counter: Counter) -> None:
    await a_code(counter.store, "FIFTH")
    with pytest.raises(BadRequest, match="requires payment"):
        await purchase(counter.desk(BUYER), Wish("app", "pro", code="FIFTH", only_free=True), unlimited)
    assert await used(counter, "FIFTH") == 0
