import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import httpx
import pytest
from litestar import post
from litestar.params import JSONBody
from sqlalchemy import func, select

from keysat.kit.errors import Conflict, Unavailable
from keysat.upkeep.shop import Shop
from keysat.web.idempotency import CREATES, GIVEN_UP_AFTER, KEPT
from keysat.web.provide import WithVisit, WithWork
from keysat.web.tables import IdempotentAnswer
from keysat.web.throttle import Rate
from keysat.web.wire import Inbound, Line, Outbound
from tests.web.conftest import Watch, browse, doors_of

KEY = {"Idempotency-Key": "first-try"}


class Baking(Inbound, frozen=True, kw_only=True):
    kind: Line


class Loaf(Outbound, frozen=True, kw_only=True):
    id: str
    number: int


@dataclass(slots=True)
class Bakery:
    baked: int = 0
    oven: asyncio.Event = field(default_factory=asyncio.Event)
    entered: asyncio.Event = field(default_factory=asyncio.Event)


bakery = Bakery()  # each test's client opens it anew


@post("/v1/loaves", status_code=200, opt=CREATES)
async def bake(data: JSONBody[Baking], work: WithWork, visit: WithVisit) -> Loaf:
    match data.kind:
        case "burnt":
            raise Conflict("This one is burnt.")
        case "broken":
            raise Unavailable("The oven is broken.")
        case "limited":
            visit.limit(Rate.PURCHASE)
        case _:
            pass
    bakery.baked += 1
    return Loaf(id=str(work.secret_id()), number=bakery.baked)


@post("/v1/slow", status_code=200, opt=CREATES)
async def bake_slowly(data: JSONBody[Baking]) -> Loaf:
    bakery.entered.set()
    await bakery.oven.wait()
    bakery.baked += 1
    return Loaf(id=data.kind, number=bakery.baked)


@pytest.fixture
async def client(shop: Shop) -> AsyncGenerator[httpx.AsyncClient, None]:
    bakery.baked, bakery.oven, bakery.entered = 0, asyncio.Event(), asyncio.Event()
    async with browse(doors_of(shop, bake, bake_slowly)) as client:
        yield client


async def rows(shop: Shop) -> int:
    async with shop.read() as read:
        return await read.session.scalar(select(func.count()).select_from(IdempotentAnswer)) or 0


async def test_a_repeated_request_creates_once_and_answers_the_same(client: httpx.AsyncClient) -> None:
    first = await client.post("/v1/loaves", json={"kind": "rye"}, headers=KEY)
    again = await client.post("/v1/loaves", json={"kind": "rye"}, headers=KEY)
    assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert bakery.baked == 1


async def test_without_a_key_each_request_creates(client: httpx.AsyncClient, shop: Shop) -> None:
    for _ in range(2):
        await client.post("/v1/loaves", json={"kind": "rye"})
    assert (bakery.baked, await rows(shop)) == (2, 0)


async def test_another_body_under_the_same_key_is_refused(client: httpx.AsyncClient) -> None:
    await client.post("/v1/loaves", json={"kind": "rye"}, headers=KEY)
    other = await client.post("/v1/loaves", json={"kind": "oat"}, headers=KEY)
    assert (other.status_code, other.json()["error"]) == (422, "idempotency_mismatch")


async def test_another_caller_and_another_route_have_keys_of_their_own(client: httpx.AsyncClient, shop: Shop) -> None:
    await client.post("/v1/loaves", json={"kind": "rye"}, headers=KEY)
    async with browse(doors_of(shop, bake), peer="198.51.100.1") as elsewhere:
        await elsewhere.post("/v1/loaves", json={"kind": "rye"}, headers=KEY)
        await elsewhere.post("/v1/loaves", json={"kind": "rye"}, headers=KEY | {"Authorization": "Bearer x"})
    assert bakery.baked == 3


async def test_a_refusal_is_repeated_too(client: httpx.AsyncClient) -> None:
    first = await client.post("/v1/loaves", json={"kind": "burnt"}, headers=KEY)
    again = await client.post("/v1/loaves", json={"kind": "burnt"}, headers=KEY)
    assert (first.status_code, again.status_code, again.content) == (409, 409, first.content)
    assert again.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize(("kind", "status"), [("broken", 503), ("limited", 429)])
