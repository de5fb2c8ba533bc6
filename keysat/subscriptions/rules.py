"""What a subscription does, when, and at which price. Pure: values and rows in, values out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from keysat.catalog.tables import DiscountKind
from keysat.kit.backoff import Backoff
from keysat.kit.money import Money
from keysat.kit.periods import ZONE, Period, cycle_end
from keysat.subscriptions.tables import Subscription, SubscriptionStatus

PRICE_NOTICE = timedelta(days=14)
"""A new price holds at the earliest for a cycle that begins so long after it was announced."""

RETRIES = Backoff(
    (timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=2), timedelta(hours=6), timedelta(hours=12)), None
)
FAILURES_MAX = len(RETRIES.delays)
"""So many failed openings in a row park a subscription; `parked_at` is the fifth failure, not 12 hours after it."""

SKIP_REST = timedelta(days=1)
"""What is due and must not be billed now is looked at again after it."""

BATCH = 25
LEASE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Calendar:
    """Cycle `anchor_cycle` ends at the anchor, the one after it a period later, and so on without drift."""

    anchor_at: datetime
    anchor_cycle: int
    period: Period
    zone: str = ZONE

    def end(self, cycle: int) -> datetime:
        return cycle_end(self.anchor_at, self.period, cycle - self.anchor_cycle, self.zone)

    def anchored(self, at: datetime, cycle: int, period: Period | None = None) -> "Calendar":
        """A new calendar: `cycle` ends at the given moment, and the next one begins."""
        return Calendar(at, cycle, period or self.period, self.zone)


@dataclass(frozen=True, slots=True)
class Carried:
    """What is left of a purchase's discount code. `cycles` counts from cycle 1, the purchase; None: for ever."""

    kind: DiscountKind
    amount: int
    """Basis points, or minor units of `currency`, which only an amount of money has."""
    currency: str | None
    cycles: int | None


@dataclass(frozen=True, slots=True)
class CycleTerms:
    """What a cycle costs: the list price, and what the carried discount takes off it (`catalog.pricing.reduced`)."""

    number: int
    starts_at: datetime
    ends_at: datetime
    price: Money
    discount: Carried | None
    is_anew: bool
    """It begins a new calendar, because it comes after the end of grace."""


class Act(StrEnum):
    """What time asks for."""

    NOTHING = "nothing"
    OPEN = "open"  # an order for the next cycle
    FALL_DUE = "fall_due"
    LAPSE = "lapse"
    END = "end"  # it was cancelled for the end of what is paid


def calendar_of(subscription: Subscription) -> Calendar:
    return Calendar(
        subscription.anchor_at,
        subscription.anchor_cycle,
        Period(subscription.period_count, subscription.period_unit),
        subscription.zone,
    )


def due_at(since: datetime, paid_through: datetime, next_end: datetime, lead_days: int) -> datetime:
    """When the order for the next cycle opens: `lead_days` ahead, and at most half a period.

    `since` is the beginning of the cycle that ends at `paid_through`: a trial may be shorter than a period.
    """
    half = min(paid_through - since, next_end - paid_through) / 2
    return paid_through - min(timedelta(days=lead_days), half)


def act_at(subscription: Subscription, over: datetime | None, now: datetime) -> Act:
    """The one thing to do now; ask again after it. `over` is the end of the license's grace (`standing.grace_end`).

    An order is not opened any more for what is about to lapse, as after a long outage of ours: nobody pays for a time
    in which the license did not hold.
    """
    is_unpaid = subscription.paid_through <= now
    is_over = over is not None and over <= now
    is_due = subscription.next_attempt_at is not None and subscription.next_attempt_at <= now
    is_running = subscription.status in (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE)
    if is_running and subscription.cancel_at_period_end:
        return Act.END if is_unpaid else Act.NOTHING
    if subscription.parked_at is not None:
        return Act.NOTHING
    match subscription.status:
        case SubscriptionStatus.ACTIVE if is_due and not is_over:
            return Act.OPEN
        case SubscriptionStatus.ACTIVE if falls_due(subscription, now):
            return Act.FALL_DUE
        case SubscriptionStatus.PAST_DUE if is_over:
            return Act.LAPSE
        case SubscriptionStatus.PAST_DUE | SubscriptionStatus.LAPSED if is_due:
            return Act.OPEN
        case _:
            return Act.NOTHING


