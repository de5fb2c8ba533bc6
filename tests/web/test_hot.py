"""Down both roads: what is answered in front of Litestar is, byte for byte, what Litestar would have answered."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from keysat.kit.licensekey import SignedKey
from keysat.licenses.issue import Terms, issue, key_text, revoke, suspend
from keysat.licenses.ring import Ring
from keysat.licenses.tables import License
from keysat.licenses.verdict import Signer
from keysat.upkeep.shop import Shop
from keysat.web.entry import entry
from keysat.web.hot import HotRoad
from keysat.web.routes import HOT_ROADS
from keysat.web.throttle import Throttle
from keysat.web.visit import Visit
from tests.catalog.shelf import a_product
from tests.conftest import TESTER
from tests.web.conftest import Watch, bare, browse

VALIDATE, HEARTBEAT = HOT_ROADS
pytestmark = pytest.mark.once
JSON = {"Content-Type": "application/json"}


@dataclass
class Roads:
    """The same doors twice, one without hot roads, each with its own counts of limits."""

    hot: httpx.AsyncClient
    ordinary: httpx.AsyncClient
    taken: list[str] = field(default_factory=list[str])
    """What was answered on a hot road."""

    async def ask(
        self, path: str, body: object, method: str = "POST", headers: Mapping[str, str] = JSON
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        first, second = [
            await client.request(method, path, content=content, headers=headers) for client in (self.ordinary, self.hot)
        ]
        assert alike(first) == alike(second)
        return second


def alike(answer: httpx.Response) -> tuple[object, ...]:
    """All of it but the request's id."""
    request_id = answer.headers["x-request-id"]
    body = answer.content.replace(request_id.encode(), b"")
    return answer.status_code, [pair for pair in answer.headers.raw if pair[0] != b"x-request-id"], body


def counted(path: str, road: HotRoad, taken: list[str]) -> HotRoad:
    async def act(body: Any, visit: Visit) -> msgspec.Struct:
        taken.append(path)
        return await road.act(body, visit)

    return replace(road, act=act)


@asynccontextmanager
async def roads_of(shop: Shop) -> AsyncGenerator[Roads, None]:
    taken = list[str]()
    hot = {path: counted(path, road, taken) for path, road in HOT_ROADS.items()}
    first, second = [browse(entry(bare(), shop, Throttle(), roads)) for roads in (hot, {})]
    async with first as hot_client, second as ordinary:
        yield Roads(hot_client, ordinary, taken)


@pytest.fixture
async def roads(shop: Shop) -> AsyncGenerator[Roads, None]:
    async with roads_of(shop) as roads:
        yield roads


async def sold(shop: Shop, slug: str, **terms: Any) -> tuple[License, str]:
    product = await a_product(shop.store, slug)
    async with shop.work(TESTER) as work:
        license = await issue(work, Terms(product.id, None, **terms), order_id=None, customer_id=None, source="manual")
    async with shop.read() as read:
        return license, await key_text(read, license, shop.ring)


async def test_every_answer_about_a_key_is_the_same_on_both_roads(roads: Roads, shop: Shop, watch: Watch) -> None:
    license, key = await sold(shop, "app", max_machines=2, entitlements=("core",))
    _, short = await sold(
        shop, "short", max_machines=1, expires_at=watch.now() + timedelta(days=1), grace_seconds=86400
    )
    found: list[tuple[bool, str | None]] = []

    async def ask(**body: Any) -> None:
        answers = [await roads.ask(path, {"fingerprint": "one", **body}) for path in (VALIDATE, HEARTBEAT)]
        found.append((answers[0].json()["ok"], answers[0].json().get("reason")))

    await ask(key=key, product_slug="app", hostname="desk", newer_field=[1])
    await ask(key=key.lower().replace("lic1", "LIC1", 1), platform="Linux")
    await ask(key=key, fingerprint="")
    await ask(key=key, fingerprint="two")
    await ask(key=key, fingerprint="three")
    await ask(key=key, product_slug="else")
    await ask(key=short)
    await ask(key=short, fingerprint="two")
    watch.pass_by(days=1.5)
    await ask(key=short)
    watch.pass_by(days=1)
    await ask(key=short)
    await ask(key="nonsense")
    await ask(key=key[:-1] + ("A" if key[-1] != "A" else "Q"))
    async with shop.work(TESTER) as work:
        await suspend(work, license.id, "asked")
    await ask(key=key)
    async with shop.work(TESTER) as work:
        await revoke(work, license.id, "refunded")
    await ask(key=key)  # learned at once
    assert [reason for _, reason in found] == [
        *(None, None, None, None, "too_many_machines", "product_mismatch"),
        *(None, "fingerprint_mismatch", None, "expired", "bad_format", "bad_signature", "suspended", "revoked"),
    ]
    assert len(roads.taken) == 2 * len(found)


