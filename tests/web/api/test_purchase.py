from pathlib import Path
from typing import Any

import httpx
import pytest

from keysat.infra.house import Mode
from keysat.infra.store import Store
from keysat.payments.provider import Rail
from tests.catalog.shelf import a_tier
from tests.checkout.counter import PUBLIC_URL
from tests.web.selling import Front, open_front

pytestmark = pytest.mark.once

PAID_FIELDS = {
    "invoice_id",
    "btcpay_invoice_id",
    "checkout_url",
    "amount_sats",
    "base_price_sats",
    "discount_applied_sats",
    "poll_url",
}


async def purchase(front: Front, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    return await front.http.post("/v1/purchase", json={"product": "app"} | body, headers=headers)


async def poll(front: Front, invoice_id: str) -> dict[str, Any]:
    answer = await front.http.get(f"/v1/purchase/{invoice_id}")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def test_a_paid_purchase_answers_as_the_contract_says(front: Front):
    answer = await purchase(front, policy_slug="pro", buyer_email="x@y.test", unknown_field={"of": "a newer SDK"})
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == PAID_FIELDS
    assert (body["amount_sats"], body["base_price_sats"], body["discount_applied_sats"]) == (150_000, 150_000, 0)
    assert body["poll_url"] == f"{PUBLIC_URL}/v1/purchase/{body['invoice_id']}"
    assert len(body["invoice_id"]) == 32


async def test_a_free_purchase_answers_with_the_key(front: Front):
    await a_tier(front.shop.store, "free", price_value=0)
    body = (await purchase(front, policy_slug="free")).json()
    assert body.keys() == PAID_FIELDS | {"license_key", "license_id"}
    assert body["btcpay_invoice_id"] == f"free-{body['invoice_id']}"
    assert (body["checkout_url"], body["amount_sats"]) == ("", 0)
    assert (await poll(front, body["invoice_id"]))["license_key"] == body["license_key"]


async def test_the_poll_shows_the_key_once_it_is_paid_and_every_field_before(front: Front):
    made = (await purchase(front)).json()
    before = await poll(front, made["invoice_id"])
    assert before == {
        "invoice_id": made["invoice_id"],
        "status": "pending",
        "product_id": before["product_id"],
        "amount_sats": 150_000,
        "license_key": None,
        "license_id": None,
    }
    await front.counter.pay(await front.order())
    after = await poll(front, made["invoice_id"])
    assert after["status"] == "settled"
    assert after["license_key"].startswith("LIC1-")


async def test_a_poll_makes_us_look_when_every_webhook_is_lost(front: Front):
    made = (await purchase(front)).json()
    front.counter.deaf = True
    invoice = await front.counter.invoice_of(await front.order())
    await front.counter.fake.pay(invoice, percent=100, rail=Rail.LIGHTNING, confirmed=True)
    assert (await poll(front, made["invoice_id"]))["status"] == "settled"


async def test_empty_texts_are_absent_and_unknown_rails_too(front: Front):
    blanks = dict.fromkeys(("buyer_email", "buyer_note", "redirect_url", "code", "policy_slug", "offer"), "")
    answer = await purchase(front, **blanks, rail="pigeon")
    assert answer.status_code == 200, answer.text
    order = await front.order()
    assert (order.rail, order.customer_id, order.redirect_url) == (None, None, None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"product": "none"}, 404),
        ({"policy_slug": "none"}, 404),
        ({"product": ""}, 404),
        ({"product": None}, 400),
        ({"product": 7}, 400),
        ({"code": "SPRING"}, 400),
        ({"buyer_email": "nobody"}, 400),
        ({"buyer_email": "x" * 256}, 400),
        ({"buyer_note": "x" * 10_001}, 400),
        ({"redirect_url": "javascript:alert(1)"}, 400),
        ({"redirect_url": "https://x.test/" + "x" * 2000}, 400),
        ({"policy_slug": "a\0b"}, 400),
    ],
)
async def test_what_cannot_be_sold_is_refused_and_nothing_is_written(front: Front, body: dict[str, Any], status: int):
    answer = await purchase(front, **body)
    assert answer.status_code == status, answer.text
    assert answer.json()["ok"] is False
    assert await front.orders() == 0


async def test_an_idempotency_key_makes_a_repeated_call_harmless(front: Front):
    first = await purchase(front, {"Idempotency-Key": "k1"})
    again = await purchase(front, {"Idempotency-Key": "k1"})
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    assert await front.orders() == 1
    other = await purchase(front, {"Idempotency-Key": "k1"}, policy_slug="pro")
    assert other.status_code == 422


async def test_api_calls_have_no_memory_of_each_other(front: Front):
    ids = {(await purchase(front)).json()["invoice_id"] for _ in range(2)}
    assert len(ids) == 2


async def test_purchases_and_polls_are_limited(front: Front):
    made = (await purchase(front)).json()
    for _ in range(19):
        await purchase(front, product="none")
    refused = await purchase(front)
    assert (refused.status_code, refused.json()["error"]) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) <= 6
    statuses = [(await front.http.get(f"/v1/purchase/{made['invoice_id']}")).status_code for _ in range(61)]
    assert statuses == [200] * 60 + [429]


async def test_an_unknown_order_is_404(front: Front):
    for invoice_id in ("none", "x" * 3000, "%20"):
        answer = await front.http.get(f"/v1/purchase/{invoice_id}")
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


async def test_a_sandbox_says_so_in_every_poll(store: Store, tmp_path: Path):
    async with open_front(store, tmp_path, Mode.SANDBOX) as front:
        await a_tier(store, "free", price_value=0)
        made = (await purchase(front, policy_slug="free")).json()
        assert (await poll(front, made["invoice_id"]))["sandbox"] is True


async def test_a_trial_is_begun_once_and_validates_for_ever_after(front: Front):  # W-32, D-54
    await a_tier(front.shop.store, "team", is_recurring=True, renewal_period_days=30, trial_days=14)
    missing = await purchase(front, policy_slug="team")
    assert (missing.status_code, missing.json()["error"]) == (400, "bad_request")
    assert "send `buyer_email`" in missing.json()["message"]
    body = (await purchase(front, policy_slug="team", buyer_email="ann@example.org")).json()
    assert body.keys() == PAID_FIELDS | {"license_key", "license_id"}
    assert (body["amount_sats"], body["base_price_sats"], body["discount_applied_sats"]) == (0, 50_000, 0)
    assert body["btcpay_invoice_id"] == f"free-{body['invoice_id']}"
    assert (await poll(front, body["invoice_id"]))["license_key"] == body["license_key"]
    used = await purchase(front, policy_slug="team", buyer_email="ANN@example.org")
    assert (used.status_code, used.json()["error"]) == (409, "conflict")
    told = (await front.http.post("/v1/validate", json={"key": body["license_key"], "product_slug": "app"})).json()
    assert (told["ok"], told["is_trial"]) == (True, True)
    paid = await purchase(front, policy_slug="team", buyer_email="ann@example.org", trial=False)
    assert paid.json()["amount_sats"] == 50_000


async def test_a_trial_that_asks_for_nothing_is_begun_three_times_a_day_from_an_address(front: Front):  # D-54
    await a_tier(front.shop.store, "team", trial_days=14, trial_needs="nothing")
    answers = [await purchase(front, policy_slug="team") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert (await purchase(front, policy_slug="team", trial=False)).status_code == 200
