"""What becomes of a subscription of the published server: decided from values alone.

There each settled renewal made another license and another subscription (D-1), and a lapse or a cancellation changed no
license. So of a buyer's running subscriptions of one tier the oldest goes on and the others arrive cancelled; what is
not running leaves its license as it was (`decisions.md`, Operators, webhooks out: Import).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from keysat.upkeep.imports.fields import Values
from keysat.upkeep.imports.source import Senseless

QUIET = timedelta(days=7)
"""After the move, in which nothing is billed and nothing lapses."""
AHEAD_MAX = timedelta(days=3660)
"""As far as anything may be paid ahead: twice the longest period."""
RUNS = frozenset({"active", "past_due"})


@dataclass(frozen=True, slots=True)
class PaidCycle:
    invoice_id: UUID
    number: int
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """`paid_through` of the subscription as it arrives; `last_order` paid the cycle that ends then, where one did."""

    runs: bool
    paid_through: datetime
    cycle_number: int
    last_order: UUID | None
    was_extended: bool


def doubled(subscriptions: Iterable[Values], buyers: Mapping[UUID, str]) -> set[UUID]:
    """Ids of the running ones that an older one of the same buyer and tier stands for.

    `buyers`: by license that is not revoked, who holds it: an address, or the license itself of who told none.
    """
    oldest: dict[tuple[str, UUID], UUID] = {}
    others: set[UUID] = set()
    for row in sorted(subscriptions, key=lambda row: (row["started_at"], str(row["id"]))):
        buyer = buyers.get(row["license_id"])
        if row["was"] in RUNS and buyer and oldest.setdefault((buyer, row["policy_id"]), row["id"]) != row["id"]:
            others.add(row["id"])
    return others


def standing(
    row: Values, paid: Iterable[PaidCycle], expires_at: datetime | None, now: datetime, *, runs: bool
) -> Standing:
    """What was paid for ends with its license (`expires_at`, which no renewal moved), or with the last paid cycle.

    Raises Senseless for what would be paid for longer than `AHEAD_MAX`.
    """
    last = max(paid, key=lambda cycle: cycle.number, default=None)
    known = [ends for ends in (expires_at, last and last.ends_at) if ends is not None]
    if max([row["started_at"], *known]) > now + AHEAD_MAX:
        raise Senseless("is paid for longer than anything can be")
    ends = max(known, default=row["started_at"] + timedelta(days=row["period_count"]))
    extended = runs and ends < now + QUIET
    return Standing(
        runs=runs,
        paid_through=now + QUIET if extended else ends,
        cycle_number=last.number if last else 1,
        last_order=last.invoice_id if last else None,
        was_extended=extended,
    )
