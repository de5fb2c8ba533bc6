import httpx
import pytest

from tests.web.conftest import ADMIN

pytestmark = pytest.mark.once

APP = {"slug": "app", "name": "App", "price_currency": "EUR", "price_value": 4900}


async def test_a_shop_is_stocked_over_http(client: httpx.AsyncClient):
    client.headers.update(ADMIN)
    made = await client.post("/v1/admin/products", json={**APP, "metadata": {"margin": 1}})
    assert made.status_code == 200
    product = made.json()
    assert product["metadata"] == {"margin": 1}
    tier = (
        await client.post(
            "/v1/admin/policies",
            json={
                "product_slug": "app",
                "slug": "pro",
                "name": "Pro",
                "price_sats_override": 9900,
                "is_recurring": True,
                "renewal_period_days": 30,
            },
        )
    ).json()
    assert (tier["price_sats_override"], tier["renewal_period_days"]) == (9900, 30)
    offer = await client.post(
        f"/v1/admin/policies/{tier['id']}/offers",
        json={"slug": "yearly", "price_value": 99_000, "renewal_period": {"count": 1, "unit": "year"}},
    )
    assert offer.status_code == 200
    path = f"/v1/admin/policies/{tier['id']}/offers/{offer.json()['id']}"
    assert (await client.patch(path, json={"price_value": 90_000})).json()["price_value"] == 90_000
    tier = (await client.get(f"/v1/admin/policies/{tier['id']}")).json()
    assert [offer["price_value"] for offer in tier["offers"]] == [90_000]
    gone = await client.delete(path)
    assert (gone.status_code, gone.json()) == (200, {"ok": True})
    assert (await client.get(f"/v1/admin/products/{product['id']}")).json() == product


async def test_edits_tell_null_from_absent(client: httpx.AsyncClient):
    client.headers.update(ADMIN)
    await client.post("/v1/admin/products", json=APP)
    body = {"product_slug": "app", "slug": "pro", "name": "Pro", "price_sats_override": 0, "tier_rank": 2}
    path = f"/v1/admin/policies/{(await client.post('/v1/admin/policies', json=body)).json()['id']}"
    assert (await client.patch(path, json={"name": "New"})).json()["price_sats_override"] == 0
    after = (await client.patch(path, json={"price_sats_override": None, "tier_rank": None})).json()
    assert (after["name"], after["price_sats_override"], after["tier_rank"]) == ("New", None, None)
    wrong = await client.patch(path, json={"price_sats": 1})
    assert (wrong.status_code, wrong.json()["error"]) == (400, "bad_request")


async def test_switches_hide_and_bring_back(client: httpx.AsyncClient):
    client.headers.update(ADMIN)
    product = (await client.post("/v1/admin/products", json=APP)).json()
    body = {"product_slug": "app", "slug": "pro", "name": "Pro"}
    path = f"/v1/admin/policies/{(await client.post('/v1/admin/policies', json=body)).json()['id']}"

    async def listed(query: str = "") -> int:
        answer = await client.get(f"/v1/admin/policies?product_slug=app{query}")
        return len(answer.json()["policies"])

    assert (await client.patch(f"{path}/active", json={"active": False})).json() == {"ok": True}
    assert (await listed(), await listed("&include_inactive=true")) == (0, 1)
    await client.patch(f"{path}/active", json={"active": True})
    assert (await client.patch(f"{path}/archived", json={"archived": True})).json() == {"ok": True, "archived": True}
    assert (await listed(), await listed("&include_archived=true")) == (0, 1)
    await client.patch(f"{path}/archived", json={"archived": False})
    assert (await client.patch(f"{path}/public", json={"public": False})).json() == {"ok": True}
    assert await listed() == 1
    await client.patch(f"/v1/admin/products/{product['id']}/active", json={"active": False})
    everything = (await client.get("/v1/admin/products")).json()
    assert [(one["slug"], one["active"]) for one in everything["products"]] == [("app", False)]
    assert everything["next_cursor"] is None


