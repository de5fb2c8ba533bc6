"""Which tier a license enjoys, and until when (`product.md`, beginning and 4). Pure.

Verdict, limits, pages and the signed key ask here and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
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
    best = Standing(license.policy_id, subscription.paid_through if subscription else license.expires_at, Source.OWN)
    running = best.until is None or now < best.until + timedelta(seconds=license.grace_seconds)
    best_rank = own_rank
    for grant in grants:
        if grant.starts_at > now or (grant.until is not None and grant.until <= now):
            continue
        better = (grant.rank, *_lateness(grant.until)) > (best_rank, *_lateness(best.until))
        if better or not running:
            best, best_rank, running = Standing(grant.tier, grant.until, Source.GRANT), grant.rank, True
    return best


def grace_end(license: Held) -> datetime | None:
    """The first moment at which the license is over; None: never. The one place that adds grace to an end."""
    if license.expires_at is None:
        return None
    try:
        return license.expires_at + timedelta(seconds=license.grace_seconds)
    except OverflowError:
        return datetime.max.replace(tzinfo=license.expires_at.tzinfo)


def signed_expiry(license: Held, *, is_subscribed: bool) -> int:
    """Unix seconds for the key, 0 for never. A subscribed license's grace is in it: our outage locks nobody out."""
    end = grace_end(license) if is_subscribed else license.expires_at
    return max(1, int(end.timestamp())) if end is not None else 0


def _lateness(until: datetime | None) -> tuple[bool, float]:
    return (until is None, until.timestamp() if until else 0)
