"""The generic cell rate algorithm: a token bucket whose whole memory is one time (as in Boulder's `ratelimits`).

The theoretical arrival time (`tat`) is when the bucket will be full again. A refused request spends nothing.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

from keysat.kit.money import half_up

_SECOND = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` requests at once, then one more each `refill_seconds`."""

    burst: int
    refill_seconds: Fraction | int
    interval: timedelta = field(init=False)

    def __post_init__(self) -> None:
        microseconds = half_up(Fraction(self.refill_seconds) * 1_000_000)
        object.__setattr__(self, "interval", timedelta(microseconds=microseconds))
        if self.burst < 1 or self.interval < _MICROSECOND:
            raise ValueError(f"a limit lets something through, and counts in microseconds: {self}")


@dataclass(frozen=True, slots=True)
class Decision:
    allowed: bool
    tat: datetime
    """To be kept, and handed in with the next request. Once past, it may be forgotten."""
    remaining: int
    retry_after_seconds: int
    """0 when allowed, else at least 1."""
    reset_seconds: int
    """Until the whole burst is there again."""


def take(tat: datetime | None, limit: Limit, now: datetime) -> Decision:
    """One request. `tat` None is a bucket never used."""
    interval = limit.interval
    capacity = limit.burst * interval
    # Never further ahead than an empty bucket: a clock that was set back locks nobody out.
    before = now if tat is None else min(max(tat, now), now + capacity)
    after = before + interval
    missing = after - now - capacity
    if missing > timedelta(0):
        return Decision(False, before, 0, _whole_seconds(missing), _whole_seconds(before - now))
    return Decision(True, after, -missing // interval, 0, _whole_seconds(after - now))


def in_turn(tat: datetime | None, limit: Limit, now: datetime) -> tuple[datetime, datetime]:
    """One that may wait: the `tat` to be kept, and when its turn is, now at the earliest. None is refused."""
    after = (now if tat is None else max(tat, now)) + limit.interval
    return after, max(now, after - limit.burst * limit.interval)


def _whole_seconds(delay: timedelta) -> int:
    """Rounded up."""
    return -(-delay // _SECOND)
