"""What a change of tier costs now. Pure and exact: by the second and below, rounded half up once (`kit/money`).

Contract 7.2, with two of its defects mended: time is not counted in whole days (W-21), and another period begins a new
calendar instead of keeping the old one's date (W-21, D-32). Downgrades are not prorated: they cost nothing, and hold
from the end of what is paid.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from keysat.kit.errors import Conflict
from keysat.kit.money import Money, half_up
from keysat.kit.periods import Period

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Price:
    """The whole price tuple of a tier: so much for each period, or once for good."""

    money: Money
    period: Period | None


@dataclass(frozen=True, slots=True)
class Paid:
    """The cycle that runs and is paid: neither a trial, nor grace. `worth` is that of its row, for the whole of it."""

    starts_at: datetime
    ends_at: datetime
    worth: int

    def left(self, now: datetime) -> Fraction:
        """The part that is still to come, 1 at its beginning and 0 from its end on."""
        whole = (self.ends_at - self.starts_at) // _MICROSECOND
        rest = min(max((self.ends_at - now) // _MICROSECOND, 0), whole)
        return Fraction(rest, whole) if whole else Fraction(0)


@dataclass(frozen=True, slots=True)
class Proration:
    """`charge` is due at once, and never negative.

    `is_anew`: with it a new cycle of the target begins at once; else the cycle that runs goes on as the target's.
    `worth` is what that cycle is worth when the charge is paid, for the whole of it; None when the target is for good.
    """

    charge: Money
    is_anew: bool
    worth: int | None


def prorate(current: Price, paid: Paid | None, target: Price, now: datetime) -> Proration:
    """`current` is the list price of the tier that the license has; `paid` is None for a license that is for good.

    Raises Conflict when the two are priced in different currencies.
    """
    if current.money.currency != target.money.currency:
        raise Conflict("The two tiers are priced in different currencies. Ask the seller to change it.")
    new = target.money.minor
    if target.period is None:
        return Proration(_charge(target, new - _credit_for_good(current, paid, now)), False, None)
    if paid is None or paid.left(now) == 0:
        return Proration(target.money, True, new)
    left = paid.left(now)
    if current.period == target.period:
        more = new - current.money.minor
        return Proration(_charge(target, half_up(more * left)), False, max(0, paid.worth + more))
    return Proration(_charge(target, half_up(new - paid.worth * left)), True, new)


def _credit_for_good(current: Price, paid: Paid | None, now: datetime) -> int:
    """What was bought for good counts in full, and so does a cycle while it runs (contract 7.2)."""
    if current.period is None:
        return current.money.minor
    return paid.worth if paid is not None and paid.left(now) else 0


def _charge(target: Price, minor: int) -> Money:
    return Money(target.money.currency, max(0, minor))
