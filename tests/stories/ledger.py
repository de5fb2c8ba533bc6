"""What subscriptions should have come to, reckoned from outside by what was told and what was paid.

The shop's own books are its orders and cycles. This one uses no verb of ours: it has its own calendar (`months_later`)
and its own proration (stretches of time, each with its price, exact fractions), and compares.
"""

from calendar import monthrange
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from math import floor
from typing import Any

from keysat.checkout.tables import Order, PaidHow
from keysat.licenses.tables import License
from keysat.subscriptions.tables import Cycle, Subscription

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Tier:
    """`months` None: for good."""

    slug: str
    value: int
    months: int | None
    grace_days: int = 7
    lead_days: int = 3


@dataclass(frozen=True)
class Bought:
    """A stretch of time, and what it cost in minor units."""

    start: datetime
    end: datetime
    value: Fraction

    def after(self, moment: datetime) -> Fraction:
        """What of it is still to come."""
        whole = self.end - self.start
        rest = min(max(self.end - moment, timedelta()), whole)
        return self.value * Fraction(rest // MICROSECOND, whole // MICROSECOND) if whole else Fraction(0)

    def until(self, moment: datetime) -> "Bought":
        return Bought(self.start, min(self.end, moment), self.value - self.after(moment))


MICROSECOND = timedelta(microseconds=1)


@dataclass
class Account:
    """One license that is paid by the period. Fed with what is told, in its order; wrong is what does not fit."""

    tier: Tier
    price: int
    anchor: datetime
    end: datetime
    number: int
    cut: tuple[int, int] = (0, 0)
    """How many per cent a code takes off, and up to which cycle."""
    periods: int = 0
    """Since the anchor."""
    status: str = "active"
    months: int = 1
    next_price: tuple[int, int] | None = None
    bought: list[Bought] = field(default_factory=list[Bought])
    bounds: dict[int, tuple[datetime, datetime]] = field(default_factory=dict[int, tuple[datetime, datetime]])
    paid_orders: set[str] = field(default_factory=set[str])
    paid: int = 0
    rounded: Fraction = Fraction(0)
    """What rounding has added to what was paid."""
    waived: Fraction = Fraction(0)
    """What a person took for other than it is worth: a stale change that was accepted."""
    for_good: bool = False
    resting: bool = False
    """It was paused, so it has no grace."""

    waives: bool = False
    """The order that is told of was accepted by a person, perhaps at the price of another day."""

    spent: dict[int, int] = field(default_factory=dict[int, int])
    """Money for each cycle: what an upgrade takes of it is that of the cycles of which something was left."""
    past: list[tuple[datetime, tuple[object, ...]]] = field(default_factory=list[tuple[datetime, tuple[object, ...]]])

    @property
    def over(self) -> datetime:
        """The end of grace."""
        return self.end if self.resting else self.end + timedelta(days=self.tier.grace_days)

    def list_price(self, number: int) -> int:
        return self.next_price[1] if self.next_price and number >= self.next_price[0] else self.price

    def cost(self, number: int) -> int:
        listed, (percent, last) = self.list_price(number), self.cut
        return listed - (listed * percent // 100 if number <= last else 0)

    def as_is(self) -> tuple[object, ...]:
        """All that a quote hangs on."""
        return self.tier, self.status, self.number, self.end

    def as_at(self, moment: datetime) -> tuple[object, ...]:
        return next(known for at, known in reversed(self.past) if at <= moment)

    def remember(self, at: datetime) -> None:
        self.past.append((at, self.as_is()))

    def pay(self, order: Order) -> None:
        assert str(order.id) not in self.paid_orders, "an order has paid twice"
        self.paid_orders.add(str(order.id))
        self.paid += order.listed_value

    def begin(self, start: datetime, value: int) -> None:
        """A cycle that begins a new calendar."""
        self.anchor, self.periods, self.number = start, 1, self.number + 1
        self._grow(start, value)

    def renewed(self, order: Order, body: Body) -> None:
        assert order.paid_at is not None
        number, at = self.number + 1, order.paid_at
        assert self.status in ("active", "past_due", "lapsed"), f"renewed while {self.status}"
        assert body["cycle_number"] == number, "a period was left out or billed twice"
        is_anew = self.status == "lapsed" or at >= self.over
        assert body["is_anew"] == is_anew, (at, self.over, self.status)
        if not self.waives:
            assert order.listed_value == self.cost(number), (order.listed_value, self.cost(number), number)
        self.pay(order)
        if is_anew:
            self.begin(at, order.listed_value)
        else:
            self.periods, self.number = self.periods + 1, number
            self._grow(self.end, order.listed_value)
        if self.next_price and number >= self.next_price[0]:
            self.price, self.next_price = self.next_price[1], None
        self.status, self.resting = "active", False
        assert moment(body["paid_through"]) == self.end, (body["paid_through"], self.end)

    def changed(self, tier: Tier, order: Order | None, moved: Body | None) -> None:
        """To another tier: planned (no order), given (free) or paid."""
        if order is None or order.paid_how is PaidHow.FREE:
            given = order.paid_at if order is not None and moved is not None and moved["is_anew"] else None
            if given is not None:
                assert tier.months is not None
                assert self.end <= given, "what was paid and not used is gone"
                self._retune(tier)
                self.begin(given, 0)
                self.status, self.resting = "active", False
            else:
                self._retune(tier)
            if order is not None:
                self.pay(order)
            return
        assert order.paid_at is not None
        quoted, charge = order.created_at, order.listed_value
        self.pay(order)
        is_stale = self.waives and self.as_at(quoted) != self.as_is()
        if tier.months is None:
            exact = Fraction(tier.value - self.running_money(quoted))
            self.bought.append(Bought(order.paid_at, order.paid_at, Fraction(charge)))
        elif moved is not None and moved["is_anew"]:
            cut = order.paid_at if is_stale else quoted
            unused = sum((piece.after(cut) for piece in self.bought), Fraction(0))
            exact = tier.value - unused
            self.bought = [piece.until(cut) for piece in self.bought if piece.start < cut]
            for number, (start, end) in self.bounds.items():
                if end > order.paid_at:
                    self.bounds[number] = (min(start, order.paid_at), order.paid_at)
            self._retune(tier)
            self.begin(order.paid_at, tier.value)
            self.spent[self.number] = charge if is_stale else tier.value
            self.status, self.resting = "active", False
        elif is_stale:
            exact = Fraction(0)
            self._spend(charge, order.paid_at)
            self._retune(tier)
        else:
            more = tier.value - self.price
            exact = Fraction(0)
            for start, end in [bounds for bounds in self.bounds.values() if bounds[1] > quoted]:
                layer = Bought(start, end, Fraction(more))
                exact += layer.after(quoted)
                self.bought.append(Bought(max(start, quoted), end, layer.after(quoted)))
            self._spend(charge, order.paid_at)
            self._retune(tier)
        if is_stale:
            self.waived += charge - exact
        else:
            assert charge == max(0, floor(exact + Fraction(1, 2))), (charge, exact)
            self.rounded += charge - exact
        if tier.months is None:
            self.rounded, self.waived = (
                self.rounded - (charge - exact) * (not is_stale),
                self.waived - (charge - exact) * is_stale,
            )
            self.status, self.for_good = "cancelled", True

    def running_money(self, at: datetime) -> int:
        """What was paid for what runs, which is credited in full (contract 7.2)."""
        return sum(self.spent[number] for number, (_, end) in self.bounds.items() if end > at)

    def balanced(self) -> bool:
        """Money in is what was given for it, to the fraction."""
        return self.paid == sum((piece.value for piece in self.bought), Fraction(0)) + self.rounded + self.waived

    def differs(self, row: Subscription, license: License, cycles: list[Cycle]) -> list[str]:
        """From the shop's books, a line each."""
        ours = {cycle.number: (cycle.starts_at, cycle.ends_at) for cycle in cycles if cycle.paid_at and cycle.number}
        lines: list[str] = []
        if row.paid_through != self.end:
            lines.append(f"paid through {row.paid_through}, not {self.end}")
        if not self.for_good and license.expires_at != self.end:
            lines.append(f"its license ends {license.expires_at}, not {self.end}")
        if row.status.value != self.status:
            lines.append(f"is {row.status.value}, not {self.status}")
        if row.cycle_number != self.number:
            lines.append(f"counts {row.cycle_number} cycles, not {self.number}")
        if ours != self.bounds:
            lines.append(f"has the cycles {ours}, not {self.bounds}")
        if not self.balanced():
            given = sum((piece.value for piece in self.bought), Fraction(0))
            lines.append(f"{self.paid} was paid for {given} + {self.rounded} + {self.waived}")
        return lines

    def _spend(self, charge: int, at: datetime) -> None:
        """In parts of the time that each cycle has left; the last has the rest of the money."""
        lasts = {
            number: Fraction((end - max(start, at)) // MICROSECOND, (end - start) // MICROSECOND)
            for number, (start, end) in self.bounds.items()
            if end > at
        }
        rest = charge
        for number, left in sorted(lasts.items()):
            part = floor(charge * left / sum(lasts.values()) + Fraction(1, 2)) if number != max(lasts) else rest
            self.spent[number], rest = self.spent[number] + part, rest - part

    def _grow(self, start: datetime, value: int) -> None:
        self.end = months_later(self.anchor, self.months * self.periods)
        self.bought.append(Bought(start, self.end, Fraction(value)))
        self.bounds[self.number], self.spent[self.number] = (start, self.end), value

    def _retune(self, tier: Tier) -> None:
        if tier.months is not None and tier.months != self.months:
            self.anchor, self.periods, self.months = self.end, 0, tier.months
        self.tier, self.price, self.next_price, self.cut = tier, tier.value, None, (0, 0)


def months_later(anchor: datetime, months: int) -> datetime:
    """The same day of a later month, or its last one."""
    month = anchor.month - 1 + months
    year, month = anchor.year + month // 12, month % 12 + 1
    return anchor.replace(year=year, month=month, day=min(anchor.day, monthrange(year, month)[1]))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