def falls_due(subscription: Subscription, now: datetime) -> bool:
    """What is paid is over, and grace begins, also while an order is about to be opened. `read.unpaid` lists them."""
    is_kept_on = subscription.parked_at is None and not subscription.cancel_at_period_end
    return subscription.status is SubscriptionStatus.ACTIVE and is_kept_on and subscription.paid_through <= now


def renews(subscription: Subscription) -> bool:
    """Unless its buyer does something about it, there is a next charge."""
    is_running = subscription.status in (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE)
    return is_running and not subscription.cancel_at_period_end


def can_renew(subscription: Subscription) -> bool:
    """Its next cycle may be paid, if only because the buyer comes back after a lapse."""
    return renews(subscription) or subscription.status is SubscriptionStatus.LAPSED


def payable(subscription: Subscription, over: datetime | None, now: datetime, *, has_order: bool) -> bool:
    """Whether a buyer may ask for the page to pay: not ahead of its time, unless it was to be opened and was not.

    `has_order`: there is one for the next cycle, whatever became of it.
    """
    is_early = act_at(subscription, over, now) is Act.NOTHING and not subscription.consecutive_failures
    is_at_rest = subscription.status is SubscriptionStatus.ACTIVE and is_early and subscription.parked_at is None
    return can_renew(subscription) and (has_order or not is_at_rest)


def next_attempt(failures: int, now: datetime) -> datetime | None:
    """After so many failed openings in a subscription. None: no more, it is parked."""
    wait = RETRIES.after(failures) if failures < FAILURES_MAX else None
    return now + wait if wait is not None else None


def begins_anew(subscription: Subscription, over: datetime | None, now: datetime) -> bool:
    """Whether a payment now begins a new calendar: grace is over, whether or not the lapse pass has seen it."""
    return subscription.status is SubscriptionStatus.LAPSED or (over is not None and over <= now)


def price_of(subscription: Subscription, cycle: int) -> Money:
    """The list price of a cycle to come."""
    value, since = subscription.next_value, subscription.next_value_from
    if value is None or since is None or cycle < since:
        value = subscription.listed_value
    return Money(subscription.listed_currency, value)


def discount_of(subscription: Subscription, cycle: int) -> Carried | None:
    kind, amount, until = subscription.discount_kind, subscription.discount_amount, subscription.discount_until
    if kind is None or amount is None or (until is not None and cycle > until):
        return None
    return Carried(kind, amount, subscription.discount_currency, until)


def next_cycle(subscription: Subscription, over: datetime | None, now: datetime) -> CycleTerms:
    """The cycle that the next payment buys, if it comes now."""
    number, calendar = subscription.cycle_number + 1, calendar_of(subscription)
    is_anew = begins_anew(subscription, over, now)
    if is_anew:
        calendar = calendar.anchored(now, subscription.cycle_number)
    return CycleTerms(
        number=number,
        starts_at=now if is_anew else subscription.paid_through,
        ends_at=calendar.end(number),
        price=price_of(subscription, number),
        discount=discount_of(subscription, number),
        is_anew=is_anew,
    )


def first_cycle_after_notice(subscription: Subscription, now: datetime) -> int:
    """The first cycle that begins `PRICE_NOTICE` from now, or later."""
    calendar, cycle = calendar_of(subscription), subscription.cycle_number + 1
    while calendar.end(cycle - 1) < now + PRICE_NOTICE:
        cycle += 1
    return cycle


def attempt_at(subscription: Subscription) -> datetime:
    """When the order for the next cycle opens, as things stand."""
    calendar = calendar_of(subscription)
    is_counted = subscription.cycle_number > subscription.anchor_cycle  # else a trial, or the calendar was moved since
    since = calendar.end(subscription.cycle_number - 1) if is_counted else subscription.started_at
    return due_at(since, subscription.paid_through, calendar.end(subscription.cycle_number + 1), subscription.lead_days)
