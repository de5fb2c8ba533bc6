"""What becomes of a row of the published server: decided from values alone.

There each settled renewal made another license and another subscription (D-1), and a lapse or a cancellation changed no
license. So of a buyer's running subscriptions of one tier the oldest goes on and the others arrive cancelled; what is
not running leaves its license as it was (`decisions.md`, Operators, webhooks out: Import).
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Enum, String, inspect

from keysat.infra.tables import Base
from keysat.upkeep.imports.source import Senseless

QUIET = timedelta(days=7)
"""After the move, in which nothing is billed and nothing lapses."""
AHEAD_MAX = timedelta(days=3660)
"""As far as anything may be paid ahead: twice the longest period."""
RUNS = frozenset({"active", "past_due"})
NOUNS = {
    "merchant_profiles": "a merchant profile",
    "products": "a product",
    "policies": "a tier",
    "discount_codes": "a code",
    "orders": "an order",
    "licenses": "a license",
}
"""Of what a row may hang on, by our tables."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a table of ours takes, by attribute: the texts with their length, and the tables that are referred to."""

    texts: tuple[tuple[str, int | None], ...]
    references: tuple[tuple[str, str], ...]


@cache
def shape_of(model: type[Base]) -> Shape:
    columns = [(attribute.key, attribute.columns[0]) for attribute in inspect(model).column_attrs]
    kinds = [(key, column.type) for key, column in columns]
    return Shape(
        tuple((key, kind.length) for key, kind in kinds if isinstance(kind, String) and not isinstance(kind, Enum)),
        tuple((key, reference.column.table.name) for key, column in columns for reference in column.foreign_keys),
    )


def misfit(model: type[Base], values: Mapping[str, Any], here: Mapping[str, AbstractSet[UUID]]) -> str | None:
    """Why the table cannot take the row; None: it can. `here`: ids that can be named, by table."""
    shape = shape_of(model)
    for key, table in shape.references:
        value = values.get(key)
        if value is not None and table in NOUNS and value not in here[table]:
            return f"names {NOUNS[table]} that did not come"
    for key, most in shape.texts:
        value = values.get(key)
        if value is not None and "\0" in value:
            return f"has a {key} that is no text"
        if value is not None and most is not None and len(value) > most:
            return f"has a {key} of {len(value)} characters, and {most} are kept"
    return None


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription of the published server."""

    id: UUID
    license_id: UUID
    policy_id: UUID
    period_days: int
    listed_currency: str
    listed_value: int
    status: str
    started_at: datetime
    cancelled_at: datetime
    has_card: bool


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
    was_extended: bool = False


def doubled(subscriptions: Iterable[Subscribed], buyers: Mapping[UUID, str]) -> set[UUID]:
    """Ids of the running ones that an older one of the same buyer and tier stands for.

    `buyers`: by license that is not revoked, who holds it: an address, or the license itself of who told none.
    """
    oldest: dict[tuple[str, UUID], UUID] = {}
    others: set[UUID] = set()
    for row in sorted(subscriptions, key=lambda row: (row.started_at, str(row.id))):
        buyer = buyers.get(row.license_id)
        if row.status in RUNS and buyer and oldest.setdefault((buyer, row.policy_id), row.id) != row.id:
            others.add(row.id)
    return others


def standing(
    row: Subscribed, paid: Iterable[PaidCycle], expires_at: datetime | None, now: datetime, *, runs: bool
) -> Standing:
    """What was paid for ends with its license (`expires_at`, which no renewal moved), or with the last paid cycle.

    Raises Senseless for what would be paid for longer than `AHEAD_MAX`.
    """
    last = max(paid, key=lambda cycle: cycle.number, default=None)
    known = [ends for ends in (expires_at, last.ends_at if last else None) if ends is not None]
    if max([row.started_at, *known]) > now + AHEAD_MAX:
        raise Senseless("is paid for longer than anything can be")
    ends = max(known, default=row.started_at + timedelta(days=row.period_days))
    extended = runs and ends < now + QUIET
    return Standing(
        runs=runs,
        paid_through=now + QUIET if extended else ends,
        cycle_number=last.number if last else 1,
        last_order=last.invoice_id if last else None,
        was_extended=extended,
    )
