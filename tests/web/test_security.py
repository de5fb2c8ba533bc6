from collections.abc import AsyncGenerator

import httpx
import pytest
from litestar import Response, post

from keysat.payments.provider import Connection
from keysat.upkeep.shop import Shop
from keysat.web.security import SECRET_PAGE, checkout_origins, same_origin
from tests.web.conftest import BROWSER, browse, doors_of

pytestmark = pytest.mark.once


@post("/form", guards=[same_origin], status_code=200)
async def form() -> Response[str]:
    return Response("done", media_type="text/plain", headers=SECRET_PAGE)


@pytest.fixture
async def client(shop: Shop) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with browse(doors_of(shop, form)) as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://shop.test"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://shop.test"}, 200),
        ({"Origin": "http://shop.local:8080", "Host": "shop.local:8080"}, 200),
        ({"Origin": "https://shop.test:444"}, 403),
        ({"Origin": "https://evil.test"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": "http://x", "Host": "["}, 403),
        ({"Cookie": "keysat_session=x"}, 403),
        ({}, 200),
    ],
)
async def test_only_our_own_forms_are_taken(client: httpx.AsyncClient, headers: dict[str, str], status: int) -> None:
    assert (await client.post("/form", headers=headers)).status_code == status


async def test_a_handler_may_say_more_than_the_default(client: httpx.AsyncClient) -> None:
    answer = await client.post("/form")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers.get_list("cache-control") == ["no-store"]


async def test_answers_are_not_stored_unless_said(client: httpx.AsyncClient) -> None:
    assert (await client.get("/", headers=BROWSER)).headers["cache-control"] == "no-store"
    assert (await client.get("/v1/pubkey")).headers["cache-control"] == "public, max-age=300"


async def test_a_page_asks_nobody_else(client: httpx.AsyncClient) -> None:
    policy = (await client.get("/", headers=BROWSER)).headers["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"
    assert "http" not in policy


def connection(base_url: str, public_url: str | None = None) -> Connection:
    return Connection("1", "btcpay", base_url, public_url, account_id="store", label="", secrets={})


def test_a_form_may_end_at_the_checkout_of_an_open_connection() -> None:
    known = [
        connection("http://btcpay.local:49392/"),
        connection("http://btcpay.internal", "https://pay.shop.test/path"),
        connection("no url"),
    ]
    assert checkout_origins(known) == ["http://btcpay.local:49392", "https://pay.shop.test"]
