"""Whether the server lives, whether it can work, its figures, and a log line for each request."""

import io
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event, update

from keysat.infra import log
from keysat.infra.attention import attention
from keysat.infra.house import rewrite
from keysat.jobs.runner import JobHealth, Runner
from keysat.payments.tables import ConnectionRow
from keysat.upkeep.backup import LAST_BACKUP
from keysat.upkeep.shop import Shop
from keysat.upkeep.unnamed_proxy import UnnamedProxy
from keysat.upkeep.warn import warnings
from tests.conftest import NOON, TESTER
from tests.web.conftest import ADMIN, BROWSER, browse, doors_of
from tests.web.selling import Front


@dataclass(frozen=True)
class Jobs:
    stopped: Sequence[str] = ()

    def stalled(self, now: datetime) -> Sequence[str]:
        return self.stopped

    def health(self) -> Sequence[JobHealth]:
        return [replace(JobHealth("look", NOON), succeeded_at=NOON, failures=2), JobHealth("seal", NOON)]


async def test_health_asks_nobody_and_readiness_asks_the_database(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"ok": True}
    assert (await client.get("/readyz")).json() == {"ok": True, "unreachable_providers": []}


@pytest.mark.once
async def test_a_shop_whose_jobs_have_stopped_is_not_ready(shop: Shop) -> None:
    async with browse(doors_of(shop, jobs=Jobs(["look"]))) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["message"] == "These jobs have stopped: look."


async def test_a_provider_that_does_not_answer_is_told_and_stops_nobody(front: Front) -> None:
    async with front.shop.work(TESTER) as work:
        await work.session.execute(update(ConnectionRow).values(health={"reachable": False}))
    ready = await front.http.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"ok": True, "unreachable_providers": ["btcpay"]})
    figures = await scraped(front.http)
    assert [value for _, value in figures["keysat_provider_up"]] == [0]


async def test_the_figures_say_what_waits_and_how_the_doors_and_jobs_do(front: Front) -> None:
    before = bought(await scraped(front.http))  # the app, and what it has counted, is one for all tests
    await front.bought()
    async with front.shop.work(TESTER) as work:
        await work.attend("webhook_secret", "x", "Webhooks come with a wrong signature.")
        await rewrite(work, LAST_BACKUP, NOON.isoformat())
    figures = await scraped(front.http)
    assert figures["keysat_backup_succeeded_timestamp_seconds"] == [({}, NOON.timestamp())]
    assert figures["keysat_orders_watched"] == [({"status": "awaiting"}, 1)]
    assert figures["keysat_attention_open"] == [({}, 1)]
    assert bought(figures) == before + 1

    async with browse(doors_of(front.shop, jobs=Jobs())) as client:
        jobs = await scraped(client)
    assert jobs["keysat_job_failures"] == [({"job": "look"}, 2), ({"job": "seal"}, 0)]
    assert jobs["keysat_job_succeeded_timestamp_seconds"] == [({"job": "look"}, NOON.timestamp())]
    assert Runner(front.shop, ()).health() == ()


@pytest.mark.once
async def test_the_figures_are_for_who_may_read_them(client: httpx.AsyncClient) -> None:
    assert (await client.get("/metrics")).status_code == 401
    assert (await client.get("/metrics", headers={"Authorization": "Bearer x"})).status_code == 403


@pytest.mark.once
async def test_each_request_is_one_line_with_its_id_and_its_actor(client: httpx.AsyncClient) -> None:
    """ASVS 5.0 16.2.5: of a credential, its id is logged; of an address, the route it met."""
    stream, root = io.StringIO(), logging.getLogger()
    before, level = root.handlers[:], root.level
    log.configure("info", "json", stream)
    try:
        asked = await client.get("/v1/admin/orders/KS-SECRET0001?x=secret", headers=ADMIN)
        lost = await client.post("/v1/nowhere/LIC1-AAAA-BBBB")
        strangers = [
            await client.get("/v1/admin/products"),
            await client.get("/v1/admin/products", headers={"Authorization": "Bearer wrong"}),
            await client.get("/v1/admin/nowhere"),
            await client.get("/admin", headers=BROWSER),
            await client.get("/healthz"),
        ]
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    lines = [json.loads(line)["fields"] for line in stream.getvalue().splitlines() if '"request"' in line]
    assert [line["request"] for line in lines] == [one.headers["x-request-id"] for one in (asked, lost, *strangers)]
    assert [(line["method"], line["route"], line["status"]) for line in lines[:2]] == [
        ("GET", "/v1/admin/orders/{reference}", 400),  # it takes no ?x
        ("POST", "none", 404),
    ]
    actors = [(line["actor"], line["credential"]) for line in lines]
    assert actors == [("admin_key", "admin_key"), ("buyer", None), *[("anonymous", None)] * len(strangers)]
    assert not re.search("SECRET|secret|LIC1", stream.getvalue())


async def scraped(client: httpx.AsyncClient) -> dict[str, list[tuple[dict[str, Any], float]]]:
    """By name, the samples with their labels; read as Prometheus reads them."""
    answer = await client.get("/metrics", headers=ADMIN)
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        family.name: [(sample.labels, sample.value) for sample in family.samples]
        for family in text_string_to_metric_families(answer.text)
    }


def bought(figures: dict[str, list[tuple[dict[str, Any], float]]]) -> float:
    """How often a page that sells was answered with where to pay."""
    asked = {"route": "/buy/{slug}", "method": "POST", "status": "303", "le": "+Inf"}
    return sum(count for labels, count in figures["keysat_http_request_duration_seconds"] if labels == asked)


@pytest.mark.once
async def test_a_proxy_that_nobody_named_is_told_of_until_it_is(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    forwarded = {"X-Forwarded-For": "198.51.100.7"}
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    event.listen(shop.store.engine.sync_engine, "before_cursor_execute", count)

    async def comes_by(shop: Shop, peer: str) -> list[str]:
        """What the doctor says afterwards."""
        async with browse(doors_of(shop), peer) as client:
            for _ in range(2):
                await client.get("/healthz", headers=forwarded)
            [(_, count)] = (await scraped(client))["keysat_unnamed_proxy_requests"]
        assert count == shop.unnamed_proxy.requests
        await shop.unnamed_proxy.tell(shop.store, shop.settings, shop.now())
        async with shop.read() as read:
            calls = (await attention(read)).items
            warned = [line for line in await warnings(read, shop.settings, shop.mode, shop.now()) if "PROXIES" in line]
        assert [call.reason for call in calls] == warned
        return warned

    def started_again(*named: str) -> Shop:
        settings = replace(shop.settings, trusted_proxies=tuple(map(ip_network, named)))
        return replace(shop, settings=settings, unnamed_proxy=UnnamedProxy())

    assert await comes_by(shop, "8.8.8.8") == []  # anybody can send such a header
    [told] = await comes_by(shop, "172.18.0.1")
    assert told.startswith("Requests come through 172.18.0.1, which KEYSAT_TRUSTED_PROXIES does not name:")
    assert told.endswith("If that is your proxy, set it to 172.18.0.1.")
    statements = 0
    assert await comes_by(shop, "172.18.0.9") == [told]
    assert statements == 0  # nothing is new
    assert [record.getMessage() for record in caplog.records].count("proxy.unnamed") == 1
    assert await comes_by(started_again(), "8.8.8.8") == [told]
    wrong = started_again("10.0.0.0/8")
    assert [line[-26:] for line in await comes_by(wrong, "172.18.0.1")] == [" to 10.0.0.0/8,172.18.0.1."]
    assert await comes_by(started_again("172.18.0.0/16"), "172.18.0.1") == []