async def test_limits_are_told_and_kept_alike(roads: Roads, shop: Shop) -> None:
    _, key = await sold(shop, "app", max_machines=1)
    for path, body in ((VALIDATE, {"key": key}), (HEARTBEAT, {"key": key, "fingerprint": "one"})):
        answers = [await roads.ask(path, body) for _ in range(60)]
        assert [answer.headers["ratelimit"].split(";")[1] for answer in answers][::59] == ["r=59", "r=0"]
        answer = await roads.ask(path, body)
        assert answer.json()["reason"] == "rate_limited"
        assert answer.headers["retry-after"] == ("1" if path == VALIDATE else "60")


BODIES = {
    "no JSON": b"{",
    "nothing": b"",
    "no UTF-8": b'{"key": "\xff"}',
    "deep": b'{"key": "a", "x": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "another type": {"key": 1},
    "no object": ["key"],
    "without a key": {"fingerprint": "one"},
    "null": None,
    "a field too long": {"key": "a", "fingerprint": "b" * 4097},
    "longer than plain": {"key": "a", "fingerprint": "b", "more": "c" * 20_000},
    "too large": {"key": "a" * 70_000},
    "a nested field": {"key": "a", "fingerprint": "b", "x": {"key": "c"}},
    "escaped quotes": {"key": "a", "fingerprint": 'a"b'},
    "a NUL": {"key": "a", "fingerprint": "b\0", "hostname": "\0"},
}
TWICE = (
    b'{"key": "a", "fingerprint": "b", "key": "c"}',
    b'{"key": "a", "fingerprint": "b", "fingerprint"\n:"c"}',
    b'{"key": "a", "fingerprint": "b", "k\\u0065y": "c"}',
    b'{"key": "a", "fingerprint": "b", "x": 1, "x": 1}',
    b'{"key": "a", "fingerprint": "b", "x": {"y": 1, "y": 1}}',
)
HEADERS: tuple[Mapping[str, str], ...] = (
    {},
    {"Content-Type": "text/plain"},
    {"Content-Type": "application/problem+json; charset=utf-8"},
    {"Content-Type": "application/json", "Content-Length": "99999"},
    {"Content-Type": "application/json", "Content-Length": "-1"},
    {"Content-Type": "application/json", "Idempotency-Key": "one", "Origin": "https://else.test", "Cookie": "a=b"},
    {"Content-Type": "application/json", "Accept": "text/html", "Authorization": "Bearer nothing"},
)


async def test_what_is_odd_is_answered_as_ever(roads: Roads) -> None:
    for path in HOT_ROADS:
        for body in BODIES.values():
            await roads.ask(path, body)
        for body in TWICE:
            refused = await roads.ask(path, body)
            assert (refused.status_code, refused.json()["message"][-6:]) == (400, "twice.")
        for headers in HEADERS:
            await roads.ask(path, {"key": "a", "fingerprint": "b"}, headers=headers)
        for method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE"):
            await roads.ask(path, {"key": "a", "fingerprint": "b"}, method)
        for odd in (f"{path}/", f"{path}?x=1", f"{path}?x=%00", path.upper(), f"/{path}", path.replace("a", "%61")):
            await roads.ask(odd, {"key": "a", "fingerprint": "b"})


async def test_a_sandbox_says_so(sandbox: Shop) -> None:
    async with roads_of(sandbox) as roads:
        assert (await roads.ask(VALIDATE, {"key": "nonsense"})).json()["sandbox"] is True


async def test_a_fault_of_ours_is_told_alike(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Ring):
        async def verify(self, signed: SignedKey, now: datetime) -> Signer | None:
            raise ZeroDivisionError

    _, key = await sold(shop, "app", max_machines=1)
    async with roads_of(replace(shop, ring=Broken(shop.store, shop.vault))) as roads:
        assert (await roads.ask(VALIDATE, {"key": key})).status_code == 500
    first, second = [record.getMessage().partition(" (")[0] for record in caplog.records]
    assert first == second == f"POST {VALIDATE} failed"
