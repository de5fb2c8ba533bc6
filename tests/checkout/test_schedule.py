"""When an order is looked at: the table of `payment-rails.md` 6.5."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keysat.checkout.schedule import (
    DAY,
    HOUR,
    MINUTE,
    MONITOR_FOR,
    PAGE_EVERY,
    SECOND,
    WATCH_AFTER_MONITOR,
    Times,
    after_failure,
    next_look,
)
from keysat.checkout.tables import OrderStatus

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
WATCHED = MONITOR_FOR + WATCH_AFTER_MONITOR
ENDED = (OrderStatus.EXPIRED, OrderStatus.UNDERPAID, OrderStatus.INVALID)


def times(status: OrderStatus, *, failures: int = 0, money_is_near: bool = False) -> Times:
    """Opened at noon, in its status since noon, watched for 14 days."""
    return Times(status, NOON, NOON, NOON + WATCHED, failures, money_is_near)


def looks(of: Times, start: timedelta = timedelta(0), most: int = 60) -> list[timedelta]:
    """When it is looked at, counted from noon, if nothing ever changes."""
    seen: list[timedelta] = []
    now: datetime | None = NOON + start
    while now is not None and len(seen) < most:
        now = next_look(of, now)
        if now is not None:
            seen.append(now - NOON)
    return seen


def test_a_page_makes_us_look_at_every_order_that_money_can_still_change_and_open_ones_soonest() -> None:
    open_ones = {OrderStatus.AWAITING, OrderStatus.PROCESSING}
    assert {status for status, every in PAGE_EVERY.items() if every == 3 * SECOND} == open_ones
    decided = {OrderStatus.DRAFT, OrderStatus.PAID, OrderStatus.FULFILLED, OrderStatus.REVIEW}
    assert set(PAGE_EVERY) == set(OrderStatus) - decided


def test_an_open_order_is_looked_at_every_30_s_for_5_min_and_then_every_minute() -> None:
    seen = looks(times(OrderStatus.AWAITING), most=14)
    assert seen[:10] == [number * 30 * SECOND for number in range(1, 11)]
    assert seen[10:] == [6 * MINUTE, 7 * MINUTE, 8 * MINUTE, 9 * MINUTE]


def test_a_payment_that_was_seen_is_looked_at_every_minute_for_30_min_and_then_every_five() -> None:
    seen = looks(times(OrderStatus.PROCESSING), most=33)
    assert seen == [number * MINUTE for number in range(1, 31)] + [35 * MINUTE, 40 * MINUTE, 45 * MINUTE]


@pytest.mark.parametrize("status", ENDED)
def test_late_money_is_looked_for_less_and_less_until_14_days_have_gone(status: OrderStatus) -> None:
    seen = looks(times(status))
    assert seen == [5 * MINUTE, 15 * MINUTE, HOUR, 6 * HOUR, *(number * DAY for number in range(1, 15))]


@pytest.mark.parametrize("status", ENDED)
def test_the_last_look_is_at_the_end_of_the_watch(status: OrderStatus) -> None:
    seen = looks(times(status), start=13 * DAY + HOUR)
    assert seen == [WATCHED]


def test_late_money_that_is_near_is_looked_at_every_five_minutes() -> None:
    near = times(OrderStatus.EXPIRED, money_is_near=True)
    assert looks(near, start=2 * HOUR, most=2) == [2 * HOUR + 5 * MINUTE, 2 * HOUR + 10 * MINUTE]


def test_a_sale_is_looked_at_after_an_hour_and_a_day_and_never_again() -> None:
    assert looks(times(OrderStatus.FULFILLED)) == [HOUR, DAY]


def test_an_order_in_review_waits_for_the_operator() -> None:
    assert next_look(times(OrderStatus.REVIEW), NOON) is None


@pytest.mark.parametrize(
    ("failures", "wait"), [(0, MINUTE), (1, MINUTE), (2, 10 * MINUTE), (3, HOUR), (4, DAY), (40, DAY)]
)
def test_what_is_paid_and_unfulfilled_is_tried_again(failures: int, wait: timedelta) -> None:
    assert next_look(times(OrderStatus.PAID, failures=failures), NOON) == NOON + wait


@pytest.mark.parametrize(
    ("failures", "wait"), [(1, 5 * SECOND), (2, 15 * SECOND), (3, MINUTE), (4, 3 * MINUTE), (5, 10 * MINUTE)]
)
def test_a_provider_that_is_down_is_asked_less_often_up_to_ten_minutes(failures: int, wait: timedelta) -> None:
    assert after_failure(failures, NOON, Fraction(0)) == NOON + wait
    assert after_failure(failures, NOON, Fraction(1, 2)) == NOON + wait * 11 / 10
    assert after_failure(failures + 1000, NOON, Fraction(0)) == NOON + 10 * MINUTE


spans = st.timedeltas(timedelta(0), timedelta(days=20))


@st.composite
def any_times(draw: st.DrawFn) -> Times:
    since = NOON + draw(spans)
    status = draw(st.sampled_from([*OrderStatus, *ENDED, *ENDED]))
    return Times(status, since, NOON, since + draw(spans), draw(st.integers(0, 50)), draw(st.booleans()))


def is_terminal(of: Times, now: datetime) -> bool:
    """`architecture.md` 5: fulfilled, or ended and past `watch_until`."""
    return of.status == OrderStatus.FULFILLED or (of.status in ENDED and now >= of.watch_until)


@settings(max_examples=400)
@given(any_times(), spans)
def test_an_order_that_can_still_change_by_itself_has_a_look_ahead(of: Times, gone: timedelta) -> None:
    now = of.status_at + gone
    planned = next_look(of, now)
    assert planned is None or planned > now
    if of.status != OrderStatus.REVIEW and not is_terminal(of, now):
        assert planned is not None


@settings(max_examples=400)
@given(any_times(), spans)
def test_no_look_is_later_than_the_table_says(of: Times, gone: timedelta) -> None:
    now = of.status_at + gone
    planned = next_look(of, now)
    longest = {
        OrderStatus.DRAFT: 30 * SECOND,
        OrderStatus.AWAITING: MINUTE,
        OrderStatus.PROCESSING: 5 * MINUTE,
    }.get(of.status, DAY)
    if planned is not None:
        assert planned - now <= longest
        assert of.status not in ENDED or planned <= of.watch_until
