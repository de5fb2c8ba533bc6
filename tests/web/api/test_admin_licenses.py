"""Licenses given, found, rested and ended by the operator over HTTP."""

from typing import Any

import httpx
import pytest

from tests.catalog.shelf import a_product, a_tier
from tests.web.selling import Front

pytestmark = pytest.mark.usefixtures("as_operator")


async def issue(front: Front, **body: Any) -> dict[str, Any]:
    answer = await front.http.post("/v1/admin/licenses", json={"product_slug": "app", "policy_slug": "pro"} | body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def step(front: Front, made: dict[str, Any], verb: str, body: dict[str, Any] | None = None) -> httpx.Response:
    path = f"/v1/admin/licenses/{made['license_id']}/{verb}"
    return await front.http.post(path) if body is None else await front.http.post(path, json=body)


async def validate(front: Front, key: str) -> dict[str, Any]:
    return (await front.http.post("/v1/validate", json={"key": key, "product_slug": "app"})).json()


async def test_a_license_given_away_validates(front: Front) -> None:
    made = await issue(front, buyer_email="ann@example.org", note="A friend")
    assert (made["max_machines"], made["expires_at"], made["is_trial"]) == (3, None, False)
    assert (await validate(front, made["license_key"]))["ok"] is True
    order = (await front.http.get(f"/v1/admin/orders/{made['order_id']}")).json()
    assert (order["purpose"], order["listed_value"]) == ("manual", 0)
    shown = (await front.http.get(f"/v1/admin/licenses/{made['license_id']}")).json()
    assert (shown["buyer_email"], shown["status"], shown["order_id"]) == ("ann@example.org", "active", made["order_id"])
    assert (shown["note"], shown["product_slug"], shown["policy_slug"]) == ("A friend", "app", "pro")
    key = (await front.http.get(f"/v1/admin/licenses/{made['license_id']}/key")).json()
    assert key == {"license_id": made["license_id"], "license_key": made["license_key"]}


@pytest.mark.once
async def test_private_and_archived_tiers_may_be_given_too(front: Front) -> None:
    tier = await a_tier(front.shop.store, "inner", public=False, entitlements=["core"])
    await front.http.patch(f"/v1/admin/policies/{tier.id}/archived", json={"archived": True})
    assert (await issue(front, policy_slug="inner"))["entitlements"] == ["core"]


async def test_a_product_without_tiers_is_given_as_it_is(front: Front) -> None:
    await a_product(front.shop.store, "tool")
    assert (await issue(front, product_slug="tool", policy_slug=None))["policy_id"] is None


@pytest.mark.once
async def test_what_cannot_be_given_is_told_and_leaves_nothing(front: Front) -> None:
    refusals: list[tuple[dict[str, Any], int]] = [
        ({"policy_slug": None}, 400),
        ({"policy_slug": "gold"}, 404),
        ({"product_slug": "other"}, 404),
        ({"buyer_email": "nobody"}, 400),
        ({"max_machines": -1}, 400),
        ({"entitlements": ["Not A Slug"]}, 400),
        ({"note": "a\0b"}, 400),
    ]
    for body, status in refusals:
        asked = {"product_slug": "app", "policy_slug": "pro"} | body
        assert (await front.http.post("/v1/admin/licenses", json=asked)).status_code == status, body
        assert await front.orders() == 0, body


async def test_a_repeated_gift_is_given_once(front: Front) -> None:
    body = {"product_slug": "app", "policy_slug": "pro"}
    first, second = [
        await front.http.post("/v1/admin/licenses", json=body, headers={"Idempotency-Key": "gift"}) for _ in range(2)
    ]
    assert first.json() == second.json()
    assert await front.counter.licenses() == 1


async def test_licenses_are_listed_by_page_and_filter(front: Front) -> None:
    made: list[dict[str, Any]] = []
    for name in ("ann", "bob", "eve"):
        made.insert(0, await issue(front, buyer_email=f"{name}@example.org"))
        await front.counter.travel(seconds=1)
    await step(front, made[0], "revoke")
    first = (await front.http.get("/v1/admin/licenses?limit=2")).json()
    assert [one["buyer_email"] for one in first["licenses"]] == ["eve@example.org", "bob@example.org"]
    second = (await front.http.get(f"/v1/admin/licenses?limit=2&cursor={first['next_cursor']}")).json()
    assert [one["buyer_email"] for one in second["licenses"]] == ["ann@example.org"]
    product = made[0]["product_id"]
    found = (await front.http.get(f"/v1/admin/licenses?status=active&product_id={product}&is_trial=false")).json()
    assert [one["id"] for one in found["licenses"]] == [made[1]["license_id"], made[2]["license_id"]]
    for query in (
        "buyer=ann@example.org",
        "buyer_email=ann",
        "policy_slug=pro",
        "status=expired",
        "cursor=mine",
        "product_id=app",
    ):
        assert (await front.http.get(f"/v1/admin/licenses?{query}")).status_code == 400, query


async def test_a_license_rests_and_comes_back(front: Front) -> None:
    made = await issue(front)
    rested = await step(front, made, "suspend", {"reason": "Chargeback"})
    assert (rested.status_code, rested.json()["suspension_reason"]) == (200, "Chargeback")
    assert (await validate(front, made["license_key"]))["reason"] == "suspended"
    assert (await step(front, made, "suspend")).status_code == 409
    assert (await step(front, made, "unsuspend")).json()["status"] == "active"
    assert (await validate(front, made["license_key"]))["ok"] is True


async def test_a_license_ends_for_ever_with_or_without_a_reason(front: Front) -> None:
    wordless: list[dict[str, Any] | None] = [None, {}, {"reason": None}, {"reason": " "}]
    given = [await issue(front) for _ in wordless]
    for made, body in zip(given, wordless, strict=True):
        ended = (await step(front, made, "revoke", body)).json()
        assert (ended["status"], ended["revocation_reason"]) == ("revoked", "by the operator"), body
        assert (await validate(front, made["license_key"]))["reason"] == "revoked"
    made = given[0]
    for verb in ("revoke", "suspend", "unsuspend"):
        assert (await step(front, made, verb)).status_code == 409
    assert (await step(front, made, "revoke", {"why": "x"})).status_code == 400
    assert (await step(front, {"license_id": made["order_id"]}, "revoke")).status_code == 404


@pytest.mark.once
async def test_strangers_get_no_keys(front: Front) -> None:
    made = await issue(front)
    del front.http.headers["Authorization"]
    path = f"/v1/admin/licenses/{made['license_id']}"
    for method, address in (
        ("POST", "/v1/admin/licenses"),
        ("GET", "/v1/admin/licenses"),
        ("GET", path),
        ("GET", f"{path}/key"),
        ("POST", f"{path}/revoke"),
        ("POST", f"{path}/suspend"),
    ):
        assert (await front.http.request(method, address, json={})).status_code == 401, address
