"""`POST /v1/validate` as apps see it (contract 3.11)."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from nacl.signing import SigningKey

from keysat.kit.licensekey import Payload, assemble, encode, fingerprint_hash, parse
from keysat.licenses.issue import replace_key, revoke, suspend, unsuspend
from keysat.licenses.machines import force_release
from keysat.licenses.verdict import Reason
from tests.catalog.shelf import a_product
from tests.conftest import NOON, TESTER
from tests.licenses.seller import Seller

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


async def test_a_perpetual_license_shows_what_applies_and_omits_the_rest(seller: Seller) -> None:
    license = await seller.sell()
    assert await seller.wire(await seller.key(license.id)) == {
        "ok": True,
        "license_id": str(license.id),
        "product_id": str(seller.product_id),
        "product_slug": "app",
        "issued_at": "2026-01-15T12:00:00Z",
        "status": "active",
        "max_machines": 1,
    }


async def test_all_fields_in_grace_with_a_trial_and_a_machine(seller: Seller) -> None:
    license = await seller.sell(
        expires_at=NOON + HOUR, grace_seconds=3600, max_machines=3, entitlements=("core", "raw"), is_trial=True
    )
    answer = await seller.wire(await seller.key(license.id), NOON + HOUR, fingerprint="f1", product_slug="app")
    (machine,) = await seller.machines(license.id)
    assert answer == {
        "ok": True,
        "license_id": str(license.id),
        "product_id": str(seller.product_id),
        "product_slug": "app",
        "issued_at": "2026-01-15T12:00:00Z",
        "expires_at": "2026-01-15T13:00:00Z",
        "grace_until": "2026-01-15T14:00:00Z",
        "in_grace_period": True,
        "is_trial": True,
        "entitlements": ["core", "raw"],
        "status": "active",
        "machine_id": str(machine.id),
        "max_machines": 3,
    }


async def test_the_end_of_grace_is_the_first_moment_that_is_expired(seller: Seller) -> None:
    license = await seller.sell(expires_at=NOON + HOUR, grace_seconds=60)
    key = await seller.key(license.id)
    assert (await seller.wire(key, NOON + HOUR - SECOND)).get("in_grace_period") is None
    assert (await seller.wire(key, NOON + HOUR))["in_grace_period"] is True
    assert (await seller.wire(key, NOON + HOUR + 59 * SECOND))["ok"] is True
    assert await seller.wire(key, NOON + HOUR + 60 * SECOND) == {
        "ok": False,
        "reason": "expired",
        "license_id": str(license.id),
        "product_id": str(seller.product_id),
        "expires_at": "2026-01-15T13:00:00Z",
    }


@pytest.mark.parametrize("text", ["", "LIC1", "LIC1-AA-AA", "lic1-aaaa-aaaa", "no key at all", "LIC1-\x00-\ud83d"])
async def test_what_is_no_key_is_bad_format(seller: Seller, text: str) -> None:
    assert await seller.wire(text) == {"ok": False, "reason": "bad_format"}


async def test_a_key_that_another_shop_signed_is_a_bad_signature(seller: Seller) -> None:
    signed = parse(await seller.key((await seller.sell()).id))
    forged = assemble(signed.payload_bytes, SigningKey(bytes(32)).sign(signed.payload_bytes).signature)
    assert await seller.wire(forged) == {"ok": False, "reason": "bad_signature"}


async def signed_by_us(seller: Seller, **fields: Any) -> str:
    """A key with a payload of its own, under this shop's signature."""
    license = fields.pop("license")
    values: dict[str, Any] = {
        "version": 2,
        "flags": 0,
        "product_id": seller.product_id,
        "license_id": license.id,
        "issued_at": int(NOON.timestamp()),
        "expires_at": 0,
        "fingerprint_hash": bytes(32),
        "entitlements": (),
    }
    payload = encode(Payload(**{**values, **fields}))
    async with seller.store.read() as read:
        return assemble(payload, await seller.ring.sign(read, license.issuer_key_id, payload))


async def test_a_license_that_is_not_there_is_not_found(seller: Seller) -> None:
    license = await seller.sell()
    key = await signed_by_us(seller, license=license, license_id=seller.product_id)
    assert await seller.wire(key) == {"ok": False, "reason": "not_found"}


