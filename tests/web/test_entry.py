from typing import cast

import httpx
import pytest
from litestar import get
from litestar.params import FromPath, FromQuery
from litestar.types import ASGIApp, HTTPScope, Receive, Send

from keysat.upkeep.shop import Shop
from tests.web.conftest import BROWSER, browse, doors_of


@get("/v1/things/{name:str}")
async def thing(name: FromPath[str], size: FromQuery[int] = 1) -> dict[str, object]:
    return {"name": name, "size": size}


async def test_options_is_answered_everywhere(client: httpx.AsyncClient) -> None:
    for path in ("/", "/v1/pubkey", "/v1/nothing", "/v1/validate/"):
        answer = await client.options(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-allow-methods"] == "*"
        assert answer.headers["access-control-allow-headers"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


async def test_every_answer_has_its_headers(client: httpx.AsyncClient) -> None:
    for path in ("/v1/pubkey", "/v1/nothing", "/v1/pubkey/", "/v1/pubkey?x=%00", "/static/nothing.css"):
        headers = (await client.get(path)).headers
        assert headers["access-control-allow-origin"] == "*", path
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
        assert len(headers["x-request-id"]) == 16


async def test_two_requests_have_two_ids(client: httpx.AsyncClient) -> None:
    first, second = [await client.get("/v1/pubkey") for _ in range(2)]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def test_head_is_get_without_the_body(client: httpx.AsyncClient) -> None:
    got, headed = await client.get("/v1/pubkey"), await client.head("/v1/pubkey")
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers["content-length"] == str(len(got.content))
    assert headed.headers["content-type"] == got.headers["content-type"]


async def test_head_stays_head_for_the_server_which_then_takes_a_shorter_answer(shop: Shop) -> None:
    app, methods = doors_of(shop), list[str]()

    async def server(scope: HTTPScope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)
        methods.append(scope["method"])

    async with browse(cast("ASGIApp", server)) as client:
        await client.head("/v1/pubkey")
    assert methods == ["HEAD"]


@pytest.mark.parametrize("path", ["/v1/pubkey/", "/v1//pubkey", "//", "/v1/nothing", "/nothing"])
async def test_a_slash_too_many_is_not_forgiven(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"https://shop.test{path}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["error"] == "not_found"


async def test_nul_reaches_nobody(shop: Shop) -> None:
    async with browse(doors_of(shop, thing)) as client:
        for path in ("/v1/things/a%00b", "/v1/things/ab?size=%00"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")
        assert (await client.get("/v1/things/a%20b")).json() == {"name": "a b", "size": 1}


async def test_a_page_and_its_header_share_a_nonce_that_changes(client: httpx.AsyncClient) -> None:
    first, second = [await client.get("/", headers=BROWSER) for _ in range(2)]
    policies = [answer.headers["content-security-policy"] for answer in (first, second)]
    assert all("script-src 'self' 'nonce-" in policy for policy in policies)
    assert all("form-action 'self';" in policy for policy in policies)
    assert policies[0] != policies[1]
