from collections.abc import AsyncGenerator
from decimal import Decimal

import httpx
import pytest
from litestar import post
from litestar.params import JSONBody

from keysat.upkeep.shop import Shop
from keysat.web.wire import INT_MAX, Inbound, Integer, Line, Outbound, StrictInbound
from tests.web.conftest import browse, doors_of

pytestmark = pytest.mark.once


class Wish(Inbound, frozen=True, kw_only=True):
    name: Line
    count: Integer = 1
    price: Decimal | None = None


class StrictWish(StrictInbound, frozen=True, kw_only=True):
    name: Line


class Echo(Outbound, frozen=True, kw_only=True):
    name: str
    count: int
    price: str | None


@post("/v1/wish", status_code=200)
async def wish(data: JSONBody[Wish]) -> Echo:
    return Echo(name=data.name, count=data.count, price=None if data.price is None else str(data.price))


@post("/v1/strict", status_code=200)
async def strict(data: JSONBody[StrictWish]) -> None:
    assert data.name


@pytest.fixture
async def client(shop: Shop) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with browse(doors_of(shop, wish, strict)) as client:
        yield client


async def send(
    client: httpx.AsyncClient, body: bytes, kind: str = "application/json", path: str = "/v1/wish"
) -> httpx.Response:
    return await client.post(path, content=body, headers={"Content-Type": kind} if kind else {})


async def test_a_good_body_arrives(client: httpx.AsyncClient) -> None:
    answer = await send(client, b'{"name": "x", "count": 3, "price": 0.10, "else": [1]}')
    assert (answer.status_code, answer.json()) == (200, {"name": "x", "count": 3, "price": "0.10"})


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "application/vnd.x+json", "APPLICATION/JSON"])
async def test_every_kind_of_json_is_taken(client: httpx.AsyncClient, kind: str) -> None:
    assert (await send(client, b'{"name": "x"}', kind)).status_code == 200


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "text/json", "jsonp"])
async def test_anything_else_is_not(client: httpx.AsyncClient, kind: str) -> None:
    answer = await send(client, b'{"name": "x"}', kind)
    assert (answer.status_code, answer.json()["error"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is missing."),
        (b"{", "The body is not JSON."),
        (b'{"name": "x"} {}', "The body is not JSON."),
        (b'{"name": "\xff"}', "The body is not JSON."),
        (b'{"else": ' + b"[" * 30_000, "The body is not JSON."),
        (b"{}", "Object missing required field `name`"),
        (b"[]", "Expected `object`, got `array`"),
        (b'{"name": 1}', "name: Expected `str`, got `int`"),
        (b'{"name": "x", "count": "3"}', "count: Expected `int`, got `str`"),
        (b'{"name": "x", "count": %d}' % (INT_MAX + 1), f"count: Expected `int` <= {INT_MAX}"),
        (b'{"name": "x\\u0000y"}', "name: Expected `str`"),
        (b'{"name": "%s"}' % (b"x" * 256), "name: Expected `str` of length <= 255"),
        (b'{"name": "x", "name": "y"}', "The body has the field 'name' twice."),
        (b'{"name": "x", "other": {"a": 1, "a": 2}}', "The body has the field 'a' twice."),
    ],
)
async def test_a_bad_body_is_told_what_is_wrong(client: httpx.AsyncClient, body: bytes, message: str) -> None:
    answer = await send(client, body)
    assert (answer.status_code, answer.json()["error"], answer.json()["message"]) == (400, "bad_request", message)


async def test_an_operator_is_told_of_a_field_nobody_reads(client: httpx.AsyncClient) -> None:
    answer = await send(client, b'{"name": "x", "nmae": "y"}', path="/v1/strict")
    assert (answer.status_code, answer.json()["message"]) == (400, "Object contains unknown field `nmae`")


async def test_a_long_number_is_no_trouble(client: httpx.AsyncClient) -> None:
    answer = await send(client, b'{"name": "x", "else": ' + b"9" * 10_000 + b"}")
    assert answer.status_code == 200


async def test_a_body_that_is_too_large_is_refused(client: httpx.AsyncClient) -> None:
    answer = await send(client, b'{"name": "%s"}' % (b"x" * 65_536))
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
