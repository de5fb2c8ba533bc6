from typing import Any

import pytest

from keysat.catalog import offers, policies, products, read
from keysat.catalog.tiers import tier_named
from keysat.infra.store import Store
from keysat.kit.errors import BadRequest, NotFound
from keysat.kit.money import Money
from keysat.kit.periods import Period, Unit
from tests.catalog.shelf import MONTHLY, a_product, a_tier
from tests.conftest import NOON, TESTER

pytestmark = pytest.mark.once
Picked = tuple[str | None, int]


async def chosen(
    store: Store, product: str, policy: str | None = None, offer: str | None = None
) -> tuple[str | None, int]:
    async with store.read() as reading:
        choice = await read.choose(reading, product, policy, offer)
    return choice.policy and choice.policy.slug, choice.price.minor


async def test_a_product_without_tiers_sells_itself(store: Store):
    await a_product(store)
    assert await chosen(store, "app") == (None, 5000)
    with pytest.raises(NotFound, match="has no offer"):
        await chosen(store, "app", None, "yearly")


async def test_unknown_things_are_not_found_and_only_the_operator_is_told_what_there_is(store: Store):
    await a_product(store)
    await a_tier(store, "secret", public=False)
    for slugs in (("none",), ("a\0b",), ("app", "pro")):
        with pytest.raises(NotFound) as refused:
            await chosen(store, *slugs)
        assert "secret" not in refused.value.message
    async with store.read() as reading:
        app = await read.product_by_slug(reading, "app")
        tiers = await read.policies(reading, app)
    with pytest.raises(NotFound, match="it has secret"):
        tier_named(app, tiers, "pro", by_operator=True)


async def test_an_inactive_product_sells_nothing(store: Store):
    made = await a_product(store)
    await a_tier(store, "pro")
    async with store.work(NOON, TESTER) as work:
        await products.set_active(work, made.id, False)
    for slugs in (("app",), ("app", "pro")):
        with pytest.raises(BadRequest, match="not on sale"):
            await chosen(store, *slugs)


@pytest.mark.parametrize(
    ("switch", "advice"), [("set_active", "not on sale"), ("set_public", "publicly"), ("set_archived", "archived")]
)
async def test_a_tier_that_is_not_open_is_refused_by_name_and_never_the_default(store: Store, switch: str, advice: str):
    await a_product(store)
    made = await a_tier(store, "default", highlighted=True)
    async with store.work(NOON, TESTER) as work:
        await getattr(policies, switch)(work, made.id, switch == "set_archived")
    with pytest.raises(BadRequest, match=advice):
        await chosen(store, "app", "default")
    with pytest.raises(BadRequest, match="make one of them active and public"):
        await chosen(store, "app")
    await a_tier(store, "other", price_sats_override=7)
    assert await chosen(store, "app", "") == ("other", 7)


@pytest.mark.parametrize(
    ("tiers", "picked"),
    [
        ({"default": {"price_value": 9}, "best": {"highlighted": True}, "low": {"price_value": 1}}, ("default", 9)),
        ({"best": {"highlighted": True}, "low": {"price_value": 1}, "free": {"price_value": 0}}, ("best", 5000)),
        ({"inherits": {}, "low": {"price_value": 1}, "free": {"price_value": 0}}, ("low", 1)),
        ({"inherits": {}, "high": {"price_value": 6000}, "free": {"price_value": 0}}, ("inherits", 5000)),
        ({"free": {"price_value": 0}}, ("free", 0)),
    ],
)
async def test_without_a_tier_the_rules_pick_one_and_its_own_price(
    store: Store, tiers: dict[str, dict[str, Any]], picked: tuple[str, int]
):
    await a_product(store)
    for slug, fields in tiers.items():
        await a_tier(store, slug, **fields)
    assert await chosen(store, "app") == picked


async def test_tiers_are_sorted_by_what_they_really_cost(store: Store):
    product = await a_product(store)
    for slug, price in (("inherits", None), ("cheap", 100), ("dear", 6000), ("free", 0), ("also-cheap", 100)):
        await a_tier(store, slug, price_sats_override=price)
    await a_tier(store, "private", public=False)
    async with store.read() as reading:
        tiers = await read.public_tiers(reading, product)
    assert [tier.slug for tier in tiers] == ["free", "also-cheap", "cheap", "inherits", "dear"]


async def test_an_offer_brings_its_price_and_its_period(store: Store):
    await a_product(store, price_currency="EUR", price_value=900)
    tier = await a_tier(store, "pro", **MONTHLY)
    async with store.work(NOON, TESTER) as work:
        await offers.create(work, tier.id, offers.NewOffer(slug="yearly", price_value=9000, renewal_period_days=365))
        await offers.create(work, tier.id, offers.NewOffer(slug="student", price_value=450))
        await offers.create(work, tier.id, offers.NewOffer(slug="gone", price_value=1, active=False))
    async with store.read() as reading:
        plain = await read.choose(reading, "app", "pro")
        yearly = await read.choose(reading, "app", "pro", "yearly")
        student = await read.choose(reading, "app", None, "student")
        assert (plain.price, plain.period) == (Money("EUR", 900), Period(1, Unit.MONTH))
        assert (yearly.price, yearly.period) == (Money("EUR", 9000), Period(365, Unit.DAY))
        assert (student.price, student.period) == (Money("EUR", 450), Period(1, Unit.MONTH))
        with pytest.raises(BadRequest, match="not on sale"):
            await read.choose(reading, "app", "pro", "gone")
        with pytest.raises(NotFound, match="no offer 'weekly'"):
            await read.choose(reading, "app", "pro", "weekly")
