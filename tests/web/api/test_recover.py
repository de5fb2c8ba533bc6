"""Recover, replace and refresh as programs ask for them (public contract 3.13)."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from keysat.checkout.operate import gift, give
from keysat.checkout.recover import claim_code
from keysat.checkout.tables import Order
from keysat.kit.licensekey import parse
from keysat.licenses.issue import revoke, suspend
from keysat.licenses.tables import License
from tests.checkout.counter import BUYER
from tests.web.conftest import ADMIN
from tests.web.selling import Front

ANN = "ann@example.org"


async def sold(front: Front, email: str | None = ANN) -> tuple[Order, str]:
    async with front.shop.store.work(front.counter.now, BUYER) as work:
        order = await give(work, await gift(work, "app", "pro", email))
    key = await front.counter.key(order)
    return order, key


async def asked(front: Front, path: str = "recover", **body: object) -> httpx.Response:
    return await front.http.post(f"/v1/{path}", json=body)


async def reason(front: Front, key: str, **more: str) -> str | None:
    return (await front.http.post("/v1/validate", json={"key": key, **more})).json().get("reason")


async def test_the_secret_id_and_the_address_are_answered_with_the_key(front: Front):
    order, key = await sold(front)
    answer = await asked(front, invoice_id=order.invoice_id, email=" ANN@example.org", ignored=1)
    assert answer.status_code == 200
    assert answer.json() == {
        "license_key": key,
        "license_id": str(order.license_id),
        "product_id": str(order.product_id),
        "issued_at": order.created_at.isoformat().replace("+00:00", "Z"),
        "expires_at": None,
        "entitlements": [],
    }


async def test_whatever_does_not_fit_is_one_404(front: Front):
    order, _ = await sold(front)
    answers = [
        await asked(front, invoice_id=order.invoice_id, email="bob@example.org"),
        await asked(front, invoice_id="nobody-knows", email=ANN),
        await asked(front, invoice_id=order.invoice_id, claim_code="wrong"),
    ]
    told = {(answer.status_code, answer.json()["error"], answer.json()["message"]) for answer in answers}
    assert len(told) == 1
    assert next(iter(told))[:2] == (404, "not_found")


@pytest.mark.parametrize(
    "body", [{"invoice_id": "x", "email": " "}, {"invoice_id": "", "email": "a@b"}, {"email": "a"}]
)
async def test_what_is_left_out_is_a_400(front: Front, body: dict[str, str]):
    assert (await asked(front, **body)).status_code == 400


async def test_a_support_reference_and_an_address_are_always_answered_alike(front: Front):
    order, _ = await sold(front)
    for reference, email in ((order.support_reference, ANN), (order.support_reference, "b@c.test"), ("KS-NO", ANN)):
        answer = await asked(front, invoice_id=reference, email=email)
        assert (answer.status_code, answer.json()) == (200, {"ok": True, "sent": True})


async def test_an_anonymous_buyer_comes_with_the_claim_code(front: Front):
    order, key = await sold(front, None)
    code = claim_code(front.shop.vault, order.id)
    for reference in (order.invoice_id, order.support_reference):
        assert (await asked(front, invoice_id=reference, claim_code=code, email=None)).json()["license_key"] == key


async def test_the_claim_code_stands_in_no_answer_to_an_sdk(front: Front):
    order, key = await sold(front)
    code = claim_code(front.shop.vault, order.id)
    answers = [
        await front.http.get(f"/v1/purchase/{order.invoice_id}"),
        await asked(front, invoice_id=order.invoice_id, email=ANN),
        await asked(front, "licenses/refresh", license_key=key),
        await asked(front, "validate", key=key),
    ]
    assert [answer.status_code for answer in answers] == [200] * 4
    assert not any(code in answer.text or "claim" in answer.text for answer in answers)


async def test_guesses_at_one_order_end_after_five_and_at_many_after_ten(front: Front):
    order, _ = await sold(front)
    statuses = [(await asked(front, invoice_id=order.invoice_id, email="b@c.test")).status_code for _ in range(6)]
    assert statuses == [404] * 5 + [429]
    statuses = [(await asked(front, invoice_id=f"guess-{n}", email=ANN)).status_code for n in range(6)]
    assert statuses == [404] * 4 + [429] * 2
    front.counter.clock.move(front.counter.now + timedelta(seconds=6))
    assert (await asked(front, invoice_id="guess", email=ANN)).status_code == 404


async def test_who_has_the_claim_code_is_locked_out_by_nobodys_guesses(front: Front):
    order, key = await sold(front)
    code = claim_code(front.shop.vault, order.id)
    paths = {"recover": {"invoice_id": order.support_reference}, "licenses/replace-key": {"license_key": key}}
    for path, known in paths.items():
        guesses = [(await asked(front, path, **known, claim_code="AAAAA")).status_code for _ in range(6)]
        assert guesses[-1] == 429
        assert (await asked(front, path, **known, claim_code=code)).status_code == 200
        assert (await asked(front, path, **known, claim_code="AAAAA")).status_code == 429


async def test_a_thief_with_the_replaced_key_uses_nothing_up_of_the_new_one(front: Front):
    order, old = await sold(front)
    body = {"license_key": old, "claim_code": claim_code(front.shop.vault, order.id)}
    new = (await asked(front, "licenses/replace-key", **body)).json()["license_key"]
    for path, calls in (("validate", 61), ("machines/heartbeat", 61)):
        answers = [(await asked(front, path, key=old, fingerprint="theirs")).json().get("reason") for _ in range(calls)]
        assert (answers[0], answers[-1]) == ("revoked", "rate_limited")
        assert (await asked(front, path, key=new, fingerprint="mine")).json().get("reason") != "rate_limited"
    assert (await asked(front, "machines/activate", key=new, fingerprint="mine")).json()["ok"]
    assert (await asked(front, "licenses/refresh", license_key=new)).status_code == 200


async def test_the_buyer_replaces_a_leaked_key_and_keeps_the_seat(front: Front):
    order, old = await sold(front)
    seat = {"key": old, "fingerprint": "laptop"}
    assert (await front.http.post("/v1/machines/activate", json=seat)).json()["ok"]
    wrong = await asked(front, "licenses/replace-key", license_key=old, claim_code="wrong")
    assert wrong.status_code == 404
    assert await reason(front, old) is None
    code = claim_code(front.shop.vault, order.id)
    answer = await asked(front, "licenses/replace-key", license_key=old, claim_code=code)
    assert answer.status_code == 200
    new = answer.json()["license_key"]
    assert answer.json()["license_id"] == str(order.license_id)
    assert (await reason(front, old), await reason(front, new)) == ("revoked", None)
    beat = await front.http.post("/v1/machines/heartbeat", json={"key": new, "fingerprint": "laptop"})
    assert beat.json()["ok"]
    assert (await front.counter.poll(order)).license_key == new
    assert (await asked(front, invoice_id=order.invoice_id, email=ANN)).json()["license_key"] == new
    stolen = await asked(front, "licenses/refresh", license_key=old)
    assert (stolen.status_code, new in stolen.text) == (403, False)


async def test_a_replacement_that_is_asked_for_twice_is_made_once(front: Front):
    order, old = await sold(front)
    body = {"license_key": old, "claim_code": claim_code(front.shop.vault, order.id)}
    first, second = [
        await front.http.post("/v1/licenses/replace-key", json=body, headers={"Idempotency-Key": "once"})
        for _ in range(2)
    ]
    assert first.json() == second.json()
    assert await reason(front, second.json()["license_key"]) is None


async def test_the_operator_replaces_a_key(front: Front):
    order, old = await sold(front)
    path = f"/v1/admin/licenses/{order.license_id}/replace-key"
    assert (await front.http.post(path)).status_code == 401
    answer = await front.http.post(path, headers=ADMIN)
    assert answer.status_code == 200
    assert await reason(front, old) == "revoked"
    assert await reason(front, answer.json()["license_key"]) is None
    async with front.shop.store.work(front.counter.now, BUYER) as work:
        assert order.license_id is not None
        await revoke(work, order.license_id, "because")
    assert (await front.http.post(path, headers=ADMIN)).status_code == 409


async def test_refresh_signs_the_key_from_what_the_license_is_now(front: Front):
    order, old = await sold(front)
    async with front.shop.store.work(front.counter.now, BUYER) as work:
        license = await work.get(License, order.license_id)
        license.entitlements = ["raw"]
        ended = license.expires_at = front.counter.now - timedelta(days=1)
    answer = await asked(front, "licenses/refresh", license_key=old)
    assert answer.status_code == 200, "an expired license is shown too"
    told = parse(answer.json()["license_key"]).payload
    assert (told.entitlements, answer.json()["entitlements"]) == (("raw",), ["raw"])
    assert told.expires_at == int(ended.timestamp())
    assert told.issued_at == parse(old).payload.issued_at


@pytest.mark.parametrize(("act", "word"), [(suspend, "suspended"), (revoke, "revoked")])
async def test_what_was_taken_away_is_not_refreshed(front: Front, act: Any, word: str):
    order, key = await sold(front)
    async with front.shop.store.work(front.counter.now, BUYER) as work:
        await act(work, order.license_id, "because")
    answer = await asked(front, "licenses/refresh", license_key=key)
    assert (answer.status_code, word in answer.json()["message"]) == (403, True)


@pytest.mark.once
@pytest.mark.parametrize("path", ["licenses/refresh", "licenses/replace-key"])
async def test_a_text_that_is_no_key_of_ours_is_a_400(front: Front, path: str):
    _, key = await sold(front)
    forged = key[:-3] + ("AAA" if key[-3:] != "AAA" else "BBB")
    for text in ("", "hello", forged):
        answer = await asked(front, path, license_key=text, claim_code="x")
        assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
