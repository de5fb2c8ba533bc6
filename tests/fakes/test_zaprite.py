"""The judge of the fake Zaprite must bite: what is not written in `payment-rails.md` 3 is a violation."""

import json
from contextlib import aclosing

import httpx
import pytest

from tests.fakes.zaprite import API_KEY, BASE_URL, FakeZaprite

ORDER = {"amount": 4900, "currency": "USD", "externalUniqId": "a1"}


async def asked(fake: FakeZaprite, method: str, path: str, **more: object) -> httpx.Response:
    client = httpx.AsyncClient(transport=fake.transport, base_url=BASE_URL)
    async with aclosing(client):
        body = json.dumps(more["json"]).encode() if "json" in more else None
        return await client.request(method, path, content=body, headers={"Authorization": f"Bearer {API_KEY}"})


async def test_what_is_written_passes_and_an_id_of_ours_is_taken_twice() -> None:
    fake = FakeZaprite()
    first, second = [(await asked(fake, "POST", "/v1/orders", json=ORDER)).json() for _ in range(2)]
    assert first["id"] != second["id"]
    assert (await asked(fake, "GET", "/v1/orders/a1")).json() == second
    assert (await asked(fake, "GET", "/v1/orders/nobody")).status_code == 404
    assert (await asked(fake, "GET", "/v1/orders?page=1&includePending=true")).json()["meta"]["itemsCount"] == 2
    fake.check()


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/orders", {**ORDER, "amount": 49.5}),
        ("POST", "/v1/orders", {**ORDER, "idempotencyKey": "a1"}),
        ("POST", "/v1/orders", {**ORDER, "expiresAt": "2026-09-21T12:00:00"}),
        ("POST", "/v1/orders", {**ORDER, "metadata": {"number": 5}}),
        ("GET", "/v1/orders?since=2026", None),
        ("GET", "/v1/refunds", None),
    ],
)
async def test_what_nobody_wrote_down_is_a_violation(method: str, path: str, body: object) -> None:
    fake = FakeZaprite()
    await asked(fake, method, path, **({} if body is None else {"json": body}))
    with pytest.raises(AssertionError):
        fake.check()


async def test_an_answer_of_another_shape_is_a_violation_too() -> None:
    fake = FakeZaprite()
    made = (await asked(fake, "POST", "/v1/orders", json=ORDER)).json()
    await fake.pay(made["id"], rail="card")
    fake.orders[made["id"]].payments[0].status = "DONE"
    await asked(fake, "GET", f"/v1/orders/{made['id']}")
    with pytest.raises(AssertionError, match="DONE"):
        fake.check()
