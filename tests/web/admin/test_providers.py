"""The page of payment providers: what is connected, how it is, and the buttons of an owner."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx
import pytest

from keysat.operators.scopes import Role
from keysat.payments.provider import Network
from keysat.payments.tables import ConnectionId, ConnectionStatus
from keysat.web.admin.providers import findings
from keysat.web.connecting import Provider, ProviderHealth
from tests.fakes.btcpay import STORE
from tests.fakes.btcpay_server import Store as Shelf
from tests.fakes.zaprite import FakeZaprite
from tests.web.admin.signing_in import signed_in
from tests.web.selling import Front

pytestmark = pytest.mark.once
HERE = "/admin/providers"
NO_ID = ConnectionId(UUID(int=7))


async def sent(owner: httpx.AsyncClient, act: str, **fields: str) -> httpx.Response:
    return await owner.post(f"{HERE}/{act}", data=fields, follow_redirects=True)


async def test_an_owner_connects_looks_mends_and_disconnects(front: Front) -> None:
    fake = front.counter.fake
    fake.stores["other"] = Shelf("other", name="Other shop")
    async with signed_in(front.shop) as owner:
        page = await owner.get(HERE)
        assert "Nobody has looked at it yet." in page.text
        one = {"provider_id": str(front.shop.tills.all()[0].id)}
        assert "It is well." in (await sent(owner, "check", **one)).text
        fake.hooks[0].enabled = False
        till = await front.shop.tills.get(front.shop.tills.all()[0].id)
        assert (await till.till.health()).webhook_faults == ("It is switched off.",)
        assert "The webhook is registered again." in (await sent(owner, "repair", **one)).text
        assert "not the address of a BTCPay server" in (await sent(owner, "btcpay", url="nonsense")).text
        leaving = await sent(owner, "btcpay", url="http://btcpay.test/")
        assert 'http-equiv="refresh" content="0; url=http://btcpay.test/api-keys/authorize?' in leaving.text
        refused = await sent(owner, "zaprite", api_key="")
        assert (refused.status_code, "API key is missing" in refused.text) == (400, True)
        await front.bought()
        gone = await sent(owner, "disconnect", **one)
        assert "taken back by itself" in gone.text
        assert "Nothing can be paid yet" in gone.text
        assert "old orders are still watched" in gone.text
        assert "its key was given back" in (await sent(owner, "disconnect", **one, at_once="1")).text
        assert "no such payment connection" in (await sent(owner, "check", provider_id=str(NO_ID))).text
    async with signed_in(front.shop, Role.READ_ONLY) as reader:
        assert "Connect BTCPay" not in (await reader.get(HERE)).text
        assert (await sent(reader, "btcpay")).status_code == 403


async def test_zaprite_is_connected_with_its_key_and_buyers_are_let_go_to_its_pages(front: Front) -> None:
    zaprite = FakeZaprite(clock=front.counter.clock)
    front.counter.hosts["api.zaprite.test"] = zaprite.transport
    front.counter.hosts["api.zaprite.com"] = httpx.MockTransport(lambda _: httpx.Response(401, json={}))
    async with signed_in(front.shop) as owner:
        refused = await sent(owner, "zaprite", api_key=zaprite.fields["api_key"])
        assert (refused.status_code, 'aria-invalid="true"' in refused.text, "autofocus" in refused.text) == (
            400,
            True,
            True,
        )
        made = await owner.post("/v1/admin/zaprite/connect", json=zaprite.fields)
        assert made.status_code == 200, made.text
        page = await owner.get(HERE)
        assert f"send its webhooks to {made.json()['webhook_url']}" in (await looked(owner, page)).text
    policy = (await front.http.get("/buy/app")).headers["content-security-policy"]
    assert "form-action 'self' http://btcpay.test http://pay.zaprite.test;" in policy


async def looked(owner: httpx.AsyncClient, page: httpx.Response) -> httpx.Response:
    """At each of them."""
    for provider_id in dict.fromkeys(re.findall(r'name="provider_id" value="([^"]+)"', page.text)):
        page = await sent(owner, "check", provider_id=provider_id)
    return page


def connection(**health: Any) -> Provider:
    found: dict[str, Any] = {
        "reachable": True,
        "authorized": True,
        "synced": True,
        "version": None,
        "missing": [],
        "excess": [],
        "webhook_ok": True,
        "warnings": [],
        **health,
    }
    return Provider(
        id=NO_ID,
        kind="btcpay",
        label="Test shop",
        base_url="http://btcpay.test",
        public_url=None,
        store_id=STORE,
        network=Network.MAINNET,
        served_rails=[],
        status=ConnectionStatus.ACTIVE,
        merchant_profile_id=None,
        webhook_id="w",
        webhook_url="http://shop.test/w",
        connected_at=datetime(2026, 1, 1, tzinfo=UTC),
        checked_at=None,
        disconnected_at=None,
        released_at=None,
        health=ProviderHealth(**found),
    )


@pytest.mark.parametrize(
    ("health", "expected"),
    [
        ({}, [("good", "It is well.")]),
        ({"reachable": False}, [("bad", "BTCPay Server did not answer.")]),
        (
            {"authorized": False},
            [("bad", "BTCPay Server no longer takes the API key. Disconnect it, and connect it again.")],
        ),
        ({"missing": ["a", "b"]}, [("bad", "The API key lacks a, b.")]),
        (
            {"webhook_ok": False, "webhook_faults": ["It is switched off."]},
            [("bad", "The webhook: It is switched off.")],
        ),
        (
            {"synced": False, "excess": ["c"], "warnings": ["The store is archived."]},
            [
                ("good", "It is well."),
                ("odd", "Its node is still catching up: payments on the chain are not seen yet."),
                ("odd", "The API key may do more than it needs: c."),
                ("odd", "The store is archived."),
            ],
        ),
        ({"last_delivery_ok": False}, [("bad", "Its last message did not get through to this shop.")]),
    ],
)
def test_health_in_words(health: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert [(one.tone, one.words) for one in findings(connection(**health), "http://shop.test/w")] == expected
