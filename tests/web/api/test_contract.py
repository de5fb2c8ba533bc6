"""What the public contract says in 2 and 3.5 to 3.13, where no other test stands at the door."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from keysat.checkout.read import order_by_invoice
from keysat.checkout.tables import Order
from keysat.kit.licensekey import assemble, encode, parse
from keysat.licenses.issue import suspend
from keysat.licenses.tables import License
from keysat.payments.disconnect import disconnect
from tests.catalog.shelf import a_code, a_product, a_tier
from tests.checkout.counter import PUBLIC_URL
from tests.conftest import TESTER
from tests.web.conftest import ADMIN, read_document
from tests.web.selling import Front

pytestmark = pytest.mark.once

ANN = "ann@example.org"
ENVELOPE = {"ok", "error", "message", "type", "title", "status", "detail", "request_id"}
JSON, TEXT = {"Content-Type": "application/json"}, {"Content-Type": "text/plain"}
REFUSED: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/v1/nothing", {}, 404, "not_found"),
    ("GET", "/v1/products/", {}, 404, "not_found"),
    ("DELETE", "/v1/validate", {}, 405, "method_not_allowed"),
    (
        "POST",
        "/v1/validate",
        {"content": b"{}", "headers": TEXT},
        415,
        "unsupported_media_type",
    ),
    ("POST", "/v1/validate", {"content": b"{", "headers": JSON}, 400, "bad_request"),
    ("POST", "/v1/validate", {"json": {}}, 400, "bad_request"),
    ("POST", "/v1/purchase", {"json": {"product": "app", "code": 7}}, 400, "bad_request"),
    ("POST", "/v1/purchase", {"json": {"product": "a" * 70_000}}, 413, "too_large"),
    ("GET", "/v1/discount-codes/preview?product=app", {}, 400, "bad_request"),
    ("GET", "/v1/admin/products", {}, 401, "unauthorized"),
]


async def post(front: Front, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = await front.http.post(f"/v1/{path}", json=body)
    assert answer.status_code == status, answer.text
    assert status == 200 or answer.json().keys() >= ENVELOPE
    return answer.json()


async def poll(front: Front, invoice_id: str) -> dict[str, Any]:
    return (await front.http.get(f"/v1/purchase/{invoice_id}")).json()


async def switch(front: Front, kind: str, id: object, **state: bool) -> None:
    (name,) = state
    answer = await front.http.patch(f"/v1/admin/{kind}/{id}/{name}", json=state, headers=ADMIN)
    assert answer.status_code == 200, answer.text


# 2: what holds for every route


def test_success_is_200_and_nothing_else() -> None:
    """2.1: Go takes any other status for an error."""
    described: dict[str, Any] = read_document()
    found = {
        (path, method): {status for status in operation["responses"] if status.startswith("2")}
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    }
    assert len(found) > 40
    assert {each: statuses for each, statuses in found.items() if statuses != {"200"}} == {}


async def test_refusals_before_any_handler_are_in_the_envelope_and_other_origins_may_ask_and_read(front: Front) -> None:
    """2.2 and 2.3, for what is refused before a handler is asked."""
    for method, path, request, status, code in REFUSED:
        sent: dict[str, Any] = {"headers": {"Origin": "https://app.example"}, **request}
        answer = await front.http.request(method, path, **sent)
        said = answer.json()
        assert (answer.status_code, said["error"]) == (status, code), path
        assert said.keys() >= ENVELOPE
        assert (said["ok"], answer.headers["content-type"]) == (False, "application/problem+json")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type, idempotency-key",
    }
    for path in ("/v1/purchase", "/v1/admin/products", "/no/such/path"):
        answer = await front.http.options(path, headers=asked)
        assert (answer.status_code, answer.content) == (200, b"")
        allowed = {answer.headers[f"access-control-allow-{what}"] for what in ("origin", "methods", "headers")}
        assert allowed == {"*"}
        assert "origin" in answer.headers["vary"].lower()


# 3.5 to 3.7: what is sold


async def test_products_are_listed_by_name(front: Front) -> None:
    for slug, name in (("z", "Aardvark"), ("b", "Zebra")):
        await a_product(front.shop.store, slug, name=name)
    listed = (await front.http.get("/v1/products")).json()["products"]
    assert [product["name"] for product in listed] == ["Aardvark", "App", "Zebra"]
    assert {product["entitlements_catalog"] for product in listed} == {None}
    assert (await front.http.get("/v1/products/app/policies")).json()["product"]["entitlements_catalog"] == []
    assert (await front.http.get("/v1/products/%61pp")).json()["slug"] == "app", "TypeScript escapes it (2.1)"


async def test_what_is_not_open_is_neither_listed_nor_sold_nor_redeemed(front: Front) -> None:
    """3.6 and 3.7, steps 1 and 2; archived tiers are refused too (W-23)."""
    tiers = {name: (await a_tier(front.shop.store, name)).id for name in ("inactive", "private", "archived")}
    await switch(front, "policies", tiers["inactive"], active=False)
    await switch(front, "policies", tiers["private"], public=False)
    await switch(front, "policies", tiers["archived"], archived=True)
    closed = await a_product(front.shop.store, "closed")
    await switch(front, "products", closed.id, active=False)
    await a_code(front.shop.store, "GIFT", "free_license", 0)
    listed = (await front.http.get("/v1/products/app/policies")).json()["policies"]
    assert [tier["slug"] for tier in listed] == ["pro"]
    for tier in tiers:
        await post(front, "purchase", 400, product="app", policy_slug=tier)
        await post(front, "redeem", 400, product="app", policy_slug=tier, code="GIFT")
        query = {"product": "app", "policy_slug": tier, "code": "GIFT"}
        assert (await front.http.get("/v1/discount-codes/preview", params=query)).status_code == 400
    await post(front, "purchase", 400, product="closed")
    await post(front, "redeem", 400, product="closed", code="GIFT")
    for body in ({"product": "none"}, {"product": "app", "policy_slug": "none"}):
        await post(front, "purchase", 404, **body)
        await post(front, "redeem", 404, code="GIFT", **body)
    assert await front.orders() == 0


async def test_a_code_that_does_not_apply_is_refused_to_a_buyer_and_explained_in_a_preview(front: Front) -> None:
    """3.7 step 6, 3.9 and 3.10: the same words everywhere, and nothing is used up."""
    store, now = front.shop.store, front.counter.now
    await a_product(store, "other", price_sats=5000)
    await a_tier(store, "max", price_value=9000)
    for kind, amount in (("percent", 2000), ("free_license", 0)):
        await a_code(store, f"{kind}-LATE", kind, amount, expires_at=(now + timedelta(seconds=1)).isoformat())
        await a_code(store, f"{kind}-OTHER", kind, amount, product_slug="other")
        await a_code(store, f"{kind}-MAX", kind, amount, product_slug="app", policy_slugs=["max"])
        off = await a_code(store, f"{kind}-OFF", kind, amount)
        await switch(front, "discount-codes", off.id, active=False)
        await a_code(store, f"{kind}-ONE", kind, amount, max_uses=1)
        await post(front, "purchase", product="app", policy_slug="pro", code=f"{kind}-ONE")
    front.counter.clock.move(now + timedelta(seconds=1))
    before = await front.orders()
    reasons = {"LATE": "expired", "OTHER": "wrong_product", "MAX": "wrong_tier", "OFF": "disabled", "ONE": "exhausted"}
    for name, reason in {**reasons, "NONE": "unknown_code"}.items():
        for kind, path in (("percent", "purchase"), ("free_license", "purchase"), ("free_license", "redeem")):
            code = f"{kind}-{name}"
            refused = await post(front, path, 400, product="app", policy_slug="pro", code=code)
            assert refused["reason"] == reason
            query = {"product": "app", "policy_slug": "pro", "code": code}
            shown = (await front.http.get("/v1/discount-codes/preview", params=query)).json()
            assert (shown["valid"], shown["reason"], shown["base_price_sats"]) == (False, reason, 150_000)
            assert shown["message"]
        front.counter.clock.move(front.counter.now + timedelta(minutes=1))
    assert await front.orders() == before


async def test_a_preview_tells_each_kind_in_its_own_figures(front: Front) -> None:
    """3.10 and 6.3: a percentage as such, a set price above the list price takes nothing off, free is 0."""
    await a_code(front.shop.store, "EIGHTH", amount=1250)
    await a_code(front.shop.store, "DEAR", "set_price", 9000, discount_currency="USD")
    await a_code(front.shop.store, "GIFT", "free_license", 0)
    for code, kind, is_free, final, off, percent in (
        (" eighth ", "percent", False, 131_260, 18_740, 12.5),  # 9.37 of 75.00 USD: what is taken off is rounded down
        ("DEAR", "set_price", False, 150_000, 0, None),
        ("GIFT", "free_license", True, 0, 150_000, None),
    ):
        query = {"product": "app", "policy_slug": "pro", "code": code}
        shown = (await front.http.get("/v1/discount-codes/preview", params=query)).json()
        assert (shown["valid"], shown["code"], shown["kind"]) == (True, code.strip().upper(), kind)
        assert (shown["is_free"], shown["final_price_sats"], shown["amount_pct"]) == (is_free, final, percent)
        assert shown["discount_applied_sats"] == off


async def test_after_paying_the_buyer_is_sent_where_the_app_said_or_to_the_thank_you_page(front: Front) -> None:
    """3.7 step 11."""
    for wish in ("https://app.example/back?x=1", ""):
        made = await post(front, "purchase", product="app", redirect_url=wish)
        invoice = front.counter.fake.invoices[made["btcpay_invoice_id"]]
        assert invoice.checkout["redirectURL"] == (wish or f"{PUBLIC_URL}/thank-you?invoice_id={made['invoice_id']}")


async def test_without_a_provider_and_with_a_broken_one_nothing_is_sold(front: Front) -> None:
    """3.7 steps 9 and 12: 400 and 502, and never a 503."""
    front.counter.fake.fail_next("lost_before", method="POST", path="/invoices")
    assert (await post(front, "purchase", 502, product="app"))["error"] == "upstream_error"
    async with front.shop.work(TESTER) as work:
        await disconnect(work, front.shop.tills.all()[0].id)
    await front.shop.tills.refresh()
    assert (await post(front, "purchase", 400, product="app"))["error"] == "bad_request"


# 3.8 to 3.13: what was sold


async def test_a_poll_knows_four_words_and_keeps_the_key_of_a_license_that_rests(front: Front) -> None:
    """3.8: `pending`, `settled`, `expired`, `invalid`; `invalid` and `expired` end a client's waiting."""
    sold, late, broken = [(await post(front, "purchase", product="app"))["invoice_id"] for _ in range(3)]
    made = {order.invoice_id: order for order in [await order_of(front, one) for one in (sold, late, broken)]}
    assert {(await poll(front, one))["status"] for one in made} == {"pending"}
    await front.counter.pay(made[sold])
    await front.counter.fake.mark(await front.counter.invoice_of(made[broken]), "Invalid")
    await front.counter.travel(hours=2)
    assert [(await poll(front, one))["status"] for one in (sold, late, broken)] == ["settled", "expired", "invalid"]
    license_id = (await poll(front, sold))["license_id"]
    async with front.shop.work(TESTER) as work:
        await suspend(work, UUID(license_id), "because")
    rests = await poll(front, sold)
    assert (rests["status"], rests["license_key"], rests["license_id"]) == ("settled", None, license_id)
    await post(front, "recover", 404, invoice_id=sold, email=ANN)