async def test_lists_refuse_filters_they_do_not_know(client: httpx.AsyncClient):
    client.headers.update(ADMIN)
    for path in (
        "/v1/admin/products?include_archived=true",
        "/v1/admin/products?limit=0",
        "/v1/admin/products?cursor=mine",
        "/v1/admin/policies",
        "/v1/admin/policies?product_slug=app&inactive=true",
    ):
        refused = await client.get(path)
        assert (refused.status_code, refused.json()["error"]) == (400, "bad_request"), path
    assert (await client.get("/v1/admin/policies?product_slug=app")).status_code == 404


async def test_a_repeated_creation_creates_once(client: httpx.AsyncClient):
    client.headers.update(ADMIN)
    key = {"Idempotency-Key": "one"}
    first = await client.post("/v1/admin/products", json=APP, headers=key)
    again = await client.post("/v1/admin/products", json=APP, headers=key)
    assert (again.status_code, again.json()) == (200, first.json())
    taken = await client.post("/v1/admin/products", json=APP)
    assert (taken.status_code, taken.json()["error"]) == (409, "conflict")


async def test_what_nobody_bought_is_deleted_and_what_was_given_is_not(client: httpx.AsyncClient):
    client.headers.update(ADMIN)
    product = (await client.post("/v1/admin/products", json=APP)).json()
    body = {"product_slug": "app", "name": "A tier"}
    tiers = [(await client.post("/v1/admin/policies", json={**body, "slug": slug})).json() for slug in ("a", "b", "c")]
    gone = await client.delete(f"/v1/admin/policies/{tiers[0]['id']}")
    assert (gone.status_code, gone.json()["ok"], gone.json()["deleted"]) == (200, True, "a")
    given = await client.post("/v1/admin/licenses", json={"product_slug": "app", "policy_slug": "b"})
    assert given.status_code == 200
    for path in (f"/v1/admin/policies/{tiers[1]['id']}", f"/v1/admin/products/{product['id']}"):
        for query in ("", "?force=true&name=b"):
            refused = await client.delete(path + query)
            assert (refused.status_code, refused.json()["error"]) == (409, "conflict")
            assert "1 license, 1 settled order" in refused.json()["message"]
    untyped = await client.delete(f"/v1/admin/policies/{tiers[2]['id']}?force=true")
    assert (untyped.status_code, untyped.json()["error"]) == (400, "bad_request")
    gone = await client.delete(f"/v1/admin/policies/{tiers[2]['id']}?force=true&name=c")
    assert (gone.status_code, gone.json()["force"], gone.json()["cascaded_orders"]) == (200, True, 0)
    assert (await client.delete(f"/v1/admin/policies/{tiers[2]['id']}")).status_code == 404
    assert (await client.delete(f"/v1/admin/products/{product['id']}?sure=yes")).status_code == 400


async def test_deleting_says_first_what_it_would_take_along(client: httpx.AsyncClient):
    client.headers.update(ADMIN)
    product = (await client.post("/v1/admin/products", json=APP)).json()
    made = [
        (await client.post("/v1/admin/policies", json={"product_slug": "app", "slug": slug, "name": "A"})).json()
        for slug in ("free", "sold", "coded")
    ]
    free, sold, coded = [f"/v1/admin/policies/{tier['id']}" for tier in made]
    await client.post(f"{free}/offers", json={"slug": "special", "price_value": 1})
    await client.post("/v1/admin/licenses", json={"product_slug": "app", "policy_slug": "sold"})
    code = {"code": "C", "kind": "percent", "amount": 1, "product_slug": "app", "policy_slug": "coded"}
    await client.post("/v1/admin/discount-codes", json=code)
    nothing = dict.fromkeys(
        ("licenses", "subscriptions", "settled_orders", "open_orders", "ended_orders", "codes", "policies", "offers"), 0
    )
    plan = (await client.get(f"{free}/deletion")).json()
    assert plan == nothing | {"slug": "free", "goes": "freely", "refusal": None, "offers": 1}
    plan = (await client.get(f"{coded}/deletion")).json()
    assert (plan["goes"], plan["codes"]) == ("by_force", 1)
    for path, slug, policies in ((sold, "sold", 0), (f"/v1/admin/products/{product['id']}", "app", 3)):
        plan = (await client.get(f"{path}/deletion")).json()
        refused = await client.delete(path)
        counts = (plan["slug"], plan["goes"], plan["licenses"], plan["settled_orders"], plan["policies"])
        assert counts == (slug, "never", 1, 1, policies)
        assert (refused.status_code, refused.json()["message"]) == (409, plan["refusal"])
    assert (await client.get(f"{free[:-4]}0000/deletion")).status_code == 404