async def test_revoked_comes_before_suspended_before_product_before_expiry(seller: Seller) -> None:
    license = await seller.sell(expires_at=NOON)
    key = await seller.key(license.id)
    assert (await seller.wire(key, NOON))["reason"] == "expired"
    assert await seller.wire(key, NOON, product_slug="other") == {"ok": False, "reason": "product_mismatch"}
    async with seller.store.work(NOON, TESTER) as work:
        await suspend(work, license.id, "late")
    assert await seller.wire(key, NOON, product_slug="other") == {"ok": False, "reason": "suspended"}
    async with seller.store.work(NOON, TESTER) as work:
        await revoke(work, license.id, "fraud")
    assert await seller.wire(key, NOON, product_slug="other") == {"ok": False, "reason": "revoked"}


async def test_a_suspended_license_comes_back(seller: Seller) -> None:
    license = await seller.sell()
    async with seller.store.work(NOON, TESTER) as work:
        await suspend(work, license.id, "late")
    async with seller.store.work(NOON, TESTER) as work:
        await unsuspend(work, license.id)
    assert (await seller.wire(await seller.key(license.id)))["ok"] is True


async def test_the_slug_is_compared_exactly(seller: Seller) -> None:
    key = await seller.key((await seller.sell()).id)
    assert (await seller.validate(key, product_slug="app")).ok
    assert (await seller.validate(key, product_slug="App")).reason is Reason.PRODUCT_MISMATCH


async def test_the_product_in_the_key_must_be_the_licenses(seller: Seller) -> None:
    license = await seller.sell()
    other = await a_product(seller.store, "other")
    key = await signed_by_us(seller, license=license, product_id=other.id)
    assert (await seller.validate(key)).reason is Reason.PRODUCT_MISMATCH


async def test_the_row_is_the_truth_about_entitlements_and_expiry(seller: Seller) -> None:
    license = await seller.sell(expires_at=NOON, entitlements=("core",))
    sold = await seller.key(license.id)
    await seller.change(license.id, expires_at=None, entitlements=["core", "pro"])
    answer = await seller.wire(sold, NOON + HOUR)
    assert (answer["ok"], answer["entitlements"], "expires_at" in answer) == (True, ["core", "pro"], False)


async def test_a_replaced_key_answers_revoked_and_the_new_one_has_the_same_seats(seller: Seller) -> None:
    license = await seller.sell()
    old = await seller.key(license.id)
    machine = (await seller.wire(old, fingerprint="f1"))["machine_id"]
    async with seller.store.work(NOON, TESTER) as work:
        await replace_key(work, license.id)
    new = await seller.key(license.id)
    assert await seller.wire(old, fingerprint="f1") == {"ok": False, "reason": "revoked"}
    assert (await seller.wire(new, fingerprint="f1"))["machine_id"] == machine
    assert (await seller.wire(new))["issued_at"] == "2026-01-15T12:00:00Z"


async def test_first_use_binds_the_only_seat_and_another_machine_is_a_mismatch(seller: Seller) -> None:
    license = await seller.sell()
    key = await seller.key(license.id)
    first = await seller.wire(key, fingerprint="f1", hostname="h", platform="linux")
    assert (await seller.wire(key, fingerprint="f1"))["machine_id"] == first["machine_id"]
    assert await seller.wire(key, fingerprint="f2") == {"ok": False, "reason": "fingerprint_mismatch"}
    (machine,) = await seller.machines(license.id)
    assert (machine.hostname, machine.platform) == ("h", "linux")
    assert machine.fingerprint_hash == fingerprint_hash("f1").hex()
    assert await seller.events("machine") == [
        (
            "machine.activated",
            {
                "license_id": str(license.id),
                "machine_id": first["machine_id"],
                "fingerprint_hash": machine.fingerprint_hash,
            },
        )
    ]


async def test_a_machine_too_many_is_told_the_cap(seller: Seller) -> None:
    license = await seller.sell(max_machines=2)
    key = await seller.key(license.id)
    assert [(await seller.validate(key, fingerprint=f)).ok for f in ("f1", "f2", "f1")] == [True, True, True]
    assert await seller.wire(key, fingerprint="f3") == {
        "ok": False,
        "reason": "too_many_machines",
        "license_id": str(license.id),
        "product_id": str(seller.product_id),
        "max_machines": 2,
    }


async def test_no_cap_takes_any_number(seller: Seller) -> None:
    license = await seller.sell(max_machines=0)
    key = await seller.key(license.id)
    assert all([(await seller.validate(key, fingerprint=f"f{n}")).ok for n in range(5)])
    assert len(await seller.machines(license.id)) == 5