async def order_of(front: Front, invoice_id: str) -> Order:
    async with front.shop.read() as read:
        return await order_by_invoice(read, invoice_id)


async def test_machines_of_a_license_that_is_not_there(front: Front) -> None:
    """3.12: a key that we signed, for a license that we do not have; and fields that nobody may leave out."""
    await a_tier(front.shop.store, "free", price_value=0)
    key = (await post(front, "purchase", product="app", policy_slug="free"))["license_key"]
    signed = parse(key)
    unknown = encode(replace(signed.payload, license_id=signed.payload.product_id))
    async with front.shop.read() as read:
        license = await read.get(License, signed.payload.license_id)
        stray = assemble(unknown, await front.shop.ring.sign(read, license.issuer_key_id, unknown))
    assert await post(front, "validate", key=stray) == {"ok": False, "reason": "not_found"}
    await post(front, "machines/activate", 404, key=stray, fingerprint="one")
    for path in ("activate", "heartbeat", "deactivate"):
        for body in ({"key": key}, {"fingerprint": "one"}, {"key": key, "fingerprint": None}):
            await post(front, f"machines/{path}", 400, **body)
        await post(front, f"machines/{path}", 400, key=key[:-2] + "AA", fingerprint="one")


async def test_a_license_that_has_run_out_is_still_recovered(front: Front) -> None:
    """3.13, and the times of 2.1: RFC 3339 in UTC."""
    await a_tier(front.shop.store, "hour", price_value=0, duration_seconds=3600)
    made = await post(front, "purchase", product="app", policy_slug="hour", buyer_email=ANN)
    front.counter.clock.move(front.counter.now + timedelta(hours=2))
    assert (await post(front, "validate", key=made["license_key"]))["reason"] == "expired"
    told = await post(front, "recover", invoice_id=made["invoice_id"], email=f" {ANN.upper()} ")
    assert told["license_key"] == made["license_key"]
    assert told["expires_at"].endswith("Z")
    assert json.dumps(told["entitlements"]) == "[]"
