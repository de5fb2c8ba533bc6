"""Whatever comes in: a refusal in the one envelope, never a 500, and nothing written."""

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import func, select

from keysat.catalog.policies import NewPolicy
from keysat.catalog.policies import create as create_policy
from keysat.catalog.products import NewProduct
from keysat.catalog.products import create as create_product
from keysat.schema import metadata
from keysat.upkeep.shop import Shop
from tests.conftest import TESTER
from tests.web.conftest import ADMIN, browse, doors_of

JSON = {"Content-Type": "application/json"}
ADMIN_BYTES = {name.encode(): value.encode() for name, value in ADMIN.items()}
MEMBERS = {"ok", "error", "message", "type", "title", "status", "detail", "request_id"}
DEEP = 100_000

PUBLIC = (
    "/v1/purchase",
    "/v1/validate",
    "/v1/machines/activate",
    "/v1/machines/heartbeat",
    "/v1/machines/deactivate",
    "/v1/recover",
    "/v1/licenses/refresh",
    "/v1/licenses/replace-key",
)
KINDS = ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/msgpack", "\xe4")
OPERATOR = ("/v1/admin/products", "/v1/admin/policies")

BODIES: Mapping[str, bytes] = {
    "nothing": b"",
    "a brace": b"{",
    "words": b"please",
    "half a text": b'{"product": "aur',
    "null": b"null",
    "a number": b"42",
    "a list": b"[]",
    "a list of objects": b'[{"product": "aurora"}]',
    "no fields": b"{}",
    "a trailing comma": b'{"product": "aurora",}',
    "two values": b'{"product": "aurora"} {}',
    "not a number": b'{"product": NaN, "key": NaN, "slug": NaN, "product_slug": NaN}',
    "numbers for texts": b'{"product": 1, "key": 1, "slug": 1, "product_slug": 1, "fingerprint": 1, "name": 1}',
    "objects for texts": b'{"product": {}, "key": {}, "slug": {}, "product_slug": {}, "fingerprint": {}, "name": {}}',
    "nulls for texts": b'{"product": null, "key": null, "slug": null, "product_slug": null, "fingerprint": null}',
    "a field twice": b'{"product": "a", "product": "b", "slug": "a", "slug": "b", "product_slug": "a"}',
    "bytes that are no UTF-8": b'{"product": "\xff\xfe", "key": "\xff", "slug": "\xc0\xaf", "product_slug": "\xff"}',
    "half a surrogate": b'{"product": "\\ud800", "key": 1, "slug": "\\ud800", "product_slug": "\\ud800"}',
    "a byte order mark": b'\xef\xbb\xbf{"product": "aurora"}',
    "UTF-16": '{"product": "aurora"}'.encode("utf-16"),
    "lists in lists": b"[" * DEEP,
    "closed lists in lists": b"[" * 20_000 + b"]" * 20_000,
    "objects in objects": b'{"metadata":' * 5_000 + b"1" + b"}" * 5_000,
    "NUL bytes": bytes(1000),
}
TEXTS = {
    "a NUL": "aur\0ora",
    "too long": "a" * 300,
    "a quote": "'; DROP TABLE orders; --",
    "a path": "../../etc/passwd",
    "right to left": "\u202eaurora",
    "unknown": "no-such-product",
}


@pytest.fixture
async def stocked(shop: Shop) -> Shop:
    """A shop with something to sell, that nobody has bought yet."""
    async with shop.work(TESTER) as work:
        await create_product(work, NewProduct(slug="aurora", name="Aurora", price_currency="USD", price_value=2500))
        await create_policy(work, NewPolicy(product_slug="aurora", slug="pro", name="Pro"))
        await create_policy(work, NewPolicy(product_slug="aurora", slug="free", name="Free", price_value=0))
    return shop


@pytest.fixture
async def door(stocked: Shop) -> AsyncGenerator[httpx.AsyncClient, None]:
    """And afterwards not a row more than before."""
    before = await row_counts(stocked)
    async with browse(doors_of(stocked)) as client:
        yield client
    assert await row_counts(stocked) == before


async def row_counts(shop: Shop) -> dict[str, int]:
    async with shop.read() as read:
        return {
            name: await read.session.scalar(select(func.count()).select_from(table)) or 0
            for name, table in metadata.tables.items()
        }


def refused(answer: httpx.Response, *statuses: int) -> None:
    """In the one envelope, which is also a problem of RFC 9457."""
    assert 400 <= answer.status_code < 500, answer.text
    assert not statuses or answer.status_code in statuses, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert said.keys() >= MEMBERS
    assert (said["ok"], said["status"]) == (False, answer.status_code)
    assert said["message"] == said["detail"]
    assert said["error"] == said["type"].rpartition(":")[2]
    assert said["request_id"] == answer.headers["x-request-id"]


@pytest.mark.once
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_body_that_is_none_is_refused(door: httpx.AsyncClient, body: bytes) -> None:
    for path in PUBLIC:
        refused(await door.post(path, content=body, headers=JSON), 400, 413)
    for path in OPERATOR:
        refused(await door.post(path, content=body, headers=JSON | ADMIN), 400, 413)


@pytest.mark.once
async def test_a_body_that_is_too_large_is_refused(door: httpx.AsyncClient) -> None:
    large = json.dumps({"product": "aurora", "key": "a" * 1024 * 1024, "fingerprint": "a"}).encode()
    for path in PUBLIC:
        refused(await door.post(path, content=large, headers=JSON), 413)
    larger = json.dumps({"slug": "a", "name": "a" * 1024 * 1024}).encode()
    for path in OPERATOR:
        refused(await door.post(path, content=larger, headers=JSON | ADMIN), 413)


