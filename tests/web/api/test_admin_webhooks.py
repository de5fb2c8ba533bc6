"""Webhooks through the operator's door: who is told, with which secret, and what became of it."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from keysat.infra.house import Mode
from keysat.infra.seals import seal
from keysat.kit.ids import random_uuid
from keysat.licenses.happenings import Cause, LicenseSuspended, MachineDeactivated
from keysat.upkeep.shop import Shop
from keysat.webhooks.deliver import work_off
from keysat.webhooks.sign import verify
from tests.conftest import TESTER
from tests.web.conftest import ADMIN, Watch, browse, doors_of
from tests.webhooks.receiver import Receiver, receiving

PATH = "/v1/admin/webhook-endpoints"


@pytest.fixture
async def receiver() -> AsyncGenerator[Receiver, None]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def door(sandbox: Shop) -> AsyncGenerator[httpx.AsyncClient, None]:
    """Of a sandbox shop, whose webhooks may go to this machine."""
    async with browse(doors_of(sandbox)) as client:
        client.headers.update(ADMIN)
        yield client


async def told(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


async def happen(shop: Shop, count: int = 1) -> None:
    async with shop.work(TESTER) as work:
        for _ in range(count):
            license_id = random_uuid(shop.chance)
            work.record(LicenseSuspended(license_id))
    await seal(shop.store, shop.now())


async def test_an_endpoint_from_its_first_day_to_its_last(
    door: httpx.AsyncClient, sandbox: Shop, watch: Watch, receiver: Receiver
) -> None:
    made = await told(await door.post(PATH, json={"url": receiver.url, "description": "Books"}))
    secret, one = made.pop("secret"), f"{PATH}/{made['id']}"
    assert secret.startswith("whsec_")
    assert (made["event_types"], made["active"]) == (["*"], True)

    # It is shown without its secret, to whoever may look (D-15)
    shown = await door.get(one)
    assert shown.json() == made
    for listed in (await door.get(PATH), await door.get("/v1/admin/webhook-deliveries"), shown):
        assert secret not in listed.text
    assert (await door.get(PATH, params={"include_secret": "true"})).status_code == 400

    # Edited by who has read it last
    read = {"If-Match": shown.headers["etag"]}
    changed = await told(await door.patch(one, json={"event_types": ["license.*"]}, headers=read))
    assert (changed["event_types"], changed["description"]) == (["license.*"], "Books")
    late = await door.patch(one, json={"description": None}, headers=read)
    assert late.status_code == 412

    # Told
    await happen(sandbox)
    await work_off(sandbox.exchange)
    [request] = receiver.taken
    assert verify(secret, request.headers, request.body, watch.now()) is None
    page = await told(await door.get("/v1/admin/webhook-deliveries", params={"endpoint_id": made["id"]}))
    [delivery] = page["deliveries"]
    assert (delivery["status"], delivery["attempt_count"], delivery["last_status_code"]) == ("delivered", 1, 200)
    assert delivery["payload_json"] == request.body.decode()
    assert delivery["id"] == request.id

    # Tested, and the secret rotated, with an overlap
    ping = await told(await door.post(f"{one}/test"))
    assert (ping["event_type"], ping["status"], ping["attempts"][0]["answer"]) == ("ping", "delivered", "thanks")
    rotated = await told(await door.post(f"{one}/rotate-secret", json={}))
    assert rotated["secret"] != secret
    assert [key["retires_at"] is None for key in rotated["public_keys"]] == [True, False]
    await door.post(f"{one}/test")
    assert verify(rotated["secret"], receiver.taken[-1].headers, receiver.taken[-1].body, watch.now()) is None
    assert "x-keysat-signature-previous" in receiver.taken[-1].headers
    assert len((await told(await door.post(f"{one}/retire-old-secrets")))["public_keys"]) == 1

    # How it is stands in the list, and at an address of its own: what has an ETag does not change by being told
    health = (await told(await door.get(PATH)))["endpoints"][0]["health"]
    assert health == await told(await door.get(f"{one}/health"))
    assert (health["last_success_at"][:10], health["last_failure"], health["pending"]) == ("2026-01-15", None, 0)

    # Paused, and gone; its deliveries keep its name (D-11)
    await told(await door.patch(f"{one}/active", json={"active": False}))
    await told(await door.delete(one))
    assert (await door.get(one)).status_code == 404
    assert (await told(await door.get(PATH)))["endpoints"] == []
    kept = await told(await door.get(f"/v1/admin/webhook-deliveries/{delivery['id']}"))
    assert (kept["endpoint_url"], kept["endpoint_deleted"]) == (receiver.url, True)


async def test_dead_letters_are_listed_and_replayed(
    door: httpx.AsyncClient, sandbox: Shop, watch: Watch, receiver: Receiver
) -> None:
    made = await told(await door.post(PATH, json={"url": receiver.url}))
    receiver.status = 500
    await happen(sandbox, 3)
    for _ in range(12):
        await work_off(sandbox.exchange)
        watch.pass_by(days=2)
    page = await told(await door.get("/v1/admin/webhook-deliveries", params={"status": "failed", "limit": 2}))
    rest = await told(
        await door.get(
            "/v1/admin/webhook-deliveries", params={"status": "failed", "limit": 2, "cursor": page["next_cursor"]}
        )
    )
    dead = [*page["deliveries"], *rest["deliveries"]]
    assert (len(dead), rest["next_cursor"]) == (3, None)
    receiver.status = 200
    again = await told(await door.post(f"/v1/admin/webhook-deliveries/{dead[0]['id']}/retry"))
    assert (again["status"], again["attempt_count"], len(again["attempts"])) == ("pending", 10, 10)
    assert await told(await door.post(f"{PATH}/{made['id']}/replay", json={})) == {"replayed": 2, "has_more": False}
    await work_off(sandbox.exchange)
    assert {one.id for one in receiver.taken} == {one["id"] for one in dead}
    since = {"status": "all", "since": (watch.now() - timedelta(days=90)).isoformat()}
    assert (await told(await door.post(f"{PATH}/{made['id']}/replay", json=since)))["replayed"] == 3
    await work_off(sandbox.exchange)
    assert len(receiver.taken) == 6


REFUSED: tuple[dict[str, Any], ...] = (
    {"url": "https://127.0.0.1/hook"},
    {"url": "https://[::ffff:10.0.0.1]/hook"},
    {"url": "https://169.254.169.254/latest/meta-data"},
    {"url": "http://8.8.8.8/hook"},
    {"url": "https://user:password@8.8.8.8/hook"},
    {"url": "ftp://8.8.8.8/hook"},
    {"url": "https://8.8.8.8/hook", "event_types": ["license.sold"]},
    {"url": "https://8.8.8.8/hook", "event_types": []},
    {"url": "https://8.8.8.8/hook", "secret": "short"},
    {"url": "https://8.8.8.8/hook", "events": ["*"]},
)


@pytest.mark.once
async def test_what_cannot_be_told_is_refused_at_once(client: httpx.AsyncClient) -> None:  # D-39
    made = await told(await client.post(PATH, json={"url": "https://8.8.8.8/hook"}, headers=ADMIN))
    for body in REFUSED:
        await told(await client.post(PATH, json=body, headers=ADMIN), 400)
        if "secret" not in body:  # which is no field of an edit, and would be refused for that
            await told(await client.patch(f"{PATH}/{made['id']}", json=body, headers=ADMIN), 400)


async def test_the_feed_tells_what_webhooks_tell(door: httpx.AsyncClient, sandbox: Shop, receiver: Receiver) -> None:
    start = (await told(await door.get("/v1/admin/events")))["next_after"]
    await told(await door.post(PATH, json={"url": receiver.url}))
    await happen(sandbox, 3)
    async with sandbox.work(TESTER) as work:
        license_id, machine_id = random_uuid(sandbox.chance), random_uuid(sandbox.chance)
        work.record(
            MachineDeactivated(
                license_id=license_id, machine_id=machine_id, fingerprint_hash="ab" * 32, reason=Cause.IDLE
            )
        )
    await seal(sandbox.store, sandbox.now())
    await work_off(sandbox.exchange)
    events, after = [], start
    while True:
        page = await told(await door.get("/v1/admin/events", params={"after": after, "limit": 2}))
        events += page["events"]
        after = page["next_after"]
        if not page["has_more"]:
            break
    assert [one["position"] for one in events] == sorted(
        int(one.headers["x-keysat-position"]) for one in receiver.taken
    )
    bodies = {int(one.headers["x-keysat-position"]): one.json for one in receiver.taken}
    assert {one.pop("position"): one for one in events} == bodies
    assert (await told(await door.get("/v1/admin/events", params={"after": after})))["events"] == []
    some = await told(await door.get("/v1/admin/events", params={"types": "machine.*,order.paid"}))
    assert [one["event_type"] for one in some["events"]] == ["machine.deactivated"]
    assert (await door.get("/v1/admin/events", params={"types": "letter.*"})).status_code == 400
    assert (await told(await door.get("/v1/admin/webhook-event-types")))["event_types"].count("order.paid") == 1


@pytest.mark.once
async def test_a_sandbox_is_a_property_of_the_shop(shop: Shop) -> None:
    assert shop.exchange.networks == ()
    assert replace(shop, mode=Mode.SANDBOX).exchange.is_sandbox
