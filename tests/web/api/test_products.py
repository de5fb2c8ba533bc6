from decimal import Decimal

import httpx
import pytest

from keysat.payments.rates.pins import set_pin
from keysat.upkeep.shop import Shop
from tests.catalog.shelf import a_product, a_tier
from tests.conftest import NOON, TESTER
from tests.web.conftest import ADMIN

pytestmark = pytest.mark.once


async def test_the_public_list_has_what_is_on_sale_and_no_more(client: httpx.AsyncClient, shop: Shop):
    await a_product(shop.store, metadata={"margin": "40 %"})
    hidden = await a_product(shop.store, "hidden")
    await client.patch(f"/v1/admin/products/{hidden.id}/active", json={"active": False}, headers=ADMIN)
    answer = await client.get("/v1/products")
    assert answer.status_code == 200
    assert [product["slug"] for product in answer.json()["products"]] == ["app"]
    assert "margin" not in answer.text
    assert (await client.get("/v1/products/app")).json() == answer.json()["products"][0]
    for path in ("hidden", "none", "hidden/policies", "none/policies"):
        refused = await client.get(f"/v1/products/{path}")
        assert (refused.status_code, refused.json()["error"]) == (404, "not_found")


async def test_tiers_are_listed_as_the_sdks_read_them(client: httpx.AsyncClient, shop: Shop):
    await a_product(shop.store, price_currency="EUR", price_value=4900)
    await a_tier(shop.store, "pro")
    await a_tier(shop.store, "free", price_sats_override=0)
    await a_tier(shop.store, "secret", public=False)
    listed = (await client.get("/v1/products/app/policies")).json()
    assert listed["product"]["base_price_sats"] == 0
    assert [(tier["slug"], tier["price_sats"], tier["price_currency"]) for tier in listed["policies"]] == [
        ("free", 0, "EUR"),
        ("pro", 4900, "EUR"),
    ]


async def test_the_list_of_tiers_converts_the_products_price_where_a_rate_is_known(
    client: httpx.AsyncClient, shop: Shop
):
    await a_product(shop.store, price_currency="EUR", price_value=4901)
    for price, sats in ((Decimal(50_000), 98_020), (Decimal(60_000), 81_684)):
        async with shop.store.work(NOON, TESTER) as work:
            await set_pin(work, "EUR", price)
        listed = (await client.get("/v1/products/app/policies")).json()
        assert listed["product"]["base_price_sats"] == sats
    assert (await client.get("/v1/products/app")).json()["price_sats"] == 0
