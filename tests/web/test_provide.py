import httpx
import pytest
from litestar import post
from litestar.params import FromPath
from sqlalchemy import select

from keysat.infra.house import write_once
from keysat.infra.tables import House
from keysat.kit.errors import Conflict
from keysat.upkeep.shop import Shop
from keysat.web.provide import WithNow, WithWork
from tests.web.conftest import browse, doors_of


class Unspeakable:
    """Nothing that JSON could say."""


@post("/v1/facts/{name:str}", status_code=200)
async def write(name: FromPath[str], work: WithWork, now: WithNow) -> dict[str, bool]:
    await write_once(work, name, "yes")
    if name == "refused":
        raise Conflict("No.")
    return {"same_moment": work.now == now}


@post("/v1/mute", status_code=200)
async def write_and_fall_silent(work: WithWork) -> Unspeakable:
    await write_once(work, "mute", "yes")
    return Unspeakable()


async def facts(shop: Shop) -> list[str]:
    async with shop.read() as read:
        return list(await read.session.scalars(select(House.name)))


async def test_a_handler_that_answers_has_committed(shop: Shop) -> None:
    async with browse(doors_of(shop, write)) as client:
        answer = await client.post("/v1/facts/good")
    assert answer.json() == {"same_moment": True}
    assert await facts(shop) == ["good"]


@pytest.mark.parametrize(("path", "status"), [("/v1/facts/refused", 409), ("/v1/mute", 500)])
async def test_one_that_raises_or_cannot_be_understood_leaves_nothing(shop: Shop, path: str, status: int) -> None:
    async with browse(doors_of(shop, write, write_and_fall_silent)) as client:
        answer: httpx.Response = await client.post(path)
    assert answer.status_code == status
    assert await facts(shop) == []
