"""The audit log: who did what, from where; in pages of any history, and with nothing in it that opens anything."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from keysat.infra.events import Actor, Happening
from keysat.infra.seals import seal
from keysat.upkeep.shop import Shop
from tests.conftest import NOON, TESTER
from tests.web.conftest import ADMIN, ADMIN_KEY, Watch

KEY = Actor("api_key", credential="key-7", address="192.0.2.9")
PATH = "/v1/admin/audit"


class Rung(Happening, frozen=True, tag="bell.rung"):
    bell: str
    times: int


class Hushed(Happening, frozen=True, tag="bell.hushed"):
    bell: str


@pytest.fixture
async def history(shop: Shop, watch: Watch, client: httpx.AsyncClient) -> None:
    """Four hours: rung by the house, rung by a key, hushed by the key, rung by the house and not sealed yet."""
    for actor, happening in ((TESTER, Rung("a", 1)), (KEY, Rung("b", 2)), (KEY, Hushed("b"))):
        async with shop.work(actor) as work:
            work.record(happening)
        watch.pass_by(hours=1)
    await seal(shop.store, watch.now())
    async with shop.work(TESTER) as work:
        work.record(Rung("a", 3))
    client.headers.update(ADMIN)


async def listed(client: httpx.AsyncClient, **query: str | int) -> dict[str, Any]:
    answer = await client.get(PATH, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.usefixtures("history")
async def test_an_entry_says_what_who_with_which_credential_and_from_where(client: httpx.AsyncClient) -> None:
    [entry] = (await listed(client, action="bell.rung", credential="key-7"))["entries"]
    assert entry == {
        "id": entry["id"],
        "position": 3,  # after the shop's own key
        "action": "bell.rung",
        "target_kind": "bell",
        "target_id": "b",
        "actor_kind": "api_key",
        "credential": "key-7",
        "request_ip": "192.0.2.9",
        "details": {"bell": "b", "times": 2},
        "occurred_at": "2026-01-15T13:00:00Z",
    }
    [latest] = (await listed(client, limit=1))["entries"]
    assert (latest["position"], latest["credential"], latest["request_ip"]) == (None, None, None)


@pytest.mark.usefixtures("history")
async def test_it_is_found_by_what_who_whom_and_when_in_pages_without_a_gap(client: httpx.AsyncClient) -> None:
    async def times(**query: str | int) -> list[int | None]:
        return [one["details"].get("times") for one in (await listed(client, **query))["entries"]]

    one, three = ((NOON + timedelta(hours=hours)).isoformat().replace("+00:00", "Z") for hours in (1, 3))
    assert await times(actor="test", action="bell.rung") == [3, 1]
    assert await times(subject="b") == [None, 2]
    assert await times(since=one, until=three) == [None, 2]
    assert await times(credential="key-8") == []
    whole, page = await listed(client), await listed(client, limit=1)
    found = page["entries"]
    while page["next_cursor"] is not None:
        page = await listed(client, limit=1, cursor=page["next_cursor"])
        found += page["entries"]
    assert found == whole["entries"]
    for query in ({"since": "2026-01-15T12:00:00"}, {"until": "noon"}, {"user_agent": "curl"}, {"cursor": "x"}):
        assert (await client.get(PATH, params=query)).status_code == 400, query


@pytest.mark.once
async def test_what_operators_and_buyers_do_is_there_and_nothing_that_opens_anything(client: httpx.AsyncClient) -> None:
    """ASVS 5.0, 16.2.5: by its level of protection a thing is logged or not. Keys and e-mail never are; D-14."""
    client.headers.update(ADMIN)
    body = {"slug": "app", "name": "Secretly Named", "price_currency": "USD", "price_value": 0}
    assert (await client.post("/v1/admin/products", json=body)).status_code == 200
    bought = await client.post("/v1/purchase", json={"product": "app", "buyer_email": "ann@letters.example"})
    entries = (await listed(client))["entries"]
    assert {("product.created", "admin_key"), ("order.fulfilled", "buyer")} <= {
        (one["action"], one["actor_kind"]) for one in entries
    }
    assert {one["request_ip"] for one in entries if one["actor_kind"] in ("admin_key", "buyer")} == {"203.0.113.7"}
    told = bought.json()
    for secret in (ADMIN_KEY, told["invoice_id"], told["license_key"], "ann@letters.example", "Secretly Named"):
        assert secret not in str(entries)
