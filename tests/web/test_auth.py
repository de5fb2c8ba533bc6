from collections.abc import AsyncGenerator
from dataclasses import replace

import httpx
import pytest
from litestar import get

from keysat.upkeep.admin_key import make_admin_key
from keysat.upkeep.shop import Shop
from keysat.web.auth import admin_only
from keysat.web.provide import WithVisit
from tests.conftest import TESTER
from tests.web.conftest import ADMIN, ADMIN_KEY, Watch, browse, doors_of


@get("/v1/secret", guards=[admin_only])
async def secret(visit: WithVisit) -> dict[str, str | None]:
    return {"kind": visit.actor.kind, "address": visit.actor.address}


@get("/v1/open")
async def open_to_all(visit: WithVisit) -> dict[str, str | None]:
    return {"kind": visit.actor.kind, "address": visit.actor.address}


@pytest.fixture
async def client(shop: Shop) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with browse(doors_of(shop, secret, open_to_all)) as client:
        yield client


async def ask(client: httpx.AsyncClient, authorization: str) -> httpx.Response:
    return await client.get("/v1/secret", headers={"Authorization": authorization} if authorization else {})


async def test_the_admin_key_opens_and_names_the_actor(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/secret", headers=ADMIN)
    assert (answer.status_code, answer.json()) == (200, {"kind": "admin_key", "address": "203.0.113.7"})


async def test_everybody_else_is_a_buyer(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/open", headers=ADMIN)).json() == {"kind": "buyer", "address": "203.0.113.7"}


@pytest.mark.parametrize("authorization", ["", "Basic abc", "Bearer", "Bearer  ", ADMIN_KEY])
async def test_without_a_bearer_one_is_not_known(client: httpx.AsyncClient, authorization: str) -> None:
    answer = await ask(client, authorization)
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_wrong_bearer_is_refused_and_then_limited(client: httpx.AsyncClient, watch: Watch) -> None:
    for _ in range(20):
        assert (await ask(client, f"Bearer {ADMIN_KEY}x")).status_code == 403
    limited = await ask(client, f"Bearer {ADMIN_KEY}x")
    assert (limited.status_code, limited.json()["error"], limited.headers["retry-after"]) == (429, "rate_limited", "6")
    assert limited.headers["ratelimit"] == '"wrong_bearer";r=0;t=120'
    assert (await ask(client, f"Bearer {ADMIN_KEY}")).status_code == 200
    watch.pass_by(seconds=6)
    assert (await ask(client, "Bearer x")).status_code == 403


async def test_a_key_that_keysat_made_is_known_by_its_hash(shop: Shop) -> None:
    settings = replace(shop.settings, admin_api_key=None)
    async with browse(doors_of(replace(shop, settings=settings), secret)) as client:
        assert (await ask(client, "Bearer none-yet")).status_code == 403
        async with shop.work(TESTER) as work:
            key = await make_admin_key(work)
        assert (await ask(client, f"Bearer {key}")).status_code == 200
        assert (await ask(client, f"Bearer {key}x")).status_code == 403


async def test_the_admin_api_is_behind_the_key_and_takes_larger_bodies(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/admin/products")
    assert answer.status_code == 401
