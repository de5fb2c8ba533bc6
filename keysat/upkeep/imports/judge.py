"""What becomes of a subscription of the published server: decided from values alone.

There each settled renewal made another license and another subscription (D-1), and a lapse or a cancellation changed no
license. So of a buyer's running subscriptions of one tier the oldest goes on and the others arrive cancelled; what is
not running leaves its license as it was (`decisions.md`, Operators, webhooks out: Import).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from keysat.upkeep.imports.source import Cycle, Subscription, moment

QUIET = timedelta(days=7)
"""After the move, in which nothing is billed and nothing lapses."""
RUNS = frozenset({"active", "past_due"})


@dataclass(frozen=True, slots=True)
class Standing:
    """`paid_through` of the subscription as it arrives; `last_order` paid the cycle that ends then, where one did."""

    runs: bool
    paid_through: datetime
    cycle_number: int
    last_order: UUID | None
    was_extended: bool = False


def doubled(subscriptions: Iterable[Subscription], buyers: Mapping[UUID, str]) -> set[UUID]:
    """Ids of the running ones that an older one of the same buyer and tier stands for.

    `buyers`: by license that is not revoked, who holds it: an address, or the license itself of who told none.
    """
    oldest: dict[tuple[str, UUID], UUID] = {}
    others: set[UUID] = set()
    for row in sorted(subscriptions, key=lambda row: (str(moment(row.started_at)), str(row.id))):
        buyer = buyers.get(row.license_id)
        if row.status in RUNS and buyer and oldest.setdefault((buyer, row.policy_id), row.id) != row.id:
            others.add(row.id)
    return others


def standing(
    row: Subscription, cycles: Iterable[Cycle], expires_at: datetime | None, now: datetime, *, runs: bool
) -> Standing:
    """What was paid for ends with its license (`expires_at`, which no renewal moved), or with the last paid cycle."""
    settled = [cycle for cycle in cycles if cycle.invoice_status == "settled"]
    last = max(settled, key=lambda cycle: cycle.cycle_number, default=None)
    started = moment(row.started_at) or now
    known = [ends for ends in (expires_at, moment(last.cycle_end_at) if last else None) if ends is not None]
    ends = max(known, default=started + timedelta(days=row.period_days))
    extended = runs and ends < now + QUIET
    return Standing(
        runs=runs,
        paid_through=now + QUIET if extended else ends,
        cycle_number=last.cycle_number if last else 1,
        last_order=last.invoice_id if last else None,
        was_extended=extended,
    )
