"""When to look at an order next: pure, after `payment-rails.md` 6.5."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from keysat.checkout.tables import Order, OrderStatus
from keysat.kit.backoff import Backoff, with_jitter

SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

OPEN_FOR = 15 * MINUTE  # how long a buyer has to pay
MONITOR_FOR = 7 * DAY  # how long the provider watches the chain for what was seen
WATCH_AFTER_MONITOR = 7 * DAY  # how long we look for late money after that
FIRST_LOOK = 30 * SECOND  # at an order whose page was just opened
OPENING_TAKES = MINUTE  # so long a draft may be in the hands of who asks for its page
DRAFT_FOR = 10 * MINUTE  # a draft whose invoice is not found by then was never opened

AFTER_THE_END = (5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, DAY)  # then daily
AFTER_THE_SALE = (HOUR, DAY)
PROVIDER_DOWN = Backoff((5 * SECOND, 15 * SECOND, MINUTE, 3 * MINUTE), then=10 * MINUTE)
FULFIL_AGAIN = Backoff((MINUTE, 10 * MINUTE, HOUR), then=DAY)
JITTER_PERCENT = 20

PAGE_EVERY = {  # a buyer who waits on the page makes us look this often
    OrderStatus.AWAITING: 3 * SECOND,
    OrderStatus.PROCESSING: 3 * SECOND,
    OrderStatus.UNDERPAID: 15 * SECOND,
    OrderStatus.EXPIRED: 15 * SECOND,
    OrderStatus.INVALID: MINUTE,
}


def is_being_opened(order: Order, now: datetime) -> bool:
    """Somebody is asking the provider for its page."""
    return order.status is OrderStatus.DRAFT and now - order.created_at < OPENING_TAKES


@dataclass(frozen=True, slots=True)
class Times:
    """Of one order, as they stand after the look."""

    status: OrderStatus
    status_at: datetime
    opened_at: datetime
    watch_until: datetime
    failures: int  # of fulfilling
    money_is_near: bool  # seen late, not yet confirmed


def next_look(times: Times, now: datetime) -> datetime | None:
    """None: never again by itself."""
    match times.status:
        case OrderStatus.DRAFT:
            return now + FIRST_LOOK
        case OrderStatus.AWAITING:
            return now + (FIRST_LOOK if now - times.opened_at < 5 * MINUTE else MINUTE)
        case OrderStatus.PROCESSING:
            return now + (MINUTE if now - times.status_at < 30 * MINUTE else 5 * MINUTE)
        case OrderStatus.PAID:
            return fulfil_again(times.failures, now)
        case OrderStatus.FULFILLED:
            return _first_after(times.status_at, AFTER_THE_SALE, now)
        case OrderStatus.REVIEW:
            return None
        case OrderStatus.UNDERPAID | OrderStatus.EXPIRED | OrderStatus.INVALID:
            planned = _first_after(times.status_at, AFTER_THE_END, now) or now + DAY
            if times.money_is_near:
                planned = min(planned, now + 5 * MINUTE)
            return min(planned, times.watch_until) if now < times.watch_until else None


def fulfil_again(failures: int, now: datetime) -> datetime:
    """When a paid order that could not be fulfilled is tried again."""
    return now + (FULFIL_AGAIN.after(max(failures, 1)) or DAY)


def after_failure(failures: int, now: datetime, chance: Fraction) -> datetime:
    """The provider did not answer: the order stays as it is."""
    return now + with_jitter(PROVIDER_DOWN.after(failures) or 10 * MINUTE, chance, JITTER_PERCENT)


def _first_after(start: datetime, offsets: tuple[timedelta, ...], now: datetime) -> datetime | None:
    return next((start + offset for offset in offsets if start + offset > now), None)
