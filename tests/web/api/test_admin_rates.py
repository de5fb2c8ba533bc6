from dataclasses import replace
from typing import Any

import httpx
import pytest

from keysat.infra.http import HttpClient
from keysat.kit.ids import SeededChance
from keysat.payments.rates.board import RateBoard
from keysat.upkeep.shop import Shop
from tests.fakes.rate_sources import RateSources, TravellingClock
from tests.web.conftest import ADMIN, Watch, browse, doors_of

pytestmark = pytest.mark.once

PINNED = {"currency": "USD", "price": "50000.0000", "centibps": 500_000_000}


@pytest.mark.parametrize("price", ["50000.00", "50000", 50_000])
async def test_a_price_is_pinned_and_unpinned(client: httpx.AsyncClient, price: str | int):
    client.headers.update(ADMIN)
    pinned = await client.put("/v1/admin/rates/usd/pin", json={"price": price})
    assert (pinned.status_code, pinned.json()) == (200, PINNED)
    rates = (await client.get("/v1/admin/rates")).json()
    assert (rates["pins"], rates["rates"]) == ([PINNED], [])
    assert {"name": "kraken", "failures": 0, "open_until": None, "openings": 0} in rates["sources"]
    gone = await client.delete("/v1/admin/rates/USD/pin")
    assert (gone.status_code, gone.json()) == (200, {"ok": True})
    assert (await client.get("/v1/admin/rates")).json()["pins"] == []
    assert (await client.delete("/v1/admin/rates/USD/pin")).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b'{"price": 50000.0}',
        b'{"price": 5e4}',
        b'{"price": "5e4"}',
        b'{"price": "-50000"}',
        b'{"price": "NaN"}',
        b'{"price": "50,000"}',
        b'{"price": ""}',
        b'{"price": 0}',
        b'{"price": true}',
        b'{"price": null}',
        b'{"price": "0.01"}',
        b'{"price": "50000", "until": "tomorrow"}',
        b"{}",
        b"50000",
    ],
)
async def test_what_is_no_exact_and_likely_price_is_refused(client: httpx.AsyncClient, body: bytes):
    headers = ADMIN | {"Content-Type": "application/json"}
    refused = await client.put("/v1/admin/rates/USD/pin", content=body, headers=headers)
    assert (refused.status_code, refused.json()["error"]) == (400, "bad_request")


@pytest.mark.parametrize("currency", ["SAT", "BTC", "XXX", "dollar", "%00", "U%C5%9F"])
async def test_only_currencies_have_a_price_of_bitcoin(client: httpx.AsyncClient, currency: str):
    client.headers.update(ADMIN)
    path = f"/v1/admin/rates/{currency}/pin"
    assert (await client.put(path, json={"price": 50_000})).status_code == 400
    assert (await client.delete(path)).status_code in (400, 404)


async def test_what_the_sources_agreed_on_is_shown(shop: Shop, watch: Watch):
    asked = HttpClient(transport=RateSources(TravellingClock(watch.now()), USD=97_000))
    board = RateBoard(asked, watch, SeededChance(7))
    async with browse(doors_of(replace(shop, board=board))) as client:
        asked_for = await client.post("/v1/admin/rates/refresh", json={"currency": "usd"}, headers=ADMIN)
        rates: dict[str, Any] = (await client.get("/v1/admin/rates", headers=ADMIN)).json()
        for wrong in ("SAT", "XXX"):
            refused = await client.post("/v1/admin/rates/refresh", json={"currency": wrong}, headers=ADMIN)
            assert refused.status_code == 400
    [rate] = rates["rates"]
    assert (asked_for.status_code, asked_for.json()) == (200, rate)
    assert (rate["currency"], rate["price"], rate["centibps"]) == ("USD", "97000.0000", 970_000_000)
    assert (rate["stale"], rate["at"]) == (False, "2026-01-15T12:00:00Z")
    assert "kraken" in rate["source"].split("+")
    assert {"source": "kraken", "price": "97000", "at": "2026-01-15T12:00:00Z"} in rate["sources"]
    await board.aclose()
    await asked.aclose()


async def test_sources_that_do_not_answer_are_told(client: httpx.AsyncClient):
    refused = await client.post("/v1/admin/rates/refresh", json={"currency": "USD"}, headers=ADMIN)
    assert (refused.status_code, refused.json()["error"]) == (502, "upstream_error")
    rates: dict[str, Any] = (await client.get("/v1/admin/rates", headers=ADMIN)).json()
    assert (rates["rates"], all(source["failures"] == 1 for source in rates["sources"])) == ([], True)


async def test_strangers_neither_see_nor_set_rates(client: httpx.AsyncClient):
    assert (await client.get("/v1/admin/rates")).status_code == 401
    assert (await client.put("/v1/admin/rates/USD/pin", json={"price": 1})).status_code == 401
    assert (await client.delete("/v1/admin/rates/USD/pin")).status_code == 401