@pytest.mark.once
async def test_a_large_body_without_a_length_is_refused(door: httpx.AsyncClient) -> None:
    async def endless() -> AsyncGenerator[bytes, None]:
        for _ in range(64):
            yield b"[" * 16 * 1024

    refused(await door.post("/v1/purchase", content=endless(), headers=JSON), 413)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
async def test_a_text_that_means_nothing_is_refused(door: httpx.AsyncClient, text: str) -> None:
    refused(await door.get(f"/v1/products/{quote(text, safe='')}"), 400, 404)
    refused(await door.get(f"/v1/purchase/{quote(text, safe='')}"), 400, 404)
    bodies: tuple[dict[str, Any], ...] = (
        {"product": text},
        {"product": "aurora", "policy_slug": text},
        {"product": "aurora", "policy_slug": "free", "offer": text},
        {"product": "aurora", "policy_slug": "free", "code": text},
        {"product": "aurora", "policy_slug": "free", "buyer_email": text},
        {"product": "aurora", "policy_slug": "free", "redirect_url": text},
    )
    for body in bodies:
        refused(await door.post("/v1/purchase", json=body), 400, 404)


async def test_a_number_that_is_no_amount_is_refused(door: httpx.AsyncClient) -> None:
    for number in ("-1", "1e400", "1.5", "9007199254740993", str(2**63), "9" * 400, "true", '"1"', "[1]"):
        for field in ("price_sats", "price_value"):
            body = f'{{"slug": "b", "name": "B", "price_currency": "USD", "{field}": {number}}}'
            refused(await door.post("/v1/admin/products", content=body, headers=JSON | ADMIN), 400)
        for field in ("price_sats_override", "duration_seconds", "grace_seconds", "max_machines", "trial_days"):
            body = f'{{"product_slug": "aurora", "slug": "b", "name": "B", "{field}": {number}}}'
            refused(await door.post("/v1/admin/policies", content=body, headers=JSON | ADMIN), 400)


@pytest.mark.once
@pytest.mark.parametrize("kind", KINDS)
async def test_another_kind_of_body_is_refused(door: httpx.AsyncClient, kind: str) -> None:
    headers = {b"Content-Type": kind.encode("latin-1")}
    body = b'{"product": "aurora", "policy_slug": "free"}'
    for path in PUBLIC:
        refused(await door.post(path, content=body, headers=headers), 400, 415)
    for path in OPERATOR:
        refused(await door.post(path, content=body, headers=headers | ADMIN_BYTES), 400, 415)


ADDRESSES = (
    "/v1/products/no-such/policies",
    "/v1/products/%00",
    "/v1/products/%FF%FE",
    "/v1/products/" + "a" * 20_000,
    "/v1/products/..%2f..%2fetc",
    "/v1/products/aurora/",
    "//v1/products",
    "/v1/purchase/%00",
    "/v1/purchase/" + "%F0%9F%92%A3" * 2000,
    "/v1/no/such/door",
    "/v1/" + "a/" * 5000 + "b",
)


async def test_an_address_that_leads_nowhere_is_refused(door: httpx.AsyncClient) -> None:
    for address in ADDRESSES:
        refused(await door.get(f"https://shop.test{address}"), 400, 404)


async def test_a_query_that_means_nothing_is_refused(door: httpx.AsyncClient) -> None:
    limits = ("limit=0", "limit=-1", "limit=1e9", "limit=" + "9" * 400)
    for query in (*limits, "cursor=%00", "cursor=x", "cursor=%FF", "limt=5"):
        refused(await door.get(f"/v1/admin/products?{query}", headers=ADMIN), 400)


async def test_an_id_that_is_none_is_refused(door: httpx.AsyncClient) -> None:
    for path in ("not-a-uuid", "%00", "0" * 5000, "00000000-0000-0000-0000-000000000000"):
        refused(await door.get(f"/v1/admin/products/{path}", headers=ADMIN), 400, 404)
        refused(await door.get(f"/v1/admin/policies/{path}", headers=ADMIN), 400, 404)
        refused(await door.post(f"/v1/btcpay/webhook/{path}", json={}), 400, 404)


@pytest.mark.once
async def test_another_method_is_refused(door: httpx.AsyncClient) -> None:
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "BREW"):
        refused(await door.request(method, "/v1/purchase"), 405)


@pytest.mark.once
@pytest.mark.parametrize(
    "headers",
    [
        {"Idempotency-Key": "a" * 256},
        {"Idempotency-Key": ""},
        {"Idempotency-Key": "two words"},
        {"Idempotency-Key": b"\xff"},
        {"Content-Encoding": "gzip"},
        {"Accept": "a/" * 10_000},
        {"Cookie": "keysat_buyer=" + "\\" * 4000},
        {"X-Forwarded-For": "," * 5000},
        {"Authorization": "Bearer " + "a" * 10_000},
    ],
    ids=lambda headers: "-".join(headers),
)
async def test_odd_headers_change_nothing(door: httpx.AsyncClient, headers: dict[str, Any]) -> None:
    refused(await door.post("/v1/purchase", json={"product": "no-such"}, headers=headers), 400, 404)


@pytest.mark.once
async def test_a_credential_that_is_none_is_refused(door: httpx.AsyncClient) -> None:
    for bearer in (b"", b"Bearer", b"Bearer ", b"Basic YTpi", b"Bearer \xff", b"Bearer " + b"a" * 60_000):
        headers = {b"Authorization": bearer}
        refused(await door.get("/v1/admin/products", headers=headers), 401, 403)
        body = {b"Content-Type": b"application/json"}
        refused(await door.post("/v1/admin/products", content=b"{", headers=headers | body), 401, 403)
