from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from keysat.catalog import offers, policies, products, read
from keysat.catalog.views import ProductView
from keysat.infra.store import Store
from keysat.kit.errors import BadRequest, Conflict, NotFound
from keysat.kit.money import MAX_MINOR, MAX_SATS, Money
from tests.catalog.shelf import a_product, a_tier, events
from tests.conftest import NOON, TESTER


async def edited(store: Store, product_id: UUID, **fields: Any) -> ProductView:
    async with store.work(NOON + timedelta(hours=1), TESTER) as work:
        return await products.edit(work, product_id, msgspec.convert(fields, products.ProductEdit))


async def test_a_product_is_read_back_as_it_was_written(store: Store):
    made = await a_product(
        store,
        description="Two\nlines",
        price_currency="CHF",
        price_value=4900,
        metadata={"internal": 1, "public": {"home": "x"}},
        entitlements_catalog=[{"slug": "raw", "name": "RAW files"}, {"slug": "core", "name": "Core"}],
    )
    async with store.read() as reading:
        found = await read.product_by_slug(reading, "app")
    assert found == made
    assert found.price == Money("CHF", 4900)
    assert [feature.slug for feature in found.features] == ["raw", "core"]
    assert found.created_at == found.updated_at == NOON
    assert await events(store) == ["product.created"]


async def test_a_slug_is_given_once(store: Store):
    await a_product(store)
    with pytest.raises(Conflict, match="app already"):
        await a_product(store)


@pytest.mark.once
@pytest.mark.parametrize(
    ("price", "money"),
    [
        ({"price_sats": 0}, Money("SAT", 0)),
        ({"price_sats": 7}, Money("SAT", 7)),
        ({"price_currency": "USD", "price_value": 2500}, Money("USD", 2500)),
        ({"price_currency": "usd", "price_value": 2500}, Money("USD", 2500)),
        ({"price_sats": 7, "price_currency": "SAT", "price_value": 7}, Money("SAT", 7)),
        ({"price_sats": None, "price_currency": "JPY", "price_value": MAX_MINOR}, Money("JPY", MAX_MINOR)),
    ],
)
async def test_a_price_has_two_spellings(store: Store, price: dict[str, Any], money: Money):
    async with store.work(NOON, TESTER) as work:
        made = await products.create(
            work, msgspec.convert({"slug": "app", "name": "App", **price}, products.NewProduct)
        )
    assert made.price == money


@pytest.mark.once
@pytest.mark.parametrize(
    ("fields", "advice"),
    [
        ({}, "price is missing"),
        ({"price_currency": "USD"}, "go together"),
        ({"price_value": 5}, "go together"),
        ({"price_sats": 5, "price_currency": "SAT", "price_value": 6}, "different prices"),
        ({"price_sats": 5, "price_currency": "USD", "price_value": 5}, "different prices"),
        ({"price_sats": -1}, "price_sats is -1"),
        ({"price_sats": MAX_SATS + 1}, f"whole number from 0 to {MAX_SATS}"),
        ({"price_currency": "SAT", "price_value": MAX_SATS + 1}, f"whole number from 0 to {MAX_SATS}"),
        ({"price_currency": "USD", "price_value": MAX_MINOR + 1}, f"whole number from 0 to {MAX_MINOR}"),
        ({"price_currency": "usx", "price_value": 5}, "is not a currency"),
        ({"price_sats": 1, "slug": "App"}, "is not a slug"),
        ({"price_sats": 1, "slug": "a" * 64}, "is not a slug"),
        ({"price_sats": 1, "name": " "}, "name is empty"),
        ({"price_sats": 1, "name": "n" * 201}, "Shorten it to 200"),
        ({"price_sats": 1, "name": "n\0"}, "control characters"),
        ({"price_sats": 1, "description": "d" * 10_001}, "Shorten it to 10000"),
        ({"price_sats": 1, "metadata": {"text": "x" * 20_000}}, "metadata takes"),
        ({"price_sats": 1, "entitlements_catalog": [{"slug": "Raw", "name": "R"}]}, "is not an entitlement"),
        ({"price_sats": 1, "entitlements_catalog": [{"slug": "raw", "name": "R"}] * 2}, "more than once"),
        ({"price_sats": 1, "entitlements_catalog": [{"slug": "raw", "name": ""}]}, "name is empty"),
    ],
)
async def test_what_cannot_be_sold_is_refused_with_advice(store: Store, fields: dict[str, Any], advice: str):
    body = {"slug": "app", "name": "App", **fields}
    with pytest.raises(BadRequest, match=advice):
        async with store.work(NOON, TESTER) as work:
            await products.create(work, msgspec.convert(body, products.NewProduct))


@pytest.mark.once
async def test_metadata_may_not_be_a_tower(store: Store):
    tower: dict[str, Any] = {}
    for _ in range(20):
        tower = {"in": [tower]}
    with pytest.raises(BadRequest, match="nested"):
        await a_product(store, metadata=tower)


@pytest.mark.once
def test_a_misspelt_field_is_refused():
    with pytest.raises(msgspec.ValidationError, match="price_stas"):
        msgspec.convert({"slug": "app", "name": "App", "price_stas": 1}, products.NewProduct)


