from typing import Any

import pytest

from keysat.catalog.read import product_by_slug, public_tiers
from keysat.infra.store import Store
from keysat.kit.money import BtcRate, Money
from keysat.payments.provider import Rail
from keysat.payments.rates.board import RateEvidence
from keysat.web.public.cards import Card, cards, preselected
from tests.catalog.shelf import a_code, a_product, a_tier
from tests.conftest import NOON

pytestmark = pytest.mark.once

FEATURES = [
    {"slug": "raw", "name": "Raw development", "description": "All cameras"},
    {"slug": "internal", "name": "Internal", "description": ""},
]
RATE = RateEvidence(BtcRate("USD", 500_000_000), "pin", (), NOON)


async def shown(store: Store, rate: RateEvidence | None = RATE, **tier: Any) -> Card:
    await a_product(store, price_currency="USD", price_value=2500, entitlements_catalog=FEATURES)
    await a_tier(store, "pro", **tier)
    async with store.read() as read:
        product = await product_by_slug(read, "app")
        return cards(product, await public_tiers(read, product), rate, [Rail.LIGHTNING], now=NOON)[0]


async def test_a_price_is_shown_in_fiat_and_in_sats(store: Store):
    [option] = (await shown(store)).options
    assert (option.price, option.sats) == (Money("USD", 2500), Money("SAT", 50_000))
    assert (option.cadence, option.validity, option.act) == ("", "for ever", "Pay $25.00 with Bitcoin")


async def test_without_a_rate_the_sats_are_left_out_and_nobody_waits(store: Store):
    assert (await shown(store, rate=None)).options[0].sats is None


async def test_a_price_beyond_all_bitcoin_breaks_no_page(store: Store):
    assert (await shown(store, price_value=2**53 - 1)).options[0].sats is None


async def test_entitlements_are_told_by_name_and_hidden_ones_are_not_told(store: Store):
    slugs = ["raw", "internal"]
    card = await shown(store, entitlements=slugs, hidden_entitlements=["internal"], marketing_bullets=["Fast"])
    assert [(line.text, line.hint) for line in card.lines] == [("Fast", ""), ("Raw development", "All cameras")]


async def test_bullets_may_stand_below(store: Store):
    card = await shown(
        store, entitlements=["raw"], marketing_bullets=["Fast"], marketing_bullets_position="below", max_machines=3
    )
    assert [line.text for line in card.lines] == ["Raw development", "Fast"]
    assert card.seats == "3 devices"


async def test_a_recurring_tier_says_how_often_and_what_comes_next(store: Store):
    period = {"count": 1, "unit": "month"}
    [option] = (await shown(store, is_recurring=True, renewal_period=period)).options
    assert (option.cadence, option.validity) == ("/ month", "for 1 month")
    assert option.follows.startswith("Next payment: $25.00 by 15 Feb 2026, if you go on.")


@pytest.mark.parametrize(
    ("code", "now", "then"),
    [
        ({}, 2000, "$25.00"),  # once
        ({"duration": "cycles", "duration_cycles": 3}, 2000, "$20.00"),
        ({"kind": "fixed_sats", "amount": 10_000, "duration": "forever"}, 40_000, "about $20.00"),
    ],
)
async def test_what_comes_next_costs_the_list_price_unless_the_code_holds_for_it(
    store: Store, code: dict[str, Any], now: int, then: str
):
    await a_product(store, price_currency="USD", price_value=2500)
    await a_tier(store, "pro", is_recurring=True, renewal_period={"count": 1, "unit": "month"})
    discount = await a_code(store, "SAVE", **code)
    async with store.read() as read:
        product = await product_by_slug(read, "app")
        tiers = await public_tiers(read, product)
    [card] = cards(product, tiers, RATE, [Rail.LIGHTNING], lambda _: discount, now=NOON)
    assert card.options[0].price.minor == now
    assert f"Next payment: {then} by" in card.options[0].follows


async def test_a_link_to_a_tier_chooses_it_and_a_dead_link_chooses_as_a_purchase_would(store: Store):
    await shown(store)
    await a_tier(store, "free", price_value=0)
    async with store.read() as read:
        product = await product_by_slug(read, "app")
        tiers = await public_tiers(read, product)
    assert preselected(product, tiers, "free", None).value == "free"
    assert preselected(product, tiers, "gone", "gone").value == "pro"
