"""Limits in the database: exact under any race, the same for all daemons, silent about who was counted."""

import asyncio
from typing import Any

import httpx
import pytest
from litestar import Request, get
from litestar.params import FromPath
from sqlalchemy import func, select

from keysat.upkeep.shop import Shop
from keysat.web.entry import entry
from keysat.web.routes import HOT_ROADS
from keysat.web.shared_limits import limit_shared
from keysat.web.tables import LimitBucket
from keysat.web.throttle import LIMITS, Rate, Throttle
from keysat.web.visit import visit_of
from tests.web.conftest import Watch, bare, browse, doors_of


@get("/v1/try/{what:str}", operation_id="try")
async def knock(request: Request[Any, Any, Any], what: FromPath[str]) -> None:
    await limit_shared(visit_of(request), Rate.CLAIM, what)


@get("/v1/come", operation_id="come")
async def come(request: Request[Any, Any, Any]) -> None:
    await limit_shared(visit_of(request), Rate.RECOVER)


async def buckets(shop: Shop) -> list[str]:
    async with shop.read() as read:
        return list(await read.session.scalars(select(LimitBucket.id)))


async def test_of_many_who_ask_at_once_as_many_as_the_burst_get_in(shop: Shop) -> None:
    one, other = doors_of(shop, knock), doors_of(shop, knock)  # two daemons
    async with browse(one) as first, browse(other, peer="198.51.100.9") as second:
        answers = await asyncio.gather(*((first, second)[number % 2].get("/v1/try/KS-X") for number in range(30)))
        assert [answer.status_code for answer in answers].count(200) == LIMITS[Rate.CLAIM].burst
        assert (await first.get("/v1/try/KS-Y")).status_code == 200


async def test_it_refills_and_says_when(shop: Shop, watch: Watch) -> None:
    async with browse(doors_of(shop, knock)) as client:
        for _ in range(5):
            assert (await client.get("/v1/try/KS-X")).status_code == 200
        refused = await client.get("/v1/try/KS-X")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "600")
        assert refused.headers["ratelimit"].startswith('"claim";r=0')
        watch.pass_by(seconds=600)
        assert (await client.get("/v1/try/KS-X")).status_code == 200
        assert (await client.get("/v1/try/KS-X")).status_code == 429


async def test_addresses_are_counted_apart_and_stand_in_no_row(shop: Shop) -> None:
    app = doors_of(shop, come)
    async with browse(app) as client, browse(app, peer="198.51.100.9") as other:
        for _ in range(10):
            assert (await client.get("/v1/come")).status_code == 200
        assert (await client.get("/v1/come")).status_code == 429
        assert (await other.get("/v1/come")).status_code == 200
    ids = await buckets(shop)
    assert len(ids) == 2
    assert all(len(one) == 64 and "." not in one for one in ids)


async def test_what_is_full_again_goes(shop: Shop, watch: Watch) -> None:
    async with browse(doors_of(shop, knock)) as client:
        for number in range(20):
            await client.get(f"/v1/try/{number}")
        watch.pass_by(seconds=600)
        await client.get("/v1/try/last")
    async with shop.read() as read:
        assert await read.session.scalar(select(func.count()).select_from(LimitBucket)) == 1


@pytest.mark.once
async def test_it_can_be_off_with_the_others(shop: Shop) -> None:
    async with browse(entry(bare(knock), shop, Throttle(off=True), HOT_ROADS)) as client:
        answers: list[httpx.Response] = [await client.get("/v1/try/KS-X") for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert await buckets(shop) == []
