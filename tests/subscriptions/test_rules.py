"""The calendar and what time asks for. Pure."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from keysat.catalog.pricing import reduced
from keysat.catalog.tables import DiscountKind
from keysat.kit.money import Money
from keysat.kit.periods import Period, Unit
from keysat.kit.states import IllegalStep, next_state
from keysat.subscriptions.rules import (
    Act,
    Calendar,
    act_at,
    attempt_at,
    calendar_of,
    discount_of,
    due_at,
    first_cycle_after_notice,
    next_attempt,
    next_cycle,
    price_of,
)
from keysat.subscriptions.tables import SUBSCRIPTION, Subscription, SubscriptionStatus, SubscriptionStep
from tests.conftest import NOON

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
GRACE = 7 * DAY
MONTH = Period(1, Unit.MONTH)
S = SubscriptionStatus


def a_row(status: S = S.ACTIVE, period: Period = MONTH, **values: object) -> Subscription:
    """Anchored on the 31st at noon, one cycle paid, 1200 SAT a cycle, three days of lead."""
    anchor = datetime(2026, 1, 31, 12, tzinfo=UTC)
    calendar = Calendar(anchor, 0, period)
    row = Subscription(
        status=status, anchor_at=anchor, anchor_cycle=0, zone="UTC", period_count=period.count, period_unit=period.unit,
        cycle_number=1, paid_through=calendar.end(1), lead_days=3, listed_currency="SAT", listed_value=1200,
        started_at=anchor, cancel_at_period_end=False,
    )  # fmt: skip
    row.next_attempt_at = attempt_at(row)
    for name, value in values.items():
        setattr(row, name, value)
    return row


@pytest.mark.parametrize(
    ("period", "lead_days", "ahead"),
    [
        (Period(1, Unit.MONTH), 3, 3 * DAY),
        (Period(1, Unit.MONTH), 0, 0 * DAY),
        (Period(1, Unit.MONTH), 100, 14 * DAY),  # half of the shorter month, which is February
        (Period(1, Unit.DAY), 3, 12 * HOUR),
        (Period(1, Unit.YEAR), 30, 30 * DAY),
    ],
)
def test_an_order_opens_ahead_by_the_lead_and_at_most_half_a_period(
    period: Period, lead_days: int, ahead: timedelta
) -> None:
    row = a_row(period=period, lead_days=lead_days)
    assert row.paid_through - attempt_at(row) == ahead


def test_a_short_trial_is_not_asked_to_be_paid_before_its_half() -> None:
    assert due_at(NOON, NOON + DAY, NOON + 31 * DAY, 3) == NOON + 12 * HOUR


@pytest.mark.parametrize(
    ("row", "after_paid", "act"),
    [
        (a_row(), -4 * DAY, Act.NOTHING),
        (a_row(), -3 * DAY, Act.OPEN),
        (a_row(), 0 * DAY, Act.OPEN),  # then it falls due
        (a_row(next_attempt_at=None), -HOUR, Act.NOTHING),
        (a_row(next_attempt_at=None), 0 * DAY, Act.FALL_DUE),
        (a_row(), GRACE, Act.FALL_DUE),  # after an outage no order is opened for what is about to lapse
        (a_row(S.PAST_DUE), DAY, Act.OPEN),
        (a_row(S.PAST_DUE, next_attempt_at=None), GRACE - HOUR, Act.NOTHING),
        (a_row(S.PAST_DUE), GRACE, Act.LAPSE),
        (a_row(S.LAPSED, next_attempt_at=None), 90 * DAY, Act.NOTHING),
        (a_row(S.LAPSED), 90 * DAY, Act.OPEN),  # it was resumed
        (a_row(S.PAUSED, next_attempt_at=None), 90 * DAY, Act.NOTHING),
        (a_row(S.CANCELLED, next_attempt_at=None), 90 * DAY, Act.NOTHING),
        (a_row(cancel_at_period_end=True, next_attempt_at=None), -HOUR, Act.NOTHING),
        (a_row(cancel_at_period_end=True, next_attempt_at=None), 0 * DAY, Act.END),
        (a_row(parked_at=NOON, next_attempt_at=None), GRACE, Act.NOTHING),
        (a_row(S.PAST_DUE, parked_at=NOON, next_attempt_at=None), 2 * GRACE, Act.NOTHING),
    ],
)
def test_what_time_asks_for(row: Subscription, after_paid: timedelta, act: Act) -> None:
    assert act_at(row, row.paid_through + GRACE, row.paid_through + after_paid) is act


def test_only_a_restart_leads_back_from_cancelled_and_a_pause_takes_no_payment() -> None:
    allowed = {step for state, step in SUBSCRIPTION if state is S.CANCELLED}
    assert allowed == {SubscriptionStep.RESTART}
    for state in (S.CANCELLED, S.PAUSED):
        with pytest.raises(IllegalStep):
            next_state(SUBSCRIPTION, state, SubscriptionStep.RENEW)
    assert {state for state, _ in SUBSCRIPTION} == set(S) == set(SUBSCRIPTION.values())


def test_five_failures_park() -> None:
    minutes = [5, 30, 120, 360]
    assert [next_attempt(failures, NOON) for failures in range(1, 5)] == [
        NOON + timedelta(minutes=wait) for wait in minutes
    ]
    assert (next_attempt(5, NOON), next_attempt(6, NOON)) == (None, None)


@pytest.mark.parametrize(
    ("until", "prices"),
    [(1, [1200, 1200, 1200]), (3, [600, 600, 1200]), (None, [600, 600, 600])],  # once, three cycles, for ever
)
def test_a_code_holds_for_as_many_cycles_as_it_says_the_purchase_included(until: int | None, prices: list[int]) -> None:
    row = a_row(discount_kind=DiscountKind.PERCENT, discount_amount=5000, discount_until=until)
    charged: list[int] = []
    for cycle in (2, 3, 4):
        discount, price = discount_of(row, cycle), price_of(row, cycle)
        charged.append((reduced(price, discount) if discount is not None else price).minor)
    assert charged == prices


def test_a_new_price_holds_from_its_cycle_on_and_is_announced_14_days_ahead() -> None:
    row = a_row(next_value=1500, next_value_from=3)
    assert [price_of(row, cycle).minor for cycle in (2, 3, 4)] == [1200, 1500, 1500]
    assert first_cycle_after_notice(row, row.paid_through - 14 * DAY) == 2
    assert first_cycle_after_notice(row, row.paid_through - 14 * DAY + HOUR) == 3


@pytest.mark.parametrize("grace_is_over", [False, True])
def test_the_next_cycle_begins_where_the_last_ended_or_after_grace_now(grace_is_over: bool) -> None:
    row = a_row()
    over = row.paid_through + GRACE
    now = over if grace_is_over else over - HOUR
    terms = next_cycle(row, over, now)
    assert (terms.number, terms.price, terms.is_anew) == (2, Money("SAT", 1200), grace_is_over)
    assert terms.starts_at == (now if grace_is_over else row.paid_through)
    month, day = (4, 7) if grace_is_over else (3, 31)
    assert terms.ends_at == datetime(2026, month, day, 12, tzinfo=UTC)


@pytest.mark.parametrize("seed", range(8))
def test_ten_years_of_late_and_missed_payments_do_not_drift(seed: int) -> None:
    """Driven by `act_at` and `next_cycle` alone, as the job is: cycles touch, or begin when they are paid."""
    chance = Random(seed)
    period = chance.choice([Period(1, Unit.MONTH), Period(1, Unit.YEAR), Period(30, Unit.DAY), Period(2, Unit.MONTH)])
    row = a_row(period=period)
    anchors, first, now = 1, row.anchor_at, row.anchor_at
    last_end, late = row.paid_through, 0 * DAY
    while now < first + 3652 * DAY:
        over = row.paid_through + GRACE
        match act_at(row, over, now):
            case Act.OPEN:
                assert now >= row.paid_through - 3 * DAY
                row.next_attempt_at = None
                late = chance.choice([0, 0, 0, 1, 5, 6, 9, 40]) * DAY + chance.randrange(86_400) * timedelta(seconds=1)
                continue
            case Act.FALL_DUE:
                row.status = S.PAST_DUE
                continue
            case Act.LAPSE:
                row.status = S.LAPSED
                continue
            case _:
                pass
        if row.next_attempt_at is None and now >= row.paid_through - 3 * DAY + late:
            terms = next_cycle(row, over, now)
            assert terms.starts_at == (now if terms.is_anew else last_end)
            assert terms.is_anew == (now >= over)
            if terms.is_anew:
                row.anchor_at, row.anchor_cycle, anchors = now, row.cycle_number, anchors + 1
            row.status, row.cycle_number, row.paid_through = S.ACTIVE, terms.number, terms.ends_at
            row.next_attempt_at, last_end = attempt_at(row), terms.ends_at
        now += chance.choice([HOUR, 5 * HOUR, 20 * HOUR])
    calendar = calendar_of(row)
    assert calendar.end(row.cycle_number) == row.paid_through
    if period.unit is not Unit.DAY:
        month_end = (row.paid_through + DAY).day == 1
        assert row.paid_through.day == row.anchor_at.day or (month_end and row.paid_through.day < row.anchor_at.day)
    assert row.paid_through.time() == row.anchor_at.time()
    assert row.cycle_number - row.anchor_cycle >= 1
    assert anchors <= row.cycle_number


def test_a_calendar_that_is_never_late_ends_where_it_must_after_ten_years() -> None:
    anchor = datetime(2024, 1, 31, 23, 30, tzinfo=UTC)
    monthly, yearly = (
        Calendar(anchor, 0, Period(1, Unit.MONTH)),
        Calendar(datetime(2024, 2, 29, tzinfo=UTC), 0, Period(1, Unit.YEAR)),
    )
    assert monthly.end(120) == datetime(2034, 1, 31, 23, 30, tzinfo=UTC)
    assert [monthly.end(cycle).day for cycle in range(1, 6)] == [29, 31, 30, 31, 30]
    assert [yearly.end(cycle).day for cycle in range(1, 9)] == [28, 28, 28, 29, 28, 28, 28, 29]
    assert monthly.anchored(monthly.end(7), 7).end(8) == datetime(2024, 9, 30, 23, 30, tzinfo=UTC)