async def test_what_may_pass_is_tried_again(client: httpx.AsyncClient, kind: str, status: int) -> None:
    for attempt in range(20):
        await client.post("/v1/loaves", json={"kind": kind}, headers={"Idempotency-Key": f"try-{attempt}"})
    for _ in range(2):
        answer = await client.post("/v1/loaves", json={"kind": kind}, headers=KEY)
        assert (answer.status_code, "idempotent-replayed" in answer.headers) == (status, False)


async def test_two_at_once_create_once(client: httpx.AsyncClient) -> None:
    first = asyncio.create_task(client.post("/v1/slow", json={"kind": "rye"}, headers=KEY))
    await bakery.entered.wait()
    second = await client.post("/v1/slow", json={"kind": "rye"}, headers=KEY)
    bakery.oven.set()
    assert (second.status_code, second.json()["error"]) == (409, "request_in_flight")
    assert int(second.headers["retry-after"]) >= 1
    assert (await first).status_code == 200
    assert bakery.baked == 1


async def test_a_request_that_died_is_taken_over_after_a_minute(
    client: httpx.AsyncClient, shop: Shop, watch: Watch
) -> None:
    dead = asyncio.create_task(client.post("/v1/slow", json={"kind": "rye"}, headers=KEY))
    await bakery.entered.wait()
    dead.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dead
    bakery.oven.set()
    assert (await client.post("/v1/slow", json={"kind": "rye"}, headers=KEY)).status_code == 409
    watch.moment += GIVEN_UP_AFTER
    assert (await client.post("/v1/slow", json={"kind": "rye"}, headers=KEY)).status_code == 200
    assert (bakery.baked, await rows(shop)) == (1, 1)


async def test_one_who_comes_back_late_does_not_overwrite_the_answer(client: httpx.AsyncClient, watch: Watch) -> None:
    late = asyncio.create_task(client.post("/v1/slow", json={"kind": "rye"}, headers=KEY))
    await bakery.entered.wait()
    bakery.entered.clear()
    watch.moment += GIVEN_UP_AFTER
    second = asyncio.create_task(client.post("/v1/slow", json={"kind": "rye"}, headers=KEY))
    await bakery.entered.wait()
    bakery.oven.set()
    answers = {(await late).content, (await second).content}
    kept = await client.post("/v1/slow", json={"kind": "rye"}, headers=KEY)
    assert len(answers) == 2
    assert kept.content == (await second).content


async def test_after_a_day_a_key_is_forgotten(client: httpx.AsyncClient, shop: Shop, watch: Watch) -> None:
    await client.post("/v1/loaves", json={"kind": "rye"}, headers=KEY)
    await client.post("/v1/loaves", json={"kind": "rye"}, headers={"Idempotency-Key": "other"})
    watch.moment += KEPT
    await client.post("/v1/loaves", json={"kind": "oat"}, headers=KEY)
    assert (bakery.baked, await rows(shop)) == (3, 1)


@pytest.mark.parametrize("key", [b"", b"x" * 256, b"with space", "ä".encode()])
async def test_a_key_that_is_none_is_refused(client: httpx.AsyncClient, key: bytes) -> None:
    answer = await client.post("/v1/loaves", json={"kind": "rye"}, headers=[(b"Idempotency-Key", key)])
    assert (answer.status_code, bakery.baked) == (400, 0)


async def test_nothing_of_the_answer_can_be_read_from_the_database(client: httpx.AsyncClient, shop: Shop) -> None:
    answer = await client.post("/v1/loaves", json={"kind": "rye"}, headers=KEY)
    async with shop.read() as read:
        row = (await read.session.scalars(select(IdempotentAnswer))).one()
    assert row.answer_sealed is not None
    assert answer.json()["id"].encode() not in row.answer_sealed


async def test_who_shows_no_admin_key_is_told_so_before_anything_else(client: httpx.AsyncClient) -> None:
    for key in ("no key", "key"):
        refused = await client.post("/v1/admin/products", json={}, headers={"Idempotency-Key": key})
        assert (refused.status_code, refused.json()["error"]) == (401, "unauthorized")