@pytest.mark.parametrize("fingerprint", [None, ""])
async def test_without_a_fingerprint_no_seat_is_taken(seller: Seller, fingerprint: str | None) -> None:
    license = await seller.sell()
    answer = await seller.wire(await seller.key(license.id), fingerprint=fingerprint)
    assert (answer["ok"], "machine_id" in answer) == (True, False)
    assert await seller.machines(license.id) == []


async def test_a_bound_key_refuses_another_machine_before_it_takes_the_seat(seller: Seller) -> None:  # W-55
    license = await seller.sell()
    key = await signed_by_us(seller, license=license, flags=1, fingerprint_hash=fingerprint_hash("mine"))
    assert await seller.wire(key, fingerprint="yours") == {"ok": False, "reason": "fingerprint_mismatch"}
    assert await seller.machines(license.id) == []
    assert (await seller.validate(key)).ok
    assert (await seller.validate(key, fingerprint="mine")).ok


async def test_activate_and_validate_share_the_one_seat(seller: Seller) -> None:  # W-50, W-51
    license = await seller.sell()
    key = await seller.key(license.id)
    activated = await seller.activate(key, "f1")
    assert (await seller.validate(key, fingerprint="f1")).machine_id == activated.machine_id
    assert (await seller.validate(key, fingerprint="f2")).reason is Reason.FINGERPRINT_MISMATCH
    assert len(await seller.machines(license.id)) == 1


async def test_a_forced_release_frees_the_seat_for_another_machine(seller: Seller) -> None:  # W-52
    license = await seller.sell()
    key = await seller.key(license.id)
    await seller.validate(key, fingerprint="f1")
    (machine,) = await seller.machines(license.id)
    async with seller.store.work(NOON, TESTER) as work:
        await force_release(work, machine.id)
    assert (await seller.validate(key, fingerprint="f2")).ok
    assert (await seller.validate(key, fingerprint="f1")).reason is Reason.FINGERPRINT_MISMATCH


async def test_of_many_machines_at_once_exactly_the_cap_validates(seller: Seller) -> None:
    license = await seller.sell(max_machines=3)
    key = await seller.key(license.id)
    answers = await asyncio.gather(*(seller.validate(key, fingerprint=f"f{n}") for n in range(40)))
    assert sum(answer.ok for answer in answers) == 3
    assert {answer.reason for answer in answers if not answer.ok} == {Reason.TOO_MANY_MACHINES}
    assert await seller.broken() == []


async def test_a_revocation_is_seen_by_the_next_request(seller: Seller) -> None:
    license = await seller.sell()
    key = await seller.key(license.id)
    assert (await seller.validate(key)).ok
    async with seller.store.work(NOON, TESTER) as work:
        await revoke(work, license.id, "fraud")
    assert (await seller.validate(key)).reason is Reason.REVOKED


async def test_every_outcome_is_counted_per_license_and_day(seller: Seller) -> None:
    license = await seller.sell()
    key = await seller.key(license.id)
    for now in (NOON, NOON, NOON + timedelta(days=1)):
        await seller.validate(key, now)
    await seller.validate(key, product_slug="other")
    await seller.validate("nonsense")
    await seller.telemetry.flush()
    assert await seller.telemetry.outcomes_of(license.id, NOON.date()) == {"ok": 3, "product_mismatch": 1}
    assert await seller.telemetry.outcomes_of(license.id, NOON.date() + timedelta(days=1)) == {"ok": 1}
    assert await seller.telemetry.outcomes_of(None, NOON.date()) == {"bad_format": 1}


async def test_the_exact_last_seen_is_telemetry_and_the_coarse_one_moves_after_six_hours(seller: Seller) -> None:
    license = await seller.sell()
    key = await seller.key(license.id)
    machine_id = (await seller.validate(key, fingerprint="f1")).machine_id
    for hours, coarse in ((5, 0), (6, 6), (7, 6)):
        now = NOON + hours * HOUR
        await seller.validate(key, now, fingerprint="f1")
        await seller.telemetry.flush()
        await seller.telemetry.flush_coarse()
        (machine,) = await seller.machines(license.id)
        assert machine.last_seen_at == NOON + coarse * HOUR
        assert await seller.telemetry.last_seen([machine.id]) == {machine_id: now}
