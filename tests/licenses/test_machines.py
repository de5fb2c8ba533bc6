"""Activate, heartbeat, deactivate as apps see them (contract 3.12)."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from nacl.signing import SigningKey

from keysat.kit.errors import BadRequest, NotFound
from keysat.kit.licensekey import assemble, parse
from keysat.licenses.issue import revoke, suspend
from keysat.licenses.machines import force_release
from keysat.licenses.verdict import Reason
from tests.conftest import NOON, TESTER
from tests.licenses.seller import Seller

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


async def test_activating_twice_gives_the_same_seat(seller: Seller) -> None:
    key = await seller.key((await seller.sell(max_machines=2)).id)
    first, again = await seller.activate(key, "f1"), await seller.activate(key, "f1")
    assert (first.ok, first.active_count, first.max_machines, first.reason) == (True, 1, 2, None)
    assert again == first
    assert (await seller.activate(key, "f2")).active_count == 2


@pytest.mark.parametrize("cap", [1, 2])
async def test_a_machine_too_many_is_refused_with_all_fields(seller: Seller, cap: int) -> None:
    key = await seller.key((await seller.sell(max_machines=cap)).id)
    for number in range(cap):
        await seller.activate(key, f"f{number}")
    assert msgspec.to_builtins(await seller.activate(key, "f9")) == {
        "ok": False,
        "machine_id": None,
        "active_count": cap,
        "max_machines": cap,
        "reason": "too_many_machines",
    }


async def test_a_hundred_machines_at_once_take_exactly_three_seats(seller: Seller) -> None:  # W-53
    license = await seller.sell(max_machines=3)
    key = await seller.key(license.id)
    answers = await asyncio.gather(*(seller.activate(key, f"f{number}") for number in range(100)))
    assert sum(answer.ok for answer in answers) == 3
    assert len(await seller.machines(license.id)) == 3
    assert (await seller.license(license.id)).seats_taken == 3
    assert len(await seller.events("machine.activated")) == 3
    assert await seller.broken() == []


@pytest.mark.parametrize("evict", [None, 1])
async def test_one_machine_that_asks_twenty_times_at_once_takes_one_seat(seller: Seller, evict: int | None) -> None:
    license = await seller.sell(max_machines=3, seats_evict_after_days=evict)
    key = await seller.key(license.id)
    answers = await asyncio.gather(*(seller.activate(key, "f1") for _ in range(20)))
    assert len({answer.machine_id for answer in answers}) == 1
    assert (await seller.license(license.id)).seats_taken == 1
    assert await seller.broken() == []


async def test_machines_that_come_and_go_at_once_leave_the_count_right(seller: Seller) -> None:
    license = await seller.sell(max_machines=2)
    key = await seller.key(license.id)

    async def come_and_go(fingerprint: str) -> None:
        for _ in range(4):
            await seller.activate(key, fingerprint)
            await seller.deactivate(key, fingerprint)

    await asyncio.gather(*(come_and_go(f"f{number % 4}") for number in range(8)))
    assert await seller.broken() == []
    assert (await seller.license(license.id)).seats_taken == len(await seller.machines(license.id))


async def test_when_full_the_longest_idle_gives_way_after_the_days_of_the_tier(seller: Seller) -> None:
    license = await seller.sell(max_machines=2, seats_evict_after_days=30)
    key = await seller.key(license.id)
    await seller.activate(key, "old", NOON)
    await seller.activate(key, "older", NOON - HOUR)
    assert (await seller.activate(key, "new", NOON + 29 * DAY)).reason is Reason.TOO_MANY_MACHINES
    assert (await seller.activate(key, "new", NOON + 30 * DAY)).ok
    assert (await seller.heartbeat(key, "older")).reason is Reason.NOT_ACTIVATED
    assert (await seller.heartbeat(key, "old")).ok
    gone = (await seller.events("machine.deactivated"))[0][1]
    assert gone["reason"] == "idle"
    assert await seller.broken() == []


async def test_many_machines_at_once_evict_no_more_than_are_idle(seller: Seller) -> None:
    license = await seller.sell(max_machines=3, seats_evict_after_days=30)
    key = await seller.key(license.id)
    for number in range(3):
        await seller.activate(key, f"idle{number}")
    later = NOON + 31 * DAY
    answers = await asyncio.gather(*(seller.activate(key, f"f{number}", later) for number in range(20)))
    assert sum(answer.ok for answer in answers) == 3
    assert await seller.broken() == []


async def test_a_license_that_does_not_hold_says_why_everywhere(seller: Seller) -> None:  # W-54
    license = await seller.sell(expires_at=NOON + HOUR, grace_seconds=60)
    key = await seller.key(license.id)
    await seller.activate(key, "f1")
    assert (await seller.heartbeat(key, "f1", NOON + HOUR)).ok
    over = NOON + HOUR + timedelta(seconds=60)
    assert (await seller.heartbeat(key, "f1", over)).reason is Reason.EXPIRED
    assert (await seller.activate(key, "f1", over)).reason is Reason.EXPIRED
    async with seller.store.work(NOON, TESTER) as work:
        await suspend(work, license.id, "late")
    assert (await seller.heartbeat(key, "f1")).reason is Reason.SUSPENDED
    async with seller.store.work(NOON, TESTER) as work:
        await revoke(work, license.id, "fraud")
    assert msgspec.to_builtins(await seller.heartbeat(key, "f1")) == {"ok": False, "reason": "revoked"}
    assert msgspec.to_builtins(await seller.activate(key, "f2")) == {
        "ok": False,
        "machine_id": None,
        "active_count": 0,
        "max_machines": 1,
        "reason": "revoked",
    }


async def test_a_heartbeat_of_a_machine_without_a_seat_is_not_activated(seller: Seller) -> None:
    key = await seller.key((await seller.sell()).id)
    assert (await seller.heartbeat(key, "f1")).reason is Reason.NOT_ACTIVATED
    machine_id = (await seller.activate(key, "f1")).machine_id
    assert (await seller.heartbeat(key, "f1")).machine_id == machine_id


async def test_a_seat_given_back_can_be_taken_by_another(seller: Seller) -> None:
    license = await seller.sell()
    key = await seller.key(license.id)
    await seller.activate(key, "f1")
    assert (await seller.deactivate(key, "f1")).ok
    assert (await seller.deactivate(key, "f1")).reason is Reason.NOT_FOUND
    assert (await seller.activate(key, "f2")).ok
    ((_, body),) = await seller.events("machine.deactivated")
    assert (body["license_id"], body["reason"]) == (str(license.id), "client_requested")
    assert body["fingerprint_hash"]


async def test_a_seat_of_a_revoked_license_can_still_be_given_back(seller: Seller) -> None:
    license = await seller.sell()
    key = await seller.key(license.id)
    await seller.activate(key, "f1")
    async with seller.store.work(NOON, TESTER) as work:
        await revoke(work, license.id, "fraud")
    assert (await seller.deactivate(key, "f1", reason="x" * 900 + "\0")).ok
    assert await seller.broken() == []


async def test_what_an_app_says_of_its_machine_is_cut_to_fit(seller: Seller) -> None:
    license = await seller.sell()
    assert (await seller.activate(await seller.key(license.id), "f1", hostname="h" * 999, platform="a\0b")).ok
    (machine,) = await seller.machines(license.id)
    assert (len(machine.hostname or ""), machine.platform) == (255, "ab")


async def test_a_seat_can_be_forced_free_once(seller: Seller) -> None:
    license = await seller.sell()
    key = await seller.key(license.id)
    machine_id = (await seller.activate(key, "f1")).machine_id
    assert machine_id is not None
    async with seller.store.work(NOON, TESTER) as work:
        assert (await force_release(work, machine_id)).id == machine_id
    with pytest.raises(NotFound):
        async with seller.store.work(NOON, TESTER) as work:
            await force_release(work, machine_id)
    assert await seller.broken() == []


async def test_a_key_that_is_none_of_ours_or_an_empty_fingerprint_is_a_bad_request(seller: Seller) -> None:
    key = await seller.key((await seller.sell()).id)
    signed = parse(key)
    forged = assemble(signed.payload_bytes, SigningKey(bytes(32)).sign(signed.payload_bytes).signature)
    for text, fingerprint in (("nonsense", "f1"), (forged, "f1"), (key, "")):
        with pytest.raises(BadRequest):
            await seller.activate(text, fingerprint)
        with pytest.raises(BadRequest):
            await seller.heartbeat(text, fingerprint)
        with pytest.raises(BadRequest):
            await seller.deactivate(text, fingerprint)
