"""Machines: the seats they had there, as far as there are seats. More than the cap: the ones seen last stay."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID, uuid5

from sqlalchemy import Connection, bindparam, select, update

from keysat.kit.licensekey import fingerprint_hash
from keysat.licenses.happenings import Cause, MachineActivated
from keysat.licenses.seats import release
from keysat.licenses.tables import License, Machine
from keysat.upkeep.imports.fields import Values, alike
from keysat.upkeep.imports.move import AT_ONCE, Move, Written
from keysat.upkeep.imports.source import Row
from keysat.upkeep.rows import parted

TOO_MANY = "imported_over_cap"  # why a machine was released


async def bring_machines(move: Move, licenses: Written) -> None:
    """Nobody who has a seat here loses it to one who had his there. Released there is released here, if idle here."""
    caps = {row["id"]: row["max_machines"] for row in licenses.new}
    caps |= {row["id"]: here["max_machines"] for row, here in licenses.known}
    made = move.fitting("machines", Machine, move.read("machines", "machines", _machine))
    came_before = {row["id"] for row, _ in licenses.known}
    held = await _held(move, came_before)
    await _release(move, made, held)
    seen = {machine.license_id for machine in held.values()}
    rows = [*made, *(_bound(row) for row in licenses.all if row["fingerprint"] and row["id"] not in seen)]
    taken = {(one.license_id, one.fingerprint_hash) for one in held.values() if one.deactivated_at is None}
    written = await move.write("machines", Machine, _seated(move, rows, held, taken, caps))
    active = [row for row in written.new if row["deactivated_at"] is None]
    await _count_seats(move, Counter(row["license_id"] for row in active))
    for row in active:
        if row["license_id"] in came_before:
            move.work.record(MachineActivated(row["license_id"], row["id"], row["fingerprint_hash"]))


async def _held(move: Move, licenses: Iterable[UUID]) -> dict[UUID, Machine]:
    """By id, all that these licenses have or had here. Their rows stay held, so that nobody takes a seat meanwhile."""
    held: dict[UUID, Machine] = {}
    for part in parted(sorted(licenses), AT_ONCE):
        await move.work.session.execute(
            select(License.id).where(License.id.in_(part)).order_by(License.id).with_for_update()
        )
        rows = await move.work.session.scalars(select(Machine).where(Machine.license_id.in_(part)))
        held |= {row.id: row for row in rows}
    return held


async def _release(move: Move, made: Iterable[Values], held: Mapping[UUID, Machine]) -> None:
    for row in made:
        here = held.get(row["id"])
        if here is None or row["deactivated_at"] is None or here.deactivated_at is not None:
            continue
        if here.last_seen_at > row["deactivated_at"]:
            move.report.differ("machines", here.id, "was deactivated before it was seen here")
        elif await release(move.work, here, Cause.ADMIN_FORCED, row["deactivation_reason"]):
            here.deactivated_at = move.work.now
            move.report.changed["machines released"] += 1


def _seated(
    move: Move,
    rows: Iterable[Values],
    held: Mapping[UUID, Machine],
    taken: set[tuple[UUID, str]],
    caps: Mapping[UUID, int],
) -> Sequence[Values]:
    """Each with its seat, or without; those that a license has here under another id are left out."""
    seats: dict[UUID, dict[str, Values]] = {}
    done: list[Values] = []
    for row in rows:
        if row["deactivated_at"] is not None or row["id"] in held:
            done.append(row)
        elif (row["license_id"], row["fingerprint_hash"]) not in taken:
            seats.setdefault(row["license_id"], {}).setdefault(row["fingerprint_hash"], row)
    used = Counter(license_id for license_id, _ in taken)
    for license_id, machines in seats.items():
        last_seen = sorted(machines.values(), key=lambda machine: machine["last_seen_at"], reverse=True)
        room = max(0, caps[license_id] - used[license_id]) if caps[license_id] else len(last_seen)
        done += last_seen[:room]
        done += [{**row, "deactivated_at": move.work.now, "deactivation_reason": TOO_MANY} for row in last_seen[room:]]
        for row in last_seen[room:]:
            move.report.differ("machines", row["id"], "has a seat, and all seats of its license are taken here")
    return done


async def _count_seats(move: Move, taken: Mapping[UUID, int]) -> None:
    if not taken:
        return
    more = update(License).where(License.id == bindparam("license"))
    more = more.values(seats_taken=License.seats_taken + bindparam("count"))
    counts = [{"license": license_id, "count": count} for license_id, count in taken.items()]
    connection = await move.work.session.connection()
    await connection.run_sync(Connection.execute, more, counts)


def _machine(move: Move, row: Row) -> Values:
    same = "id", "license_id", "fingerprint_hash", "hostname", "platform", "activated_at", "deactivation_reason"
    machine = alike(row, move.work.now, Machine, *same)
    seen, gone = row.moment("last_heartbeat_at"), row.words("deactivated_at")
    return machine | {
        "last_seen_at": seen or machine["activated_at"],
        "deactivated_at": move.at(row, "deactivated_at") if gone else None,
    }


def _bound(license: Values) -> Values:
    """A license for one machine kept the fingerprint itself; here it is a seat like any other (D-33)."""
    return {
        "id": uuid5(license["id"], "machine"),
        "license_id": license["id"],
        "fingerprint_hash": fingerprint_hash(license["fingerprint"]).hex(),
        "activated_at": license["issued_at"],
        "last_seen_at": license["issued_at"],
        "deactivated_at": None,
    }
