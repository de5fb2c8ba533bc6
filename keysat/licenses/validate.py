"""`POST /v1/validate` (contract 3.11): present, read the facts, ask the verdict, look at the machine, answer.

Read-only unless it binds a new machine. The contract omits what does not apply, and never says null.
"""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from keysat.infra.errand import Errand
from keysat.infra.telemetry import Telemetry
from keysat.kit.licensekey import fingerprint_hash
from keysat.licenses.facts import Facts, facts_of_row, known_of
from keysat.licenses.ring import Presented
from keysat.licenses.seats import Device, bind, tell_full
from keysat.licenses.tables import License
from keysat.licenses.verdict import Reason, Verdict, verdict


class Answer(msgspec.Struct, frozen=True):
    """Fields are absent when they do not apply. `issued_at` is the sale; a sandbox shop's door sets `sandbox`."""

    ok: bool
    reason: Reason | UnsetType = UNSET
    license_id: UUID | UnsetType = UNSET
    product_id: UUID | UnsetType = UNSET
    product_slug: str | UnsetType = UNSET
    issued_at: datetime | UnsetType = UNSET
    expires_at: datetime | UnsetType = UNSET
    grace_until: datetime | UnsetType = UNSET
    in_grace_period: bool | UnsetType = UNSET
    is_trial: bool | UnsetType = UNSET
    entitlements: list[str] | UnsetType = UNSET
    status: str | UnsetType = UNSET
    machine_id: UUID | UnsetType = UNSET
    max_machines: int | UnsetType = UNSET
    sandbox: bool | UnsetType = UNSET


async def validate(
    errand: Errand,
    telemetry: Telemetry,
    presented: Presented,
    *,
    product_slug: str | None = None,
    fingerprint: str | None = None,
    hostname: str | None = None,
    platform: str | None = None,
) -> Answer:
    """`fingerprint` is the app's own text; empty counts as absent."""
    now = errand.now
    if presented.signed is None or presented.signer is None:
        reason = presented.reason or Reason.BAD_FORMAT
        telemetry.count(reason, None, now)
        return Answer(False, reason)
    payload, signer = presented.signed.payload, presented.signer
    hashed = fingerprint_hash(fingerprint) if fingerprint else None
    known = await known_of(errand.store, payload.license_id, hashed)
    if known is None:
        telemetry.count(Reason.NOT_FOUND, payload.license_id, now)
        return Answer(False, Reason.NOT_FOUND)
    facts, seen = known

    def judge(facts: Facts) -> Verdict:
        return verdict(facts, payload, signer, now, product_slug=product_slug, fingerprint_hash=hashed)

    found, machine_id = judge(facts), None
    if found.reason is None and hashed is not None:
        if seen is not None:
            machine_id = seen.machine_id
            telemetry.seen(machine_id, now, seen.last_seen_at)
        else:
            found, machine_id = await _seat(errand, facts, Device(hashed.hex(), hostname, platform), judge)
            if machine_id is not None:
                telemetry.seen(machine_id, now)
    telemetry.count(found.reason or "ok", facts.license_id, now)
    return _answer(facts, found, machine_id)


async def _seat(
    errand: Errand, facts: Facts, device: Device, judge: Callable[[Facts], Verdict]
) -> tuple[Verdict, UUID | None]:
    """Bind a machine that has no seat yet. The verdict is asked again once the license is held: it may have changed."""
    if facts.is_full and facts.seats_evict_after_days is None:
        await tell_full(errand, facts)
        return Verdict(_full(facts)), None  # without taking the write lock
    async with errand.work() as work:
        license = await work.hold(License, facts.license_id)
        again = judge(facts_of_row(license, facts.product_slug))
        if again.reason is not None:
            return again, None
        machine = await bind(work, license, device)
    if machine is not None:
        return again, machine.id
    await tell_full(errand, facts)
    return Verdict(_full(facts)), None


def _full(facts: Facts) -> Reason:
    """SDKs know a second machine of a one-seat license as a mismatch (contract 3.11, step 11)."""
    return Reason.FINGERPRINT_MISMATCH if facts.max_machines == 1 else Reason.TOO_MANY_MACHINES


def _answer(facts: Facts, found: Verdict, machine_id: UUID | None) -> Answer:
    if found.reason is not None:
        return _refusal(facts, found.reason)
    return Answer(
        ok=True,
        license_id=facts.license_id,
        product_id=facts.product_id,
        product_slug=facts.product_slug,
        issued_at=facts.issued_at,
        expires_at=facts.expires_at or UNSET,
        grace_until=found.grace_until or UNSET,
        in_grace_period=True if found.grace_until else UNSET,
        is_trial=facts.is_trial or UNSET,
        entitlements=facts.entitlements or UNSET,
        status=facts.status.value,
        machine_id=machine_id or UNSET,
        max_machines=facts.max_machines,
    )


def _refusal(facts: Facts, reason: Reason) -> Answer:
    match reason:
        case Reason.EXPIRED:
            expires_at = facts.expires_at or UNSET
            return Answer(False, reason, facts.license_id, facts.product_id, expires_at=expires_at)
        case Reason.TOO_MANY_MACHINES:
            return Answer(False, reason, facts.license_id, facts.product_id, max_machines=facts.max_machines)
        case _:
            return Answer(False, reason)
