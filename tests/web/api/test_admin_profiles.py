"""Merchant profiles over HTTP (`published-server.md` 2.9): who sells what, and whose account takes the money."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from keysat.payments.connections import connect
from keysat.payments.tables import Attempt, ConnectionId
from tests.fakes.btcpay_server import LEAST_PRIVILEGES
from tests.fakes.btcpay_server import Store as Shelf
from tests.web.conftest import ADMIN
from tests.web.selling import Front

pytestmark = pytest.mark.once
PROFILES = "/v1/admin/merchant-profiles"


async def asked(front: Front, method: str, path: str, body: object = None, status: int = 200) -> dict[str, Any]:
    answer = await front.http.request(method, path, json=body, headers=ADMIN | {"Accept": "application/json"})
    assert answer.status_code == status, answer.text
    return answer.json()


async def another_account(front: Front, profile_id: str, store: str = "second") -> ConnectionId:
    counter = front.counter
    counter.fake.stores[store] = Shelf(store, name="Second shop")
    fields = {"url": counter.fake.base_url, "api_key": counter.fake.make_key(*LEAST_PRIVILEGES, store=store)}
    return await connect(counter.office(), "btcpay", fields, UUID(profile_id))


async def paid_through(front: Front, rail: str = "") -> ConnectionId:
    """By somebody who was never here."""
    front.http.cookies.clear()
    front.counter.clock.move(front.counter.now + timedelta(seconds=1))
    answer = await front.buy(rail=rail)
    assert answer.status_code == 303, answer.text
    order = await front.order()
    async with front.shop.read() as read:
        return (await read.session.scalars(select(Attempt.connection_id).where(Attempt.order_id == order.id))).one()


async def test_a_profile_sells_under_its_name_and_into_its_own_account(front: Front) -> None:
    [default] = (await asked(front, "GET", PROFILES))["profiles"]
    assert (default["name"], default["is_default"], len(default["providers"])) == (None, True, 1)
    made = await asked(front, "POST", PROFILES, {"name": "Nightjar", "legal_name": "Nightjar GmbH"})
    product = (await asked(front, "GET", "/v1/admin/products"))["products"][0]
    await asked(front, "PATCH", f"/v1/admin/products/{product['id']}", {"merchant_profile_id": made["id"]})
    page = await front.http.get("/buy/app")
    assert "Sold by Nightjar GmbH." in page.text
    assert "Ada &amp; Sons" not in page.text
    assert "cannot take payments yet" in (await front.buy()).text  # no account of its own, and no other's is taken
    mine = await another_account(front, made["id"])
    assert await paid_through(front) == mine
    answer = await asked(
        front,
        "PATCH",
        f"{PROFILES}/{made['id']}",
        {
            "support_email": "help@nightjar.test",
            "post_purchase_redirect_url": "https://nightjar.test/done?o={invoice_id}",
        },
    )
    assert (answer["product_count"], answer["active_subscription_count"]) == (1, 0)
    front.http.cookies.clear()
    order = await front.bought()
    assert order.redirect_url == f"https://nightjar.test/done?o={order.invoice_id}"
    assert 'href="mailto:help@nightjar.test"' in (await front.thanks(order)).text


async def test_null_clears_and_absent_stays(front: Front) -> None:  # D-18, D-43
    sent = {"name": "Nightjar", "support_url": "https://nightjar.test/help", "legal_name": "Nightjar GmbH"}
    path = f"{PROFILES}/{(await asked(front, 'POST', PROFILES, sent))['id']}"
    after = await asked(front, "PATCH", path, {"support_url": None})
    assert (after["support_url"], after["legal_name"], after["name"]) == (None, "Nightjar GmbH", "Nightjar")
    for refused in (
        {"name": None},
        {"name": "  "},
        {"support_url": "javascript:alert(1)"},
        {"support_email": "none"},
        {"post_purchase_redirect_url": "https://a:b@x.test"},
        {"smtp_host": "mail.test"},
        [],
    ):
        await asked(front, "PATCH", path, refused, 400)
    assert (await asked(front, "GET", path))["updated_at"] == after["updated_at"]


async def test_a_profile_goes_only_when_nothing_hangs_on_it(front: Front) -> None:  # D-43
    default = (await asked(front, "GET", PROFILES))["profiles"][0]["id"]
    refused = await asked(front, "DELETE", f"{PROFILES}/{default}", status=409)
    assert "1 payment connection" in refused["message"]
    made = (await asked(front, "POST", PROFILES, {"name": "Nightjar"}))["id"]
    product = (await asked(front, "GET", "/v1/admin/products"))["products"][0]["id"]
    await asked(front, "PATCH", f"/v1/admin/products/{product}", {"merchant_profile_id": made})
    mine = await another_account(front, made)
    refused = await asked(front, "DELETE", f"{PROFILES}/{made}", status=409)
    assert "1 product, 1 payment connection" in refused["message"]
    await asked(front, "POST", "/v1/admin/btcpay/connect", {"merchant_profile_id": made})  # and abandoned
    await asked(front, "PATCH", f"/v1/admin/products/{product}", {"merchant_profile_id": None})
    await asked(front, "POST", f"/v1/admin/providers/{mine}/disconnect")
    await asked(front, "DELETE", f"{PROFILES}/{made}")
    await asked(front, "GET", f"{PROFILES}/{made}", status=404)
    assert (await asked(front, "GET", f"/v1/admin/providers/{mine}"))["status"] == "disconnected"


async def test_the_default_moves_and_there_is_always_one(front: Front) -> None:  # D-56
    first = (await asked(front, "GET", PROFILES))["profiles"][0]["id"]
    made = (await asked(front, "POST", PROFILES, {"name": "Nightjar"}))["id"]
    refused = await asked(front, "POST", f"{PROFILES}/{made}/set-default", status=400)
    assert "Name it first" in refused["message"]
    await asked(front, "PATCH", f"{PROFILES}/{first}", {"name": "Ada"})
    await asked(front, "POST", f"{PROFILES}/{made}/set-default")
    assert [one["is_default"] for one in (await asked(front, "GET", PROFILES))["profiles"]] == [False, True]
    assert "cannot take payments yet" in (await front.buy()).text  # the product names none: it is Nightjar's now
    assert (await asked(front, "GET", "/v1/admin/payment-provider/status"))["active"] is None
    mine = await another_account(front, made)
    assert await paid_through(front) == mine
    page = await asked(front, "GET", f"{PROFILES}?limit=1")
    assert [one["id"] for one in page["profiles"]] == [first]
    page = await asked(front, "GET", f"{PROFILES}?limit=1&cursor={page['next_cursor']}")
    assert ([one["id"] for one in page["profiles"]], page["next_cursor"]) == ([made], None)


async def test_a_rail_goes_where_the_profile_prefers(front: Front) -> None:
    default = (await asked(front, "GET", PROFILES))["profiles"][0]
    first, second = default["providers"][0]["id"], str(await another_account(front, default["id"]))
    path = f"{PROFILES}/{default['id']}/rail-preferences"
    assert str(await paid_through(front)) == first
    await asked(front, "PUT", f"{path}/lightning", {"payment_provider_id": second})
    shown = (await asked(front, "GET", f"{PROFILES}/{default['id']}"))["rail_preferences"]
    assert shown == [{"rail": "lightning", "payment_provider_id": second}]
    for rail, expected in (("lightning", second), ("onchain", first), ("", second)):
        assert (rail, str(await paid_through(front, rail))) == (rail, expected)
    for rail, body in (
        ("smoke", {"payment_provider_id": first}),
        ("card", {"payment_provider_id": first}),
        ("lightning", {"payment_provider_id": default["id"]}),
    ):
        await asked(front, "PUT", f"{path}/{rail}", body, 400)
    made = (await asked(front, "POST", PROFILES, {"name": "Nightjar"}))["id"]
    refused = await asked(
        front, "PUT", f"{PROFILES}/{made}/rail-preferences/lightning", {"payment_provider_id": first}, 400
    )
    assert "another profile" in refused["message"]
    for _ in range(2):
        await asked(front, "DELETE", f"{path}/lightning")
    assert str(await paid_through(front)) == first
