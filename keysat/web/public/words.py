"""How time, seats and ways to pay are said to a buyer. Pure."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from keysat.catalog.tables import DiscountKind
from keysat.catalog.views import DiscountView
from keysat.infra.written import date, money
from keysat.kit.currencies import SAT
from keysat.kit.money import Money
from keysat.kit.periods import Period, Unit
from keysat.payments.provider import Rail

_SPANS = ((365 * 86_400, "year"), (86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))

RAILS = {  # in the order in which they are offered: name, and what to expect of it
    Rail.LIGHTNING: ("Lightning", "Bitcoin, in seconds"),
    Rail.ONCHAIN: ("On-chain", "Bitcoin, in minutes"),
    Rail.CARD: ("Card", "Credit or debit card"),
}


def counted(count: int, noun: str) -> str:
    """`1 day`, `3 days`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def cadence(period: Period) -> str:
    """What follows a price: `/ month`, `every 3 months`. Whole weeks of days are said in weeks."""
    count, noun = _weeks(period)
    return f"/ {noun}" if count == 1 else f"every {counted(count, noun)}"


def each(period: Period) -> str:
    """How often it is paid: `each month`, `every 3 months`."""
    count, noun = _weeks(period)
    return f"each {noun}" if count == 1 else f"every {counted(count, noun)}"


def span(period: Period) -> str:
    """`1 month`, `2 weeks`, `30 days`."""
    return counted(*_weeks(period))


def duration(seconds: int) -> str:
    """In the largest unit that fits without a rest: `1 year`, `30 days`, `36 hours`. 0 is for ever."""
    if seconds == 0:
        return "for ever"
    size, noun = next((size, noun) for size, noun in _SPANS if seconds % size == 0)
    return counted(seconds // size, noun)


def about(left: timedelta) -> str:
    """Rounded up to what a person wants to know: `14 minutes`, `1 hour`, `2 days`."""
    seconds = max(0, int(left.total_seconds()))
    for size, noun in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds > size:
            return counted(-(-seconds // size), noun)
    return "1 minute" if seconds else "0 minutes"


def seen(at: datetime, now: datetime) -> str:
    """When a machine was seen last, no finer than anybody needs to know it again: `today`, `3 days ago`, a date."""
    days = (now.date() - at.date()).days
    match days:
        case 0:
            return "today"
        case 1:
            return "yesterday"
        case _ if 1 < days <= 30:
            return f"{days} days ago"
        case _:
            return f"on {date(at)}"


def seats(count: int) -> str:
    """Machines the key works on at the same time; 0 is any number."""
    return counted(count, "device") if count else "any number of devices"


def ribbon(discount: DiscountView) -> str:
    """What a featured code makes of a tier, and how often it still can: `20% off · 3 left`."""
    left = discount.remaining_uses
    return _saving(discount) + (f" · {left:,} left" if left is not None else "")


def deal(discount: DiscountView, price: Money, was: Money | None) -> str:
    """What a code does to one price."""
    if was is None:
        return f"{discount.code} takes nothing off this price, and is not used up."
    now = "free" if price.minor == 0 else money(price)
    return f"{discount.code} is applied: {now} instead of {money(was)}."


def _saving(discount: DiscountView) -> str:
    match discount.kind:
        case DiscountKind.PERCENT:
            return f"{f'{Decimal(discount.amount) / 100:.2f}'.rstrip('0').rstrip('.')}% off"
        case DiscountKind.FIXED:
            return f"{money(Money(discount.currency or SAT, discount.amount))} off"
        case DiscountKind.SET_PRICE:
            return "Limited price"
        case DiscountKind.FREE_LICENSE:
            return "Free"


def trial_act(days: int) -> str:
    return f"Start {counted(days, 'free day')}"


def after_trial(days: int, price: Money, period: Period | None, grace_days: int = 0) -> str:
    """What follows a trial: nothing that the buyer did not ask for."""
    ends = f"Nothing is to be paid now. After {counted(days, 'day')}"
    if period is None:
        return f"{ends} it stops; to keep it, buy it for {money(price)}."
    each = f"{money(price)} {cadence(period)}"
    return f"{ends} it is {each}, if you go on: nothing is charged by itself. {unpaid(grace_days)}"


@dataclass(frozen=True, slots=True)
class Next:
    """The next payment. `is_about`: a code in sats lowers it, at the rate of that day."""

    price: Money
    at: datetime
    is_about: bool = False

    def __str__(self) -> str:
        return f"{'about ' if self.is_about else ''}{money(self.price)} by {date(self.at)}, if you go on."


def renewal(then: Next, grace_days: int, *, has_cards: bool) -> str:
    """What follows a period that is paid."""
    if then.price.minor == 0:
        return f"The next period begins on {date(then.at)}, and nothing is to be paid for it either."
    by_itself = "Unless you save a card, nothing is charged by itself" if has_cards else "Nothing is charged by itself"
    return f"Next payment: {then} {by_itself}. {unpaid(grace_days)}"


def without_trial(then: Next) -> str:
    return f"Bought at once, the next payment is {then}"


def unpaid(grace_days: int) -> str:
    """What happens to a subscription that nobody goes on paying."""
    if not grace_days:
        return "Unpaid, it stops then."
    return f"Unpaid, it works for {counted(grace_days, 'more day')} and then stops."


def trial_in_app(days: int) -> str:
    return f"{counted(days, 'day')} free: install the app and begin them there. What you buy here is paid at once."


def act(price: Money, rails: Collection[Rail]) -> str:
    """The button's words."""
    if price.minor == 0:
        return "Get it free"
    if not rails or Rail.CARD not in rails:
        return f"Pay {money(price)} with Bitcoin"
    return f"Pay {money(price)} by card" if set(rails) == {Rail.CARD} else f"Pay {money(price)}"


def _weeks(period: Period) -> tuple[int, str]:
    if period.unit == Unit.DAY and period.count % 7 == 0:
        return period.count // 7, "week"
    return period.count, period.unit.value
