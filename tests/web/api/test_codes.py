"""Codes over HTTP: preview and redeem as the contract says, and the operator's side of them."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.catalog.shelf import a_code, a_product, a_tier
from tests.web.conftest import ADMIN
from tests.web.selling import Front

pytestmark = pytest.mark.once

VALID = {
    "valid",
    "code",
    "kind",
    "is_free",
    "base_price_sats",
    "discount_applied_sats",
    "final_price_sats",
    "amount_pct",
    "message",
}
CODES = "/v1/admin/discount-codes"


async def preview(front: Front, **query: str) -> httpx.Response:
    return await front.http.get("/v1/discount-codes/preview", params={"product": "app", "policy_slug": "pro"} | query)


async def redeem(front: Front, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    return await front.http.post("/v1/redeem", json={"product": "app"} | body, headers=headers)


async def purchase(front: Front, **body: Any) -> httpx.Response:
    return await front.http.post("/v1/purchase", json={"product": "app", "policy_slug": "pro"} | body)


async def write(front: Front, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = await front.http.post(CODES, json=body, headers=ADMIN)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_a_preview_is_what_a_purchase_charges(front: Front):
    """W-12, W-13: for fiat, and for a code in sats."""
    await a_code(front.shop.store, "FIFTH")
    await a_code(front.shop.store, "SATS", "fixed_sats", 999)
    await a_code(front.shop.store, "TEN", "fixed", 1000, discount_currency="USD")
    for code, value, sats in (("fifth", 6000, 120_000), ("SATS", 7451, 149_001), ("TEN", 6500, 130_000)):
        shown = (await preview(front, code=code)).json()
        assert shown.keys() >= VALID
        assert shown["valid"] is True
        assert "reason" not in shown
        front.counter.clock.move(front.counter.now + timedelta(seconds=1))  # of one moment, no order is the newest
        made = (await purchase(front, code=code)).json()
        for field in ("base_price_sats", "discount_applied_sats"):
            assert shown[field] == made[field]
        assert (shown["final_price_sats"], made["amount_sats"]) == (sats, sats)
        assert (shown["final_price_value"], (await front.order()).listed_value) == (value, value)
    assert (await preview(front, code="FIFTH")).json()["amount_pct"] == 20
    assert (await preview(front, code="TEN")).json()["amount_pct"] is None
    assert (await preview(front, code="TEN")).json()["discount_currency"] == "USD"


async def test_what_does_not_apply_is_previewed_with_its_reason(front: Front):
    used = await a_code(front.shop.store, "ONE", max_uses=1)
    await purchase(front, code="ONE")
    assert (await preview(front, code="ONE")).json()["reason"] == "exhausted"
    await front.http.patch(f"{CODES}/{used.id}/active", json={"active": False}, headers=ADMIN)
    refused = (await preview(front, code="ONE")).json()
    assert (refused["valid"], refused["reason"], refused["base_price_sats"]) == (False, "disabled", 150_000)
    assert refused["message"]
    assert (await preview(front, code="nothing like it")).json()["reason"] == "unknown_code"


async def test_a_preview_of_nothing_is_an_error(front: Front):
    await a_code(front.shop.store, "FIFTH")
    assert (await preview(front, code=" ")).status_code == 400
    assert (await front.http.get("/v1/discount-codes/preview")).status_code == 400
    assert (await preview(front, code="FIFTH", product="none")).status_code == 404
    assert (await preview(front, code="FIFTH", policy_slug="none")).json()["valid"] is True  # silently ignored


async def test_previews_are_limited(front: Front):
    statuses = [(await preview(front, code="X")).status_code for _ in range(31)]
    assert statuses == [200] * 30 + [429]


async def test_a_free_license_is_redeemed_at_once(front: Front):
    await a_code(front.shop.store, "GIFT", "free_license", 0, max_uses=1)
    answer = await redeem(front, {"Idempotency-Key": "k"}, code=" gift ", policy_slug="", buyer_email="")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body.keys() == {"license_id", "license_key", "invoice_id", "redemption_id"}
    assert all(body.values())
    assert (await redeem(front, {"Idempotency-Key": "k"}, code=" gift ", policy_slug="", buyer_email="")).json() == body
    polled = (await front.http.get(f"/v1/purchase/{body['invoice_id']}")).json()
    assert (polled["status"], polled["license_key"]) == ("settled", body["license_key"])
    gone = await redeem(front, code="GIFT")
    assert (gone.status_code, gone.json()["reason"]) == (400, "exhausted")
    assert (await preview(front, code="GIFT")).json()["reason"] == "exhausted"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"code": "FIFTH"}, 400, "requires payment"),
        ({"code": " "}, 400, "blank"),
        ({"code": "NOPE"}, 400, "not known"),
        ({"code": "GIFT", "product": "none"}, 404, "no product"),
        ({"code": "GIFT", "policy_slug": "none"}, 404, "no tier"),
        ({"code": "GIFT", "policy_slug": "secret"}, 400, "not sold publicly"),
        ({"code": "PRO", "policy_slug": "other"}, 400, "only for Pro"),
        ({}, 400, "code"),
    ],
)
async def test_what_cannot_be_redeemed_is_refused_and_uses_nothing(
    front: Front, body: dict[str, Any], status: int, words: str
):
    await a_tier(front.shop.store, "secret", public=False)
    await a_tier(front.shop.store, "other")
    await a_code(front.shop.store, "FIFTH")
    await a_code(front.shop.store, "GIFT", "free_license", 0)
    await a_code(front.shop.store, "PRO", "free_license", 0, product_slug="app", policy_slugs=["pro"])
    answer = await redeem(front, **body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["message"]
    assert await front.orders() == 0


async def test_a_full_discount_redeems_and_purchases_alike(front: Front):
    """W-09, W-10, D-24: nothing left to pay is free, on either road."""
    await a_code(front.shop.store, "ALL", amount=10_000)
    await a_code(front.shop.store, "GIFT", "free_license", 0)
    assert (await redeem(front, code="ALL")).status_code == 200
    for code in ("ALL", "GIFT"):
        made = (await purchase(front, code=code)).json()
        assert (made["amount_sats"], made["checkout_url"]) == (0, "")
        assert made["license_key"].startswith("LIC1-")


async def test_a_featured_code_stands_in_the_tier_list(front: Front):
    await a_tier(front.shop.store, "free", price_value=0)
    await a_code(front.shop.store, "SALE", amount=2000, featured=True, max_uses=10, description="Spring")
    tiers = (await front.http.get("/v1/products/app/policies")).json()["policies"]
    shown = {tier["slug"]: tier["featured_discount"] for tier in tiers}
    assert shown["free"] is None
    pro = shown["pro"]
    assert (pro["code"], pro["kind"], pro["amount"], pro["remaining_uses"]) == ("SALE", "percent", 2000, 10)
    assert (pro["discount_applied_sats"], pro["discounted_price_sats"], pro["price_currency"]) == (1500, 6000, "USD")
    made = (await purchase(front)).json()
    assert (made["amount_sats"], made["discount_applied_sats"]) == (120_000, 30_000)
    assert (await front.http.post("/v1/purchase", json={"product": "app"})).json()["discount_applied_sats"] == 0


async def test_an_operator_writes_lists_and_reads_codes(front: Front):
    made = await write(front, code="Ten", kind="fixed_sats", amount=1000, discount_currency="USD", referrer_label="ann")
    assert (made["code"], made["discount_currency"], made["applies_to_policy_id"]) == ("TEN", "USD", None)
    scoped = await write(
        front, code="PRO", kind="percent", amount=100, product_slug="app", policy_slug="pro", discount_currency="SAT"
    )
    assert scoped["discount_currency"] is None
    assert scoped["applies_to_policy_ids"] == [scoped["applies_to_policy_id"]]
    await front.http.patch(f"{CODES}/{made['id']}/active", json={"active": False}, headers=ADMIN)
    for query, codes in (
        ({}, ["PRO"]),
        ({"include_inactive": "true"}, ["PRO", "TEN"]),
        ({"include_inactive": "true", "kind": "fixed_sats"}, ["TEN"]),
        ({"product_slug": "app"}, ["PRO"]),
    ):
        page = (await front.http.get(CODES, params=query, headers=ADMIN)).json()
        assert [one["code"] for one in page["codes"]] == codes
    first = (await front.http.get(CODES, params={"include_inactive": "true", "limit": 1}, headers=ADMIN)).json()
    rest = {"include_inactive": "true", "cursor": first["next_cursor"]}
    assert [one["code"] for one in (await front.http.get(CODES, params=rest, headers=ADMIN)).json()["codes"]] == ["TEN"]
    assert (await front.http.get(CODES, params={"color": "red"}, headers=ADMIN)).status_code == 400
    assert (await front.http.get(CODES)).status_code == 401


async def test_an_edit_leaves_what_is_absent_and_clears_what_is_null(front: Front):
    made = await write(
        front, code="X", kind="percent", amount=100, max_uses=5, referrer_label="ann", product_slug="app"
    )
    address = f"{CODES}/{made['id']}"
    edited = (await front.http.patch(address, json={"max_uses": None, "policy_slugs": ["pro"]}, headers=ADMIN)).json()
    assert (edited["max_uses"], edited["referrer_label"], edited["amount"]) == (None, "ann", 100)
    assert len(edited["applies_to_policy_ids"]) == 1
    for body in ({"kind": "fixed"}, {"amount": 10_001}, {"policy_slugs": ["none"]}, {"duration": "cycles"}):
        assert (await front.http.patch(address, json=body, headers=ADMIN)).status_code in (400, 404), body
    cleared = (await front.http.patch(address, json={"policy_slugs": []}, headers=ADMIN)).json()
    assert cleared["applies_to_policy_ids"] == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "percent", "amount": 10_001}, 400),
        ({"kind": "percent", "amount": -1}, 400),
        ({"kind": "fixed_sats", "amount": 0}, 400),
        ({"kind": "fixed_sats", "amount": 21 * 10**14 + 1}, 400),
        ({"kind": "set_price", "amount": 100, "discount_currency": "QQQ"}, 400),
        ({"kind": "set_price", "amount": 100, "discount_currency": "EUR", "product_slug": "app"}, 400),
        ({"kind": "half", "amount": 1}, 400),
        ({"kind": "percent", "amount": 1, "code": "a b"}, 400),
        ({"kind": "percent", "amount": 1, "expires_at": "2030-01-01T00:00:00"}, 400),
        ({"kind": "percent", "amount": 1, "expires_at": "9999-12-31T23:59:59-23:59"}, 400),
        ({"kind": "percent", "amount": 1, "expires_at": "0001-01-01T00:00:00+23:59"}, 400),
        ({"kind": "percent", "amount": 1, "expires_at": "2020-01-01T00:00:00Z"}, 400),
        *(({"kind": kind}, 400) for kind in ("percent", "fixed_sats", "set_price")),
        ({"kind": "free_license", "amount": 100}, 400),
        ({"kind": "percent", "amount": 1, "policy_slugs": ["pro"]}, 400),
        ({"kind": "percent", "amount": 1, "product_slug": "none"}, 404),
        ({"kind": "percent", "amount": 1, "max_uses": 0}, 400),
        ({"kind": "percent", "amount": 1, "duration": "forever", "duration_cycles": 3}, 400),
        ({"kind": "percent", "amount": 1, "color": "red"}, 400),
        ({"kind": "percent", "amount": 1, "code": "taken"}, 409),
    ],
)
async def test_what_makes_no_sense_is_not_written(front: Front, body: dict[str, Any], status: int):
    await a_code(front.shop.store, "TAKEN")
    await write(front, status, **{"code": "NEW", **body})


async def test_a_code_that_was_used_stays(front: Front):
    fresh, used = [await write(front, code=code, kind="percent", amount=2000) for code in ("FRESH", "USED")]
    await purchase(front, code="USED")
    assert (await front.http.delete(f"{CODES}/{fresh['id']}", headers=ADMIN)).json() == {"ok": True}
    assert (await front.http.delete(f"{CODES}/{fresh['id']}", headers=ADMIN)).status_code == 404
    refused = await front.http.delete(f"{CODES}/{used['id']}", headers=ADMIN)
    assert (refused.status_code, refused.json()["error"]) == (409, "conflict")
    assert (await write(front, code="FRESH", kind="percent", amount=1))["used_count"] == 0


async def test_the_report_sums_by_referrer_and_currency(front: Front):
    await a_product(front.shop.store, "tool", price_sats=10_000)
    for code, label in (("A", "ann"), ("B", "ann"), ("C", None)):
        await write(front, code=code, kind="percent", amount=2000, referrer_label=label)
    for code in ("A", "B", "C"):
        await purchase(front, code=code)
        await front.counter.pay(await front.order())
        await front.counter.travel(seconds=1)
    await purchase(front, code="A")
    await front.counter.travel(seconds=1)
    await front.http.post("/v1/purchase", json={"product": "tool", "code": "A"})
    await front.counter.pay(await front.order())
    lines = (await front.http.get(f"{CODES}/report", headers=ADMIN)).json()["lines"]
    found = {(line["referrer_label"], line["price_currency"]): line for line in lines}
    assert found.keys() == {("", "USD"), ("ann", "SAT"), ("ann", "USD")}
    ann = found["ann", "USD"]
    assert (ann["uses"], ann["open_uses"], ann["base_value"], ann["charged_value"]) == (2, 1, 15_000, 12_000)
    assert (ann["discount_value"], ann["charged_sats"]) == (3000, 240_000)
    assert found["ann", "SAT"]["charged_value"] == 8000
    first = (await front.http.get(f"{CODES}/report", params={"limit": 1}, headers=ADMIN)).json()
    rest = await front.http.get(f"{CODES}/report", params={"cursor": first["next_cursor"]}, headers=ADMIN)
    assert [*first["lines"], *rest.json()["lines"]] == lines
    later = {"since": "2040-01-01T00:00:00Z"}
    assert (await front.http.get(f"{CODES}/report", params=later, headers=ADMIN)).json()["lines"] == []
    for since in ("0001-01-01T00:00:00+23:00", "2026-01-01T00:00:00", "9999-12-31T23:59:59-23:59"):
        for query in ({"since": since}, {"until": since}):
            refused = await front.http.get(f"{CODES}/report", params=query, headers=ADMIN)
            assert (refused.status_code, "is no moment" in refused.json()["message"]) == (400, True)
    spaced = await front.http.get(f"{CODES}/report?since=2026-01-01T00:00:00+02:00", headers=ADMIN)
    assert "+ is written %2B" in spaced.json()["message"]
    code_id = (await front.http.get(CODES, headers=ADMIN)).json()["codes"][0]["id"]
    detail = (await front.http.get(f"{CODES}/{code_id}", params={"limit": 2}, headers=ADMIN)).json()
    assert [use["status"] for use in detail["redemptions"]] == ["redeemed", "reserved"]
    more = await front.http.get(f"{CODES}/{code_id}", params={"cursor": detail["next_cursor"]}, headers=ADMIN)
    assert [use["final_price_value"] for use in more.json()["redemptions"]] == [6000]


async def test_twenty_requests_at_once_redeem_one_license(front: Front):
    await a_code(front.shop.store, "ONE", "free_license", 0, max_uses=1)
    answers = await asyncio.gather(*(redeem(front, code="ONE") for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200, *([400] * 19)]
