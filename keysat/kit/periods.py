"""Calendar periods that never drift: every cycle is reckoned from the anchor, never from the cycle before it.

Wall time is kept in the shop's zone, across changes of summer time. A wall time that does not exist (the clock jumps
over it) is read with the offset from before the jump, so it comes out later by the length of the jump; one that
exists twice is its first occurrence (PEP 495, fold 0). A month without the anchor's day ends on its last one.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from fractions import Fraction
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from keysat.kit.errors import BadRequest
from keysat.kit.money import half_up


class Unit(StrEnum):
    DAY = "day"
    MONTH = "month"
    YEAR = "year"


ZONE = "UTC"  # the shop's calendar
COUNT_MAX = {Unit.DAY: 1830, Unit.MONTH: 60, Unit.YEAR: 5}

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """One day to five years. Raises BadRequest outside of COUNT_MAX."""

    count: int
    unit: Unit

    def __post_init__(self) -> None:
        if not 1 <= self.count <= COUNT_MAX[self.unit]:
            raise BadRequest(f"a period has 1 to {COUNT_MAX[self.unit]} {self.unit}s, not {self.count}")


def zone_of(name: str) -> tzinfo:
    """The IANA time zone; UTC needs no time zone database. Raises BadRequest for a name that is not in it."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, such as America
        raise BadRequest(
            f"{name[:64]!r} is not a time zone: give an IANA name, such as Europe/Zurich, or UTC"
        ) from None


def cycle_end(anchor: datetime, period: Period, cycles: int, zone: str) -> datetime:
    """The end of the given cycle, in UTC. Cycle 1 begins at the anchor; the end of cycle 0 is the anchor itself."""
    if cycles == 0:
        return anchor.astimezone(UTC)  # also when the anchor's wall time exists twice and it is the second
    local = anchor.astimezone(zone_of(zone))
    steps = cycles * period.count
    match period.unit:
        case Unit.DAY:
            moved = local + steps * _DAY
        case Unit.MONTH:
            moved = _months_later(local, steps)
        case Unit.YEAR:
            moved = _months_later(local, 12 * steps)
    return moved.astimezone(UTC)


def one_after(start: datetime, period: Period) -> datetime:
    """The end of a period that begins then, in the shop's calendar."""
    return cycle_end(start, period, 1, ZONE)


def length_days(start: datetime, end: datetime) -> int:
    """Whole days of 24 hours, rounded half up: the `renewal_period_days` of the SDKs."""
    microseconds = (end - start) // timedelta(microseconds=1)
    return half_up(Fraction(microseconds, _DAY // timedelta(microseconds=1)))


def _months_later(local: datetime, months: int) -> datetime:
    year, month0 = divmod(12 * local.year + local.month - 1 + months, 12)
    day = min(local.day, monthrange(year, month0 + 1)[1])
    return local.replace(year=year, month=month0 + 1, day=day, fold=0)