async def test_an_edit_changes_what_it_names_and_nothing_else(store: Store):
    made = await a_product(store, description="old", metadata={"a": 1})
    after = await edited(store, made.id, name="New", description=None)
    assert (after.name, after.description, after.details, after.price) == ("New", "", {"a": 1}, made.price)
    assert after.updated_at == NOON + timedelta(hours=1)
    assert await edited(store, made.id, name="New") == after
    assert await events(store) == ["product.created", "product.updated"]


async def test_an_unknown_merchant_profile_leaves_nothing_behind(store: Store):
    with pytest.raises(NotFound, match="merchant profile"):
        await a_product(store, merchant_profile_id="00000000-0000-4000-8000-000000000000")
    async with store.read() as reading:
        assert (await read.products(reading, include_inactive=True)).items == []


async def test_the_entitlement_catalog_is_replaced_and_what_stays_keeps_its_id(store: Store):
    made = await a_product(
        store, entitlements_catalog=[{"slug": "raw", "name": "RAW"}, {"slug": "core", "name": "Core"}]
    )
    ids = {feature.slug: feature.id for feature in made.features}
    after = await edited(
        store, made.id, entitlements_catalog=[{"slug": "cloud", "name": "Cloud"}, {"slug": "raw", "name": "Raw files"}]
    )
    assert [(feature.slug, feature.name) for feature in after.features] == [("cloud", "Cloud"), ("raw", "Raw files")]
    assert after.features[1].id == ids["raw"]
    assert (await edited(store, made.id, entitlements_catalog=None)).features == ()


async def test_a_catalog_may_not_forget_what_a_tier_grants(store: Store):
    made = await a_product(store, entitlements_catalog=[{"slug": "raw", "name": "RAW"}])
    await a_tier(store, "pro", entitlements=["raw"])
    with pytest.raises(Conflict, match="pro grants raw"):
        await edited(store, made.id, entitlements_catalog=[{"slug": "core", "name": "Core"}])
    assert (await edited(store, made.id, entitlements_catalog=[])).features == ()


async def test_another_currency_wants_every_own_price_again(store: Store):
    made = await a_product(store)
    await a_tier(store, "basic")
    await a_tier(store, "free", price_sats_override=0)
    pro = await a_tier(store, "pro", price_sats_override=9000, is_recurring=True, renewal_period_days=30)
    async with store.work(NOON, TESTER) as work:
        await offers.create(work, pro.id, offers.NewOffer(slug="yearly", price_value=90_000, renewal_period_days=365))
    euro = {"price_currency": "EUR", "price_value": 4900}
    with pytest.raises(BadRequest, match="each of: free, pro, pro/yearly"):
        await edited(store, made.id, **euro)
    with pytest.raises(BadRequest, match="names max"):
        await edited(store, made.id, **euro, tier_prices={"max": 1})
    with pytest.raises(BadRequest, match="needs a price of its own"):
        await edited(store, made.id, **euro, tier_prices={"free": 0, "pro": 1, "pro/yearly": None})
    after = await edited(store, made.id, **euro, tier_prices={"free": 0, "pro": None, "pro/yearly": 49_000})
    async with store.read() as reading:
        tiers = {tier.slug: tier for tier in await read.policies(reading, after)}
    assert after.price == Money("EUR", 4900)
    assert (tiers["basic"].price_value, tiers["free"].price_value, tiers["pro"].price_value) == (None, 0, None)
    assert tiers["pro"].offers[0].price_value == 49_000


async def test_tier_prices_go_with_another_currency_only(store: Store):
    made = await a_product(store)
    with pytest.raises(BadRequest, match="another price_currency only"):
        await edited(store, made.id, price_sats=1, tier_prices={})


async def test_an_inactive_product_is_listed_to_its_operator_only(store: Store):
    made = await a_product(store)
    async with store.work(NOON, TESTER) as work:
        await products.set_active(work, made.id, False)
        await products.set_active(work, made.id, False)
    async with store.read() as reading:
        assert (await read.products(reading)).items == []
        assert [one.active for one in (await read.products(reading, include_inactive=True)).items] == [False]
    assert await events(store) == ["product.created", "product.updated"]


async def test_products_come_in_pages_by_name(store: Store):
    for slug in ("cc", "aa", "bb"):
        await a_product(store, slug, name="Same" if slug != "cc" else "First")
    async with store.read() as reading:
        first = await read.products(reading, limit=2)
        second = await read.products(reading, limit=2, cursor=first.next_cursor)
    assert [one.slug for one in (*first.items, *second.items)] == ["cc", "aa", "bb"]
    assert second.next_cursor is None


async def test_a_product_with_tiers_is_not_deleted(store: Store):
    made = await a_product(store, entitlements_catalog=[{"slug": "raw", "name": "RAW"}])
    tier = await a_tier(store, "pro", price_sats_override=1)
    with pytest.raises(Conflict, match="has tiers: pro"):
        async with store.work(NOON, TESTER) as work:
            await products.delete_product(work, made.id)
    async with store.work(NOON, TESTER) as work:
        await policies.delete_policy(work, tier.id)
        await products.delete_product(work, made.id)
    with pytest.raises(NotFound):
        async with store.read() as reading:
            await read.product(reading, made.id)
    assert (await events(store))[-2:] == ["policy.deleted", "product.deleted"]
