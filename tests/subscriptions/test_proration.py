"""What a change of tier costs: exact, by the second. Pure."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.kit.errors import Conflict
from keysat.kit.money import Money, half_up
from keysat.kit.periods import Period, Unit
from keysat.subscriptions.proration import Paid, Price, prorate, shares

START = datetime(2026, 4, 1, tzinfo=UTC)
END = START + timedelta(days=30)
MONTH, YEAR = Period(1, Unit.MONTH), Period(1, Unit.YEAR)
HALF = START + timedelta(days=15)

prices = st.integers(0, 10**9)
moments = st.integers(-(10**9), 30 * 86_400 * 10**6 + 10**9).map(lambda us: START + timedelta(microseconds=us))


def price(value: int, period: Period | None = MONTH) -> Price:
    return Price(Money("USD", value), period)


def cycle(worth: int, start: datetime = START, money: int | None = None) -> Paid:
    return Paid(start, start + timedelta(days=30), worth, worth if money is None else money)


def charge(old: int, new: int, now: datetime, worth: int | None = None) -> int:
    return prorate(price(old), [cycle(old if worth is None else worth)], price(new), now).charge.minor


@pytest.mark.parametrize(
    ("current", "paid", "target", "expected"),
    [
        (price(2500, None), None, price(7500, None), (5000, False, None)),  # for good to for good
        (price(2500), cycle(2500), price(7500), (2500, False, 5000)),  # the contract's days would say 2333
        (price(1000), cycle(1000), price(10_000, YEAR), (9500, True, 10_000)),
        (price(1000), cycle(0), price(10_000, YEAR), (10_000, True, 10_000)),  # it was a gift
        (price(10_000, YEAR), cycle(10_000), price(3000), (0, True, 3000)),  # never paid back
        (price(2500, None), None, price(1200), (1200, True, 1200)),  # for good to a first subscription
        (price(1200), None, price(2400), (2400, True, 2400)),  # a trial, or nothing paid any more
        (price(1200), cycle(1200, START - timedelta(days=30)), price(2400), (2400, True, 2400)),
        (price(2500), cycle(2500), price(7500, None), (5000, False, None)),  # contract 7.2
        (price(2500), None, price(7500, None), (7500, False, None)),
        (price(7500), cycle(7500), price(2500), (0, False, -5000)),  # what an operator may give
    ],
)
def test_the_price_of_a_change(
    current: Price, paid: Paid | None, target: Price, expected: tuple[int, bool, int | None]
) -> None:
    found = prorate(current, [paid] if paid is not None else [], target, HALF)
    assert (found.charge.minor, found.is_anew, found.worth) == expected


def test_a_renewal_that_was_paid_ahead_counts_too() -> None:
    ahead = [cycle(2500), cycle(2000, END)]
    assert prorate(price(2500), ahead, price(7500), HALF).charge.minor == 7500
    assert prorate(price(2500), ahead, price(10_000, YEAR), HALF).charge.minor == 10_000 - 1250 - 2000
    assert prorate(price(2500), ahead, price(10_000, None), HALF).charge.minor == 10_000 - 2500 - 2000


def test_an_upgrade_in_the_last_hour_gives_no_cycle_away_for_a_few_cents() -> None:
    late = END - timedelta(hours=1)
    assert prorate(price(1200), [cycle(1200)], price(7000), late).charge.minor == 8
    assert prorate(price(7000), [cycle(7000, money=1208)], price(9000, None), late).charge.minor == 9000 - 1208


def test_time_that_was_bought_once_is_credited_by_what_is_left_of_it() -> None:
    one, two = (Price(Money("USD", minor), None, is_timed=True) for minor in (5000, 6000))
    assert prorate(one, [cycle(5000)], two, HALF).charge.minor == 6000 - 2500
    assert prorate(one, [cycle(5000)], two, END - timedelta(hours=1)).charge.minor == 6000 - 7
    assert prorate(price(7000), [cycle(7000)], two, HALF).charge.minor == 6000 - 3500
    assert prorate(one, [], two, HALF).charge.minor == 6000  # a trial, or what is over
    assert prorate(one, [cycle(5000)], price(9000, None), HALF).charge.minor == 9000 - 5000  # contract 7.2
    assert prorate(one, [], price(9000, None), HALF).charge.minor == 9000
    assert prorate(price(2500, None), [], two, HALF).charge.minor == 6000 - 2500
    assert prorate(one, [cycle(5000)], price(1200), HALF).charge.minor == 1200  # contract 7.2: a full first cycle


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
    found = prorate(price(old), [cycle(worth)], price(new, period), now)
    assert 0 <= found.charge.minor <= new


@given(prices, prices, moments, moments)
def test_what_an_upgrade_has_paid_is_credited_by_the_next_change(
    old: int, more: int, one: datetime, other: datetime
) -> None:
    """Upgraded and then moved to a year: all that was paid is in the credit but for what was enjoyed."""
    early, late = min(one, other), max(one, other)
    if not START <= early <= late < END:
        return
    paid = cycle(old)
    upgrade = prorate(price(old), [paid], price(old + more), early)
    assert upgrade.worth == more
    yearly = 10**11
    move = prorate(price(old + more), [cycle(old + more)], price(yearly, YEAR), late)
    assert yearly - move.charge.minor == half_up((old + more) * paid.left(late))


@given(
    prices,
    st.lists(st.tuples(st.integers(0, 60 * 86_400), st.integers(0, 10**9), st.sampled_from([MONTH, YEAR])), max_size=5),
    st.booleans(),
    st.integers(0, 10**10),
    st.integers(0, 60 * 86_400),
)
def test_no_way_to_a_tier_for_good_costs_less_than_its_price(
    first: int, steps: list[tuple[int, int, Period]], is_ahead: bool, good: int, last: int
) -> None:
    """However many upgrades come before it. What they cost is told to the cycles as `subscriptions.moves` does."""
    current, paid = price(first), [cycle(first), *([cycle(first, END)] if is_ahead else [])]
    spent = sum(one.money for one in paid)
    moments = sorted([*(step[0] for step in steps), last])
    for after, (_, value, period) in zip(moments, steps, strict=False):
        now = START + timedelta(seconds=after)
        paid = [one for one in paid if one.ends_at > now]
        target = price(max(value, current.money.minor), period)
        found = prorate(current, paid, target, now)
        spent, current = spent + found.charge.minor, target
        assert found.worth is not None
        if found.is_anew:
            ends_at = now + timedelta(days=30 if period == MONTH else 365)
            paid = [Paid(now, ends_at, found.worth, found.worth)]
        else:
            parts = shares(found.charge.minor, [one.left(now) for one in paid])
            assert sum(parts) == found.charge.minor
            paid = [
                Paid(one.starts_at, one.ends_at, one.worth + found.worth, one.money + part)
                for one, part in zip(paid, parts, strict=True)
            ]
        assert sum(one.money for one in paid) <= spent + len(steps)
    now = START + timedelta(seconds=moments[-1])
    spent += prorate(current, paid, price(good, None), now).charge.minor
    assert spent >= good - len(steps)  # a unit for each rounding
