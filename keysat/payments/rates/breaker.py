"""A circuit breaker for each source, as a value: a source that fails is left alone for a while.

Source: `payment-rails.md` 4.2, item 7. Closed: everybody may ask. Open: nobody. When the wait is over, one may (the
probe); its success closes the breaker, its failure doubles the wait.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

FAILURES_MAX = 3
WAIT_MIN = timedelta(seconds=30)
WAIT_MAX = timedelta(minutes=15)
PROBE = timedelta(seconds=10)  # a probe that never reports is over by then; longer than a source is waited for
RETRY_AFTER_MAX = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Breaker:
    failures: int = 0  # in a row, while closed
    wait: timedelta | None = None  # None: closed
    until: datetime | None = None  # nobody asks before
    is_probing: bool = False
    openings: int = 0  # ever: a metric

    @property
    def is_open(self) -> bool:
        return self.wait is not None


CLOSED = Breaker()


def may_ask(breaker: Breaker, now: datetime) -> bool:
    return breaker.until is None or now >= breaker.until


def asked(breaker: Breaker, now: datetime) -> Breaker:
    """To be kept by whoever asks, so that a half-open breaker lets only one through."""
    return replace(breaker, until=now + PROBE, is_probing=True) if breaker.is_open else breaker


def succeeded(breaker: Breaker) -> Breaker:
    if breaker.is_open and not breaker.is_probing:
        return breaker  # an answer to a question from before the opening
    return Breaker(openings=breaker.openings)


def failed(
    breaker: Breaker, now: datetime, *, throttled: bool = False, retry_after_seconds: int | None = None
) -> Breaker:
    """`throttled`: the source said 429 or the like, so one time is enough."""
    asked_for = min(timedelta(seconds=retry_after_seconds or 0), RETRY_AFTER_MAX)
    if breaker.is_open and not breaker.is_probing:  # another question from before the opening: no doubling
        return replace(breaker, until=max(breaker.until or now, now + asked_for))
    failures = breaker.failures + 1
    if not (breaker.is_open or throttled or asked_for or failures >= FAILURES_MAX):
        return replace(breaker, failures=failures)
    wait = WAIT_MIN if breaker.wait is None else min(breaker.wait * 2, WAIT_MAX)
    return Breaker(wait=wait, until=now + max(wait, asked_for), openings=breaker.openings + 1)