async def test_only_an_owner_deletes_by_force(client: httpx.AsyncClient):
    client.headers.update(ADMIN)
    product = (await client.post("/v1/admin/products", json=APP)).json()
    made = await client.post("/v1/admin/api-keys", json={"label": "CI", "role": "full-admin"})
    scoped = {"Authorization": f"Bearer {made.json()['token']}"}
    path = f"/v1/admin/products/{product['id']}"
    refused = await client.delete(f"{path}?force=true&name=app", headers=scoped)
    assert (refused.status_code, "owner" in refused.json()["message"]) == (403, True)
    assert (await client.delete(path, headers=scoped)).status_code == 200


async def test_tiers_and_offers_come_in_pages(client: httpx.AsyncClient):
    client.headers.update(ADMIN)
    await client.post("/v1/admin/products", json=APP)
    for slug, price in (("b", 5), ("a", 5), ("c", 1)):
        body = {"product_slug": "app", "slug": slug, "name": "Same", "price_sats_override": price}
        tier = (await client.post("/v1/admin/policies", json=body)).json()
    offers = f"/v1/admin/policies/{tier['id']}/offers"
    for slug in ("yearly", "half"):
        made = (await client.post(offers, json={"slug": slug, "price_value": 7})).json()
    for path, name, slugs in (
        ("/v1/admin/policies?product_slug=app&", "policies", ["c", "a", "b"]),
        (f"{offers}?", "offers", ["half", "yearly"]),
    ):
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await client.get(f"{path}limit=1{f'&cursor={cursor}' if cursor else ''}")).json()
            found += [one["slug"] for one in page[name]]
            cursor = page["next_cursor"]
        assert found == slugs
        assert (await client.get(f"{path}cursor=mine")).status_code == 400
    shown = await client.get(f"{offers}/{made['id']}")
    assert shown.json() == made
    tag = {"If-Match": shown.headers["etag"]}
    assert (await client.patch(f"{offers}/{made['id']}", json={"active": False}, headers=tag)).status_code == 200
    assert (await client.delete(f"{offers}/{made['id']}", headers=tag)).status_code == 412
    assert (await client.get(f"/v1/admin/policies/{made['id']}/offers/{made['id']}")).status_code == 404


async def test_a_product_takes_its_tiers_along(client: httpx.AsyncClient):
    client.headers.update(ADMIN)
    product = (await client.post("/v1/admin/products", json=APP)).json()
    await client.post("/v1/admin/policies", json={"product_slug": "app", "slug": "pro", "name": "Pro"})
    gone = (await client.delete(f"/v1/admin/products/{product['id']}")).json()
    assert gone == {
        "ok": True,
        "deleted": "app",
        "force": False,
        "cascaded_policies": 1,
        "cascaded_offers": 0,
        "cascaded_orders": 0,
        "cascaded_attempts": 0,
        "cascaded_nudges": 0,
        "cascaded_codes": 0,
    }
    assert (await client.get("/v1/admin/products")).json()["products"] == []


async def test_nothing_of_it_is_open_to_the_world(client: httpx.AsyncClient):
    for method, path in (("GET", "/v1/admin/products"), ("POST", "/v1/admin/products"), ("POST", "/v1/admin/policies")):
        assert (await client.request(method, path, json={})).status_code == 401
