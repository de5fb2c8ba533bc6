"""Which tier a license enjoys, and until when (`product.md`, beginning and 4). Pure.

Verdict, limits, pages and the signed key ask here and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from keysat.licenses.facts import Facts
from keysat.licenses.tables import License

Held = License | Facts
"""What of a license matters here: its tier, its end and its grace."""


class Source(StrEnum):
    OWN = "own"
    GRANT = "grant"


@dataclass(frozen=True, slots=True)
class Grant:
    """A tier for a time, beside the license's own."""

    tier: UUID
    rank: int
    starts_at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class PaidTime:
    """A running subscription: what it is paid through is the truth about the license's own end."""

    paid_through: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    tier: UUID | None
    until: datetime | None
    """Without grace; None: for ever."""
    source: Source


def standing(
    license: Held, grants: Sequence[Grant], subscription: PaidTime | None, now: datetime, *, own_rank: int = 0
) -> Standing:
    """The license's own tier and its running grants: the highest rank wins, then the latest end, then its own."""
    own_end = subscription.paid_through if subscription else license.expires_at
    best = Standing(license.policy_id, own_end, Source.OWN)
    over = with_grace(own_end, license.grace_seconds)
    running = over is None or now < over
    best_rank = own_rank
    for grant in grants:
        if grant.starts_at > now or (grant.until is not None and grant.until <= now):
            continue
        better = (grant.rank, *_lateness(grant.until)) > (best_rank, *_lateness(best.until))
        if better or not running:
            best, best_rank, running = Standing(grant.tier, grant.until, Source.GRANT), grant.rank, True
    return best


def grace_end(license: Held) -> datetime | None:
    """The first moment at which the license is over; None: never."""
    return with_grace(license.expires_at, license.grace_seconds)


def with_grace(end: datetime | None, grace_seconds: int) -> datetime | None:
    """The one place that adds grace to an end. What goes beyond the calendar ends with it."""
    if end is None:
        return None
    try:
        return end + timedelta(seconds=grace_seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=end.tzinfo)


def signed_expiry(license: License) -> int:
    """Unix seconds for the key, 0 for never. A subscribed license's grace is in it: our outage locks nobody out."""
    end = grace_end(license) if license.is_subscribed else license.expires_at
    return max(1, int(end.timestamp())) if end is not None else 0


def _lateness(until: datetime | None) -> tuple[bool, datetime]:
    """In the order of the ends; for ever is the latest."""
    return until is None, until or datetime.max.replace(tzinfo=UTC)
