"""What a change of tier costs now. Pure and exact: by the second and below, rounded half up once (`kit/money`).

Contract 7.2, with two of its defects mended: time is not counted in whole days (W-21), and another period begins a new
calendar instead of keeping the old one's date (W-21, D-32). Downgrades are not prorated: they cost nothing, and hold
from the end of what is paid.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from keysat.kit.errors import Conflict
from keysat.kit.money import Money, half_up
from keysat.kit.periods import Period

_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Price:
    """The whole price tuple of a tier: so much for each period, or once: for good, or for a time."""

    money: Money
    period: Period | None
    is_timed: bool = False
    """Bought once, and it ends. Without a period only."""


@dataclass(frozen=True, slots=True)
class Paid:
    """A cycle that is paid and not over: neither trial nor grace. `worth` is that of its row, for the whole of it.

    The time of a license that was bought once, and ends, is one too.

    `money` is the `paid` of its row. It is less than `worth` after an upgrade, which costs only what is left.
    """

    starts_at: datetime
    ends_at: datetime
    worth: int
    money: int

    def left(self, now: datetime) -> Fraction:
        """The part that is still to come, 1 at its beginning and 0 from its end on."""
        whole = (self.ends_at - self.starts_at) // _MICROSECOND
        rest = min(max((self.ends_at - now) // _MICROSECOND, 0), whole)
        return Fraction(rest, whole) if whole else Fraction(0)


@dataclass(frozen=True, slots=True)
class Proration:
    """`charge` is due at once, and never negative.

    `is_anew`: with it a new cycle of the target begins at once, which is worth `worth`; else what is paid goes on as
    the target's, and each cycle of it is worth `worth` more. None when the target is for good.
    """

    charge: Money
    is_anew: bool
    worth: int | None


def prorate(current: Price, paid: Sequence[Paid], target: Price, now: datetime) -> Proration:
    """`current` is the list price of the tier that the license has; nothing is `paid` of a license that is for good.

    There are two paid cycles when a renewal was paid ahead. Raises Conflict when the two tiers are priced in different
    currencies.
    """
    if current.money.currency != target.money.currency:
        raise Conflict("The two tiers are priced in different currencies. Ask the seller to change it.")
    new, left = target.money.minor, sum((cycle.left(now) for cycle in paid), Fraction(0))
    unused = half_up(sum((cycle.worth * cycle.left(now) for cycle in paid), Fraction(0)))
    is_once = current.period is None
    if target.period is None:
        whole = sum(cycle.money for cycle in paid if cycle.left(now))  # contract 7.2: a cycle that runs counts in full
        ending = unused if target.is_timed else whole  # time for time, or each rank would be another year for cents
        credit = current.money.minor if is_once and not current.is_timed else ending
        return Proration(_charge(target, new - credit), False, None)
    if not left or is_once:
        return Proration(target.money, True, new)
    if current.period == target.period:
        more = new - current.money.minor
        return Proration(_charge(target, half_up(more * left)), False, more)
    return Proration(_charge(target, new - unused), True, new)


def shares(charge: int, lefts: Sequence[Fraction]) -> list[int]:
    """Of what an upgrade has cost, for each of the cycles that it was paid for, by what is left of them.

    In all exactly the charge.
    """
    whole, given, parts = sum(lefts, Fraction(0)), 0, list[int]()
    for place in range(1, len(lefts) + 1):
        upto = half_up(charge * sum(lefts[:place], Fraction(0)) / whole) if whole else 0
        parts.append(upto - given)
        given = upto
    return parts


def _charge(target: Price, minor: int) -> Money:
    return Money(target.money.currency, max(0, minor))
