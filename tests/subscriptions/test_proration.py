"""What a change of tier costs: exact, by the second. Pure."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.kit.errors import Conflict
from keysat.kit.money import Money, half_up
from keysat.kit.periods import Period, Unit
from keysat.subscriptions.proration import Paid, Price, prorate

START = datetime(2026, 4, 1, tzinfo=UTC)
END = START + timedelta(days=30)
MONTH, YEAR = Period(1, Unit.MONTH), Period(1, Unit.YEAR)
HALF = START + timedelta(days=15)

prices = st.integers(0, 10**9)
moments = st.integers(-(10**9), 30 * 86_400 * 10**6 + 10**9).map(lambda us: START + timedelta(microseconds=us))


def price(value: int, period: Period | None = MONTH) -> Price:
    return Price(Money("USD", value), period)


def charge(old: int, new: int, now: datetime, worth: int | None = None) -> int:
    return prorate(price(old), [Paid(START, END, old if worth is None else worth)], price(new), now).charge.minor


@pytest.mark.parametrize(
    ("current", "paid", "target", "expected"),
    [
        (price(2500, None), None, price(7500, None), (5000, False, None)),  # for good to for good
        (price(2500), Paid(START, END, 2500), price(7500), (2500, False, 5000)),  # the contract's days would say 2333
        (price(1000), Paid(START, END, 1000), price(10_000, YEAR), (9500, True, 10_000)),
        (price(1000), Paid(START, END, 0), price(10_000, YEAR), (10_000, True, 10_000)),  # it was a gift
        (price(10_000, YEAR), Paid(START, END, 10_000), price(3000), (0, True, 3000)),  # never paid back
        (price(2500, None), None, price(1200), (1200, True, 1200)),  # for good to a first subscription
        (price(1200), None, price(2400), (2400, True, 2400)),  # a trial, or nothing paid any more
        (price(1200), Paid(START - timedelta(days=30), START, 1200), price(2400), (2400, True, 2400)),
        (price(2500), Paid(START, END, 2500), price(7500, None), (5000, False, None)),  # contract 7.2
        (price(2500), None, price(7500, None), (7500, False, None)),
        (price(7500), Paid(START, END, 7500), price(2500), (0, False, -5000)),  # what an operator may give
    ],
)
def test_the_price_of_a_change(
    current: Price, paid: Paid | None, target: Price, expected: tuple[int, bool, int | None]
) -> None:
    found = prorate(current, [paid] if paid is not None else [], target, HALF)
    assert (found.charge.minor, found.is_anew, found.worth) == expected


def test_a_renewal_that_was_paid_ahead_counts_too() -> None:
    ahead = [Paid(START, END, 2500), Paid(END, END + timedelta(days=30), 2000)]
    assert prorate(price(2500), ahead, price(7500), HALF).charge.minor == 7500
    assert prorate(price(2500), ahead, price(10_000, YEAR), HALF).charge.minor == 10_000 - 1250 - 2000


def test_currencies_do_not_mix() -> None:
    with pytest.raises(Conflict):
        prorate(price(1), [], Price(Money("EUR", 2), MONTH), HALF)


@given(prices, prices, moments, moments)
def test_an_upgrade_gets_no_dearer_with_time_and_is_exact_to_half_a_unit(
    old: int, more: int, one: datetime, other: datetime
) -> None:
    early, late = min(one, other), max(one, other)
    if late < END:
        assert more >= charge(old, old + more, early) >= charge(old, old + more, late) >= 0
        rest = min((END - late) / timedelta(microseconds=1), 30 * 86_400 * 10**6)
        exact = Fraction(more) * Fraction(int(rest), 30 * 86_400 * 10**6)
        assert abs(charge(old, old + more, late) - exact) <= Fraction(1, 2)


@given(prices, prices, prices, moments)
def test_two_upgrades_at_once_cost_what_one_costs_within_a_unit(a: int, b: int, c: int, now: datetime) -> None:
    low, middle, high = sorted((a, b, c))
    if now < END:
        assert abs(charge(low, middle, now) + charge(middle, high, now) - charge(low, high, now)) <= 1


@given(prices, prices, st.integers(0, 10**9), moments, st.sampled_from([None, MONTH, YEAR]))
def test_the_buyer_is_never_paid_and_never_pays_more_than_the_new_price(
    old: int, new: int, worth: int, now: datetime, period: Period | None
) -> None:
    found = prorate(price(old), [Paid(START, END, worth)], price(new, period), now)
    assert 0 <= found.charge.minor <= new


@given(prices, prices, moments, moments)
def test_what_an_upgrade_has_paid_is_credited_by_the_next_change(
    old: int, more: int, one: datetime, other: datetime
) -> None:
    """Upgraded and then moved to a year: all that was paid is in the credit but for what was enjoyed."""
    early, late = min(one, other), max(one, other)
    if not START <= early <= late < END:
        return
    paid = Paid(START, END, old)
    upgrade = prorate(price(old), [paid], price(old + more), early)
    assert upgrade.worth == more
    yearly = 10**11
    move = prorate(price(old + more), [Paid(START, END, old + more)], price(yearly, YEAR), late)
    assert yearly - move.charge.minor == half_up((old + more) * paid.left(late))
