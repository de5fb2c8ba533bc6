"""How far an order is, in the words of the page the buyer waits on. Pure: it never claims what is not so."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from keysat.checkout.gate import LATE_WINDOW
from keysat.checkout.tables import OrderStatus
from keysat.licenses.tables import LicenseStatus

_REFRESH = ((timedelta(minutes=2), 5), (timedelta(minutes=10), 10), (timedelta(minutes=30), 30))
_SLOWEST_SECONDS = 60


class Progress(StrEnum):
    OPENING = "opening"  # the provider has not made its invoice yet
    WAITING = "waiting"
    PART_PAID = "part_paid"  # in time, and there is time left for the rest
    TIME_UP = "time_up"  # the offer has just ended, and the provider is being asked for the last time
    SEEN = "seen"
    FINISHING = "finishing"
    READY = "ready"
    WITHDRAWN = "withdrawn"  # the license was suspended or revoked: no key is shown
    UNDERPAID = "underpaid"
    EXPIRED = "expired"  # late money is still taken by itself
    LATE = "late"  # and it has been seen
    OVER = "over"  # late money goes to the seller
    INVALID = "invalid"
    NOT_OPENED = "not_opened"  # the provider made no invoice: nothing can have been paid
    REVIEW = "review"


MOVING = frozenset(
    {
        Progress.OPENING,
        Progress.WAITING,
        Progress.PART_PAID,
        Progress.TIME_UP,
        Progress.SEEN,
        Progress.UNDERPAID,
        Progress.EXPIRED,
        Progress.LATE,
        Progress.OVER,
        Progress.FINISHING,
        Progress.REVIEW,
    }
)
"""The page looks again by itself, as long as the order is watched: late money may come, or what the seller decides."""

_FIXED = {
    OrderStatus.DRAFT: Progress.OPENING,
    OrderStatus.PROCESSING: Progress.SEEN,
    OrderStatus.PAID: Progress.FINISHING,
    OrderStatus.UNDERPAID: Progress.UNDERPAID,
    OrderStatus.REVIEW: Progress.REVIEW,
}


@dataclass(frozen=True, slots=True)
class Facts:
    status: OrderStatus
    expires_at: datetime
    takes_late: bool  # of its own accord, for a while
    was_opened: bool  # there is, or was, a page to pay on
    money_seen: bool
    money_missing: bool  # less was seen than is asked for
    money_refused: bool  # the provider calls it invalid
    watch_until: datetime  # nobody looks for late money any more
    license_status: LicenseStatus | None


def progress(facts: Facts, now: datetime) -> Progress:
    match facts.status:
        case OrderStatus.AWAITING:
            return _awaited(facts) if now < facts.expires_at else Progress.TIME_UP
        case OrderStatus.FULFILLED:
            if facts.license_status is None:
                return Progress.FINISHING
            return Progress.READY if facts.license_status == LicenseStatus.ACTIVE else Progress.WITHDRAWN
        case OrderStatus.EXPIRED if facts.money_seen and facts.money_refused:
            return Progress.INVALID
        case OrderStatus.EXPIRED:
            if facts.money_seen and now <= facts.watch_until:
                return Progress.LATE
            return Progress.EXPIRED if facts.takes_late and now < facts.expires_at + LATE_WINDOW else Progress.OVER
        case OrderStatus.INVALID:
            return Progress.INVALID if facts.was_opened else Progress.NOT_OPENED
        case _:
            return _FIXED[facts.status]


def _awaited(facts: Facts) -> Progress:
    if not facts.money_seen:
        return Progress.WAITING
    return Progress.PART_PAID if facts.money_missing else Progress.SEEN


def refresh_seconds(waited: timedelta) -> int:
    """How long a browser without JavaScript waits before it asks again for what has not come in so long."""
    return next((seconds for until, seconds in _REFRESH if waited < until), _SLOWEST_SECONDS)
