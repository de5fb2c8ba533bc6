"""Scoped keys over the API: told once, used, and revoked."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from keysat.infra.tables import EventOrigin, EventRow
from keysat.operators import tokens
from keysat.operators.seen import COARSE
from keysat.operators.tables import ApiKey, Session
from keysat.upkeep.retention import forget
from keysat.upkeep.shop import Shop
from tests.web.admin.signing_in import token_for
from tests.web.conftest import ADMIN, Watch

KEYS = "/v1/admin/api-keys"
PRODUCT = {"slug": "app", "name": "App", "price_sats": 5000}


async def test_a_key_is_told_once_works_as_itself_and_is_revoked_at_once(  # W-37, D-14, ASVS 16.2.5
    client: httpx.AsyncClient, shop: Shop, watch: Watch
):
    body = {"label": "CI", "role": "merchant-onboard", "expires_at": "2026-02-01T00:00:00Z"}
    made = (await client.post(KEYS, json=body, headers=ADMIN)).json()
    token = made.pop("token")
    assert made["last_used_at"] is None
    listed = (await client.get(KEYS, headers=ADMIN)).json()
    assert listed == {"api_keys": [made], "next_cursor": None}
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await client.post("/v1/admin/products", json=PRODUCT, headers=bearer)).status_code == 200
    for _ in range(3):
        assert (await client.get("/v1/admin/products", headers=bearer)).status_code == 200
    assert (await client.get(KEYS, headers=ADMIN)).json() == listed  # no request waits for the writing of it
    await shop.seen.flush(shop.store, watch.now())
    used = (await client.get(KEYS, headers=ADMIN)).json()["api_keys"][0]["last_used_at"]
    assert used == "2026-01-15T12:00:00Z"
    watch.pass_by(seconds=COARSE.total_seconds())
    revoked = (await client.delete(f"{KEYS}/{made['id']}", headers=ADMIN)).json()
    assert revoked == {"ok": True, "revoked_at": "2026-01-15T12:05:00Z", "already_revoked": False}
    assert (await client.get("/v1/admin/products", headers=bearer)).status_code == 403
    again = (await client.delete(f"{KEYS}/{made['id']}", headers=ADMIN)).json()
    assert again == revoked | {"already_revoked": True}
    async with shop.read() as read:
        rows = await read.session.execute(
            select(EventRow.name, EventRow.actor, EventRow.body, EventOrigin.credential, EventOrigin.address)
            .join(EventOrigin, EventOrigin.event_id == EventRow.id)
            .order_by(EventRow.id)
        )
        events = rows.all()
    assert [(name, actor, credential) for name, actor, _, credential, _ in events] == [
        ("api_key.created", "admin_key", "admin_key"),
        ("product.created", "api_key", made["id"]),
        ("api_key.revoked", "admin_key", "admin_key"),
    ]
    assert {address for *_, address in events} == {"203.0.113.7"}
    assert not any(secret in str(events) for secret in (token, tokens.hashed(token), "CI"))


@pytest.mark.once
async def test_what_has_ended_is_forgotten_later(client: httpx.AsyncClient, shop: Shop, watch: Watch):
    await token_for(shop)
    for ends in ("2026-01-16T12:00:00Z", None):
        await client.post(KEYS, json={"label": "CI", "role": "support", "expires_at": ends}, headers=ADMIN)
    for days, left in ((1, (1, 2)), (2, (0, 2)), (401, (0, 2)), (402, (0, 1))):
        await forget(shop, watch.now() + timedelta(days=days))
        async with shop.read() as read:
            rows = [(await read.session.scalars(select(model.id))).all() for model in (Session, ApiKey)]
        assert tuple(map(len, rows)) == left, days
    await shop.telemetry.close()


@pytest.mark.once
@pytest.mark.parametrize(
    "change",
    [
        {"role": "owner"},
        {"role": "boss"},
        {"scopes": ["owner"]},
        {"scopes": ["rates:write"]},
        {"scopes": ["everything"]},
        {"label": ""},
        {"label": "   "},
        {"label": "a\0b"},
        {"label": "x" * 81},
        {"expires_at": "2026-01-15T12:00:00Z"},
        {"expires_at": "2026-02-01T00:00:00"},
        {"expires_at": "soon"},
        {"days": 3},
    ],
)
async def test_what_no_key_can_be_is_refused(client: httpx.AsyncClient, change: dict[str, object]):  # W-36
    answer = await client.post(KEYS, json={"label": "CI", "role": "support"} | change, headers=ADMIN)
    assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
    assert (await client.get(KEYS, headers=ADMIN)).json()["api_keys"] == []


async def test_keys_are_listed_the_newest_first_page_by_page(client: httpx.AsyncClient, watch: Watch):
    for number in range(5):
        watch.pass_by(seconds=number % 2)
        body = {"label": f"key {number}", "role": "read-only", "scopes": ["payment_providers:write"]}
        assert (await client.post(KEYS, json=body, headers=ADMIN)).status_code == 200
    labels: list[str] = []
    cursor = None
    while cursor is not None or not labels:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = (await client.get(KEYS, params=query, headers=ADMIN)).json()
        labels += [key["label"] for key in page["api_keys"]]
        cursor = page["next_cursor"]
    assert (sorted(labels), labels[-1]) == ([f"key {number}" for number in range(5)], "key 0")
    for query in ({"cursor": "x"}, {"label": "CI"}, {"limit": "0"}):
        assert (await client.get(KEYS, params=query, headers=ADMIN)).status_code == 400
