import logging
from collections.abc import AsyncGenerator
from enum import StrEnum
from uuid import UUID

import httpx
import msgspec
import pytest
from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from keysat.kit.errors import CODES, BtcpayNotConfigured, RateLimited, TierCap, Unavailable
from keysat.kit.states import IllegalStep
from keysat.upkeep.shop import Shop
from keysat.web.provide import WithWork
from keysat.web.wire import Inbound
from tests.web.conftest import ADMIN, BROWSER, browse, doors_of


class Colour(StrEnum):
    RED = "red"


class Paint(Inbound, frozen=True, kw_only=True):
    colour: Colour


@get("/v1/fails/{how:str}")
async def fails(how: FromPath[str]) -> None:
    match how:
        case "limited":
            raise RateLimited("Slower, please.", retry_after_seconds=7)
        case "capped":
            raise TierCap("Five products are the limit.", upgrade_url="https://keysat.test/upgrade")
        case "unconfigured":
            raise BtcpayNotConfigured("No payment provider is connected.")
        case "busy":
            raise Unavailable("Busy.") from OperationalError("SELECT 1", None, Exception("the disk is full"))
        case "illegal":
            raise IllegalStep(Colour.RED, Colour.RED)
        case _:
            raise RuntimeError("the secret is 4711")


@get("/fails")
async def page_fails() -> None:
    raise RuntimeError("the secret is 4711")


@get("/v1/sums/{number:uuid}")
async def adds(number: FromPath[UUID], summand: FromQuery[int]) -> None: ...


@post("/v1/paint", status_code=200)
async def paints(data: JSONBody[Paint]) -> None: ...


@post("/v1/doubles", status_code=200)
async def doubles(work: WithWork) -> None:
    for _ in range(2):
        await work.session.execute(
            text("INSERT INTO house (name, value, written_at) VALUES ('x', 'y', '2026-01-15 12:00:00+00:00')")
        )


@pytest.fixture
async def client(shop: Shop) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with browse(doors_of(shop, fails, page_fails, adds, paints, doubles)) as client:
        yield client


def test_a_code_stands_in_the_list_once() -> None:
    assert len({code.code for code in CODES}) == len(CODES)


async def test_a_domain_error_is_told_in_the_envelope(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/fails/limited")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "7"
    assert answer.json() == {
        "ok": False,
        "error": "rate_limited",
        "message": "Slower, please.",
        "type": "urn:keysat:error:rate_limited",
        "title": "Too many requests",
        "status": 429,
        "detail": "Slower, please.",
        "request_id": answer.headers["x-request-id"],
    }


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [("capped", 402, "tier_cap"), ("unconfigured", 503, "btcpay_not_configured"), ("illegal", 409, "conflict")],
)
async def test_each_error_has_its_status(client: httpx.AsyncClient, how: str, status: int, code: str) -> None:
    answer = await client.get(f"/v1/fails/{how}")
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert answer.json().get("upgrade_url") == ("https://keysat.test/upgrade" if how == "capped" else None)


async def test_a_name_that_is_taken_is_no_failure_of_ours(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    account = {"name": "Ada", "role": "support", "password": "a password for the tests"}
    with caplog.at_level(logging.ERROR):
        answers = [await client.post("/v1/admin/accounts", json=account, headers=ADMIN) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 409]
    assert caplog.text == ""


async def test_what_nobody_foresaw_is_bland_outside_and_logged_inside(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = await client.get("/v1/fails/by-accident")
    assert (answer.status_code, answer.json()["error"]) == (500, "internal_error")
    assert "4711" not in answer.text
    assert answer.json()["request_id"] in caplog.text
    assert "the secret is 4711" in caplog.text
    assert "by-accident" not in caplog.messages[0]


async def test_what_the_database_refused_is_told_to_the_operator(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    """A full disk looks like a busy shop to a buyer; in the log it must look like a full disk."""
    answer = await client.get("/v1/fails/busy")
    assert (answer.status_code, answer.json()["message"]) == (503, "Busy.")
    assert "the disk is full" in caplog.text
    assert answer.json()["request_id"] in caplog.text


async def test_a_wrong_method_names_the_right_ones(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/v1/pubkey")
    assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
    assert (await client.head("/v1/paint")).headers["allow"] == "OPTIONS, POST"


@pytest.mark.parametrize(
    ("query", "message"),
    [("", "summand: missing"), ("?summand=two-secrets", "summand: Expected `int`, got `str`")],
)
async def test_a_wrong_parameter_is_named_and_not_repeated(client: httpx.AsyncClient, query: str, message: str) -> None:
    answer = await client.get(f"/v1/sums/{UUID(int=1)}{query}")
    assert (answer.status_code, answer.json()["message"]) == (400, message)
    assert (await client.get("/v1/sums/one")).status_code == 404


async def test_a_wrong_choice_is_not_repeated(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/paint", json={"colour": "my-secret"})
    assert (answer.status_code, answer.json()["message"]) == (400, "colour: Not one of the allowed values")


async def test_a_broken_constraint_is_a_conflict(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/doubles")).status_code == 409


async def test_a_browser_gets_a_page(client: httpx.AsyncClient) -> None:
    missing, failed = await client.get("/nothing", headers=BROWSER), await client.get("/fails", headers=BROWSER)
    assert (missing.status_code, failed.status_code) == (404, 500)
    assert all(answer.headers["content-type"] == "text/html; charset=utf-8" for answer in (missing, failed))
    assert "There is nothing at this address." in missing.text
    assert failed.headers["x-request-id"] in failed.text
    assert "4711" not in failed.text
    assert (await client.get("/slash/", headers=BROWSER)).text.startswith("<!doctype html>")


async def test_the_api_speaks_json_to_browsers_too(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/nothing", headers=BROWSER)
    assert msgspec.json.decode(answer.content, type=dict[str, object])["error"] == "not_found"
