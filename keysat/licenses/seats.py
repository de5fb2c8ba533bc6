"""Seats: one binding model for one machine or many. A seat is a row of `machines` that is not deactivated.

Every change of a license's seats first locks the license's row, so they queue, one license at a time. The cap is the
guard of one UPDATE all the same, and the unique index refuses a machine that is there already.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import Table, bindparam, or_, select, update

from keysat.infra.errand import Errand
from keysat.infra.events import Actor
from keysat.infra.store import Store
from keysat.infra.telemetry import COARSE_AGE
from keysat.infra.work import Work
from keysat.kit.errors import Unavailable
from keysat.licenses.facts import Facts
from keysat.licenses.happenings import Cause, LicenseSeatLimitReached, MachineActivated, MachineDeactivated
from keysat.licenses.tables import License, Machine, SeatRefusal

TEXT_MAX = 255
SEEN_JOB = Actor("job:last-seen")
TOLD_EVERY = timedelta(hours=1)
_told_at = select(SeatRefusal.told_at).where(
    SeatRefusal.license_id == bindparam("license", type_=SeatRefusal.license_id.type)
)


@dataclass(frozen=True, slots=True)
class Device:
    """What an app tells of the machine it runs on; `fingerprint_hash` is 64 hex digits."""

    fingerprint_hash: str
    hostname: str | None = None
    platform: str | None = None


async def active_machine(work: Work, license_id: UUID, fingerprint_hash: str) -> Machine | None:
    return await work.session.scalar(
        select(Machine).where(
            Machine.license_id == license_id,
            Machine.fingerprint_hash == fingerprint_hash,
            Machine.deactivated_at.is_(None),
        )
    )


async def bind(work: Work, license: License, device: Device) -> Machine | None:
    """The machine's seat, the one it has or a new one; None when all are taken. `license` comes from `Work.hold`."""
    there = await active_machine(work, license.id, device.fingerprint_hash)
    if there is not None:
        return there
    if not await _take(work, license.id):
        idle = await _longest_idle(work, license)
        if idle is None:
            return None
        await release(work, idle, Cause.IDLE)
        if not await _take(work, license.id):  # the cap was lowered below what is taken
            return None
    machine = Machine(
        id=work.new_id(),
        license_id=license.id,
        fingerprint_hash=device.fingerprint_hash,
        hostname=_tidy(device.hostname),
        platform=_tidy(device.platform),
        activated_at=work.now,
        last_seen_at=work.now,
    )
    work.session.add(machine)
    await work.session.flush()
    work.record(MachineActivated(license.id, machine.id, machine.fingerprint_hash))
    return machine


async def release(work: Work, machine: Machine, cause: Cause, words: str | None = None) -> bool:
    """Give the seat back; False when it was given back already. The caller holds the license.

    `words` are what the app says of it: kept in the row alone, since they may name a person.
    """
    done = await work.session.execute(
        update(Machine)
        .where(Machine.id == machine.id, Machine.deactivated_at.is_(None))
        .values(deactivated_at=work.now, deactivation_reason=_tidy(words) or cause)
        .returning(Machine.id)
        .execution_options(synchronize_session=False)
    )
    if done.first() is None:
        return False
    await work.session.execute(
        update(License)
        .where(License.id == machine.license_id)
        .values(seats_taken=License.seats_taken - 1)
        .execution_options(synchronize_session=False)
    )
    work.record(
        MachineDeactivated(
            license_id=machine.license_id,
            machine_id=machine.id,
            fingerprint_hash=machine.fingerprint_hash,
            reason=cause,
        )
    )
    return True


async def shrink(work: Work, license_id: UUID, cause: Cause) -> int:
    """After the cap was lowered: the machines seen last stay, the others are released. Returns how many."""
    license = await work.hold(License, license_id)
    if license.max_machines == 0:
        return 0
    surplus = (
        await work.session.scalars(
            select(Machine)
            .where(Machine.license_id == license_id, Machine.deactivated_at.is_(None))
            .order_by(Machine.last_seen_at.desc(), Machine.id.desc())
            .offset(license.max_machines)
        )
    ).all()
    for machine in sorted(surplus, key=lambda machine: machine.id):
        await release(work, machine, cause)
    return len(surplus)


async def tell_full(errand: Errand, facts: Facts) -> None:
    """All seats are taken: that is an event once an hour, and a read the other times. A busy shop tells it later."""
    now = errand.now
    told = await errand.store.point(_told_at, facts.license_id)
    if told is not None and told[0] > now - TOLD_EVERY:
        return
    with suppress(Unavailable):
        async with errand.work() as work:
            row, new = SeatRefusal, {"license_id": facts.license_id, "told_at": now}
            is_old = row.told_at <= now - TOLD_EVERY
            done = await work.session.execute(
                work.insert(row)
                .values(new)
                .on_conflict_do_update(index_elements=["license_id"], set_=new, where=is_old)
                .returning(row.license_id)
            )
            if done.first() is not None:
                work.record(LicenseSeatLimitReached(facts.license_id, facts.product_id, facts.max_machines))


async def touch_seen(work: Work, seen: Mapping[UUID, datetime]) -> None:
    """Write when machines were last seen, where what stands is older than `COARSE_AGE`."""
    if not seen:
        return
    table = cast("Table", Machine.__table__)
    await work.session.execute(
        update(table)
        .where(table.c.id == bindparam("machine"), table.c.last_seen_at <= bindparam("before"))
        .values(last_seen_at=bindparam("at")),
        # Sorted, so that two daemons that write the same machines lock them in the same order.
        [{"machine": machine_id, "before": at - COARSE_AGE, "at": at} for machine_id, at in sorted(seen.items())],
    )


def seen_writer(store: Store) -> Callable[[Mapping[UUID, datetime]], Awaitable[None]]:
    """`touch_seen` in a transaction of its own: what telemetry is given as its `on_coarse`."""

    async def write(seen: Mapping[UUID, datetime]) -> None:
        async with store.work(max(seen.values()), SEEN_JOB) as work:
            await touch_seen(work, seen)

    return write


async def _take(work: Work, license_id: UUID) -> bool:
    taken = await work.session.execute(
        update(License)
        .where(License.id == license_id)
        .where(or_(License.max_machines == 0, License.seats_taken < License.max_machines))
        .values(seats_taken=License.seats_taken + 1)
        .returning(License.id)
        .execution_options(synchronize_session=False)
    )
    return taken.first() is not None


async def _longest_idle(work: Work, license: License) -> Machine | None:
    if license.seats_evict_after_days is None:
        return None
    return await work.session.scalar(
        select(Machine)
        .where(
            Machine.license_id == license.id,
            Machine.deactivated_at.is_(None),
            Machine.last_seen_at <= work.now - timedelta(days=license.seats_evict_after_days),
        )
        .order_by(Machine.last_seen_at, Machine.id)
        .limit(1)
    )


def _tidy(text: str | None) -> str | None:
    """What a stranger's app says of its machine: cut, and without NUL, which PostgreSQL cannot hold."""
    return text.replace("\0", "")[:TEXT_MAX] if text is not None else None
