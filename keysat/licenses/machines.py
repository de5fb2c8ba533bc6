"""Activate, heartbeat, deactivate (contract 3.12), and the operator's release."""

from uuid import UUID

import msgspec
from sqlalchemy import select

from keysat.infra.errand import Errand
from keysat.infra.telemetry import Telemetry
from keysat.infra.work import Work
from keysat.kit.errors import BadRequest, NotFound
from keysat.kit.licensekey import Payload, fingerprint_hash
from keysat.licenses.facts import Facts, facts_of_row, known_of
from keysat.licenses.happenings import Cause
from keysat.licenses.ring import Presented
from keysat.licenses.seats import Device, active_machine, bind, release, tell_full
from keysat.licenses.tables import License, Machine
from keysat.licenses.verdict import Reason, Signer, verdict


class Activation(msgspec.Struct, frozen=True):
    """All five are always there."""

    ok: bool
    machine_id: UUID | None
    active_count: int
    max_machines: int
    reason: Reason | None


class Heartbeat(msgspec.Struct, frozen=True, omit_defaults=True):
    """`machine_id` where it is ok, else `reason`."""

    ok: bool
    machine_id: UUID | None = None
    reason: Reason | None = None


class Deactivation(msgspec.Struct, frozen=True, omit_defaults=True):
    """`reason` only where it is not ok."""

    ok: bool
    reason: Reason | None = None


async def activate(
    errand: Errand,
    telemetry: Telemetry,
    presented: Presented,
    fingerprint: str,
    *,
    hostname: str | None = None,
    platform: str | None = None,
) -> Activation:
    """Raises BadRequest for a key that is none of ours or an empty fingerprint, NotFound for an unknown license."""
    payload, signer, hashed = _opened(presented, fingerprint)
    known = await known_of(errand.store, payload.license_id, hashed)
    if known is None:
        raise NotFound(f"There is no license {payload.license_id}.")
    facts, seen = known
    reason = verdict(facts, payload, signer, errand.now, fingerprint_hash=hashed).reason
    if reason is not None:
        return Activation(False, None, 0, facts.max_machines, reason)
    if seen is not None:
        telemetry.seen(seen.machine_id, errand.now, seen.last_seen_at)
        return Activation(True, seen.machine_id, facts.seats_taken, facts.max_machines, None)
    if facts.is_full and facts.seats_evict_after_days is None:
        await tell_full(errand, facts)
        return _full(facts)
    async with errand.work() as work:
        license = await work.hold(License, facts.license_id)
        facts = facts_of_row(license, facts.product_slug)
        reason = verdict(facts, payload, signer, errand.now, fingerprint_hash=hashed).reason
        if reason is not None:
            return Activation(False, None, 0, facts.max_machines, reason)
        machine = await bind(work, license, Device(hashed.hex(), hostname, platform))
        taken = await work.session.scalar(select(License.seats_taken).where(License.id == license.id))
    if machine is None:
        await tell_full(errand, facts)
        return _full(facts)
    return Activation(True, machine.id, taken or 0, facts.max_machines, None)


async def heartbeat(errand: Errand, telemetry: Telemetry, presented: Presented, fingerprint: str) -> Heartbeat:
    """Reads only. A license that is revoked, suspended or expired says so. Raises BadRequest as `activate`."""
    payload, signer, hashed = _opened(presented, fingerprint)
    known = await known_of(errand.store, payload.license_id, hashed)
    if known is None:
        return Heartbeat(False, None, Reason.NOT_ACTIVATED)
    facts, seen = known
    reason = verdict(facts, payload, signer, errand.now, fingerprint_hash=hashed).reason
    if reason is not None:
        return Heartbeat(False, None, reason)
    if seen is None:
        return Heartbeat(False, None, Reason.NOT_ACTIVATED)
    telemetry.seen(seen.machine_id, errand.now, seen.last_seen_at)
    return Heartbeat(True, seen.machine_id, None)


async def deactivate(
    errand: Errand, presented: Presented, fingerprint: str, *, reason: str | None = None
) -> Deactivation:
    """Gives a seat back whatever the license's status. Raises BadRequest as `activate`."""
    payload, _, hashed = _opened(presented, fingerprint)
    _, seen = await known_of(errand.store, payload.license_id, hashed) or (None, None)
    if seen is None:
        return Deactivation(False, Reason.NOT_FOUND)
    async with errand.work() as work:
        await work.hold(License, payload.license_id)
        machine = await active_machine(work, payload.license_id, hashed.hex())
        done = machine is not None and await release(work, machine, Cause.CLIENT_REQUESTED, reason)
    return Deactivation(True, None) if done else Deactivation(False, Reason.NOT_FOUND)


async def give_back(work: Work, license_id: UUID, machine_id: UUID) -> None:
    """The holder of the license takes a seat back, without that machine. Raises NotFound when it has none any more."""
    await work.hold(License, license_id)
    machine = await work.session.get(Machine, machine_id)
    is_its = machine is not None and machine.license_id == license_id
    if machine is None or not is_its or not await release(work, machine, Cause.CLIENT_REQUESTED):
        raise NotFound("This device has no seat any more.")


async def force_release(work: Work, machine_id: UUID, reason: str | None = None) -> Machine:
    """The operator takes a seat back, for another machine to take. Raises NotFound when it has none any more."""
    machine = await work.get(Machine, machine_id)
    await work.hold(License, machine.license_id)
    if not await release(work, machine, Cause.ADMIN_FORCED, reason):
        raise NotFound(f"Machine {machine_id} has no seat any more.")
    return machine


def _full(facts: Facts) -> Activation:
    return Activation(False, None, facts.seats_taken, facts.max_machines, Reason.TOO_MANY_MACHINES)


def _opened(presented: Presented, fingerprint: str) -> tuple[Payload, Signer, bytes]:
    if presented.signed is None or presented.signer is None:
        reason = presented.reason or Reason.BAD_FORMAT
        raise BadRequest(
            "This license key was not signed by this shop."
            if reason is Reason.BAD_SIGNATURE
            else "This is not a license key."
        )
    if not fingerprint:
        raise BadRequest("The field `fingerprint` is empty.")
    return presented.signed.payload, presented.signer, fingerprint_hash(fingerprint)
