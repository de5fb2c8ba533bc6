"""What the shop calls itself, and its database's size, over HTTP."""

import httpx

from keysat.upkeep.operator_name import Nameplate
from keysat.upkeep.shop import Shop
from tests.web.conftest import ADMIN, BROWSER

PATH = "/v1/admin/settings/operator-name"


async def test_the_shop_has_the_name_that_was_written_last_everywhere_at_once(
    client: httpx.AsyncClient, shop: Shop
) -> None:
    client.headers.update(ADMIN)
    assert (await client.get(PATH)).json() == {"stored": None, "effective": None, "fallback_env": None}
    named = await client.post(PATH, json={"name": " Ada & Sons "})
    assert (named.status_code, named.json()) == (200, {"ok": True, "operator_name": "Ada & Sons"})
    assert (await client.get(PATH)).json()["effective"] == "Ada & Sons"
    assert (await client.get("/", headers={"Accept": "application/json"})).json()["operator"] == "Ada & Sons"
    assert "Ada &amp; Sons" in (await client.get("/recover", headers=BROWSER)).text
    elsewhere = Nameplate()  # of another daemon
    await elsewhere.read_again(shop.store)
    assert elsewhere.stored == "Ada & Sons"
    for wrong in ({"name": "x" * 201}, {"name": "a\nb\u0007"}, {"name": 7}, {}, {"title": "Ada"}):
        assert (await client.post(PATH, json=wrong)).status_code == 400, wrong
    for nothing in ("", None):
        assert (await client.post(PATH, json={"name": nothing})).json() == {"ok": True, "operator_name": None}
    assert "Ada" not in (await client.get("/recover", headers=BROWSER)).text


async def test_the_database_is_told_by_name_size_and_counts(client: httpx.AsyncClient, shop: Shop) -> None:
    client.headers.update(ADMIN)
    await client.post("/v1/admin/products", json={"slug": "app", "name": "App", "price_sats": 5000})
    await client.post("/v1/admin/licenses", json={"product_slug": "app"})
    told = (await client.get("/v1/admin/db-info")).json()
    assert told["kind"] == shop.store.url.get_backend_name()
    assert "/" not in told["name"]
    assert told["size_bytes"] > 10_000
    assert told["last_write_at"] == f"{shop.now():%Y-%m-%dT%H:%M:%SZ}"
    counts = told["counts"]
    assert {name: count for name, count in counts.items() if count} == {
        "products": 1,
        "licenses_total": 1,
        "licenses_active": 1,
        "invoices_total": 1,
        "invoices_settled": 1,
    }
