from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.kit.gcra import Decision, Limit, in_turn, take

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)
LOGIN = Limit(5, 180)

limits = st.builds(Limit, st.integers(1, 20), st.sampled_from([1, 6, 60, Fraction(1, 20), Fraction(1, 3)]))
steps = st.lists(st.timedeltas(timedelta(0), timedelta(minutes=3)), min_size=1, max_size=60)


def take_all(limit: Limit, moments: list[datetime]) -> list[Decision]:
    decisions: list[Decision] = []
    tat = None
    for now in moments:
        decisions.append(take(tat, limit, now))
        tat = decisions[-1].tat
    return decisions


def moments_of(gaps: list[timedelta]) -> list[datetime]:
    return [NOON + sum(gaps[: index + 1], timedelta(0)) for index in range(len(gaps))]


def test_a_burst_passes_and_the_next_waits_for_one_refill():
    *burst, refused = take_all(LOGIN, [NOON] * 6)
    assert [each.allowed for each in burst] == [True] * 5
    assert [each.remaining for each in burst] == [4, 3, 2, 1, 0]
    assert refused == Decision(False, NOON + timedelta(minutes=15), 0, 180, 900)


def test_the_wait_is_long_enough():
    refused = take_all(LOGIN, [NOON] * 6)[-1]
    soon = NOON + timedelta(seconds=refused.retry_after_seconds)
    assert not take(refused.tat, LOGIN, soon - timedelta(microseconds=1)).allowed
    assert take(refused.tat, LOGIN, soon).allowed


def test_a_refused_request_spends_nothing():
    refused = take_all(LOGIN, [NOON] * 6)[-1]
    assert take(refused.tat, LOGIN, NOON) == refused


def test_twenty_a_second_refill_every_twentieth():
    limit = Limit(1, Fraction(1, 20))
    first = take(None, limit, NOON)
    assert not take(first.tat, limit, NOON + timedelta(milliseconds=49)).allowed
    assert take(first.tat, limit, NOON + timedelta(milliseconds=50)).allowed


def test_a_clock_set_back_locks_nobody_out():
    ahead = take_all(LOGIN, [NOON + timedelta(days=365)] * 5)[-1]
    refused = take(ahead.tat, LOGIN, NOON)
    assert refused.retry_after_seconds == 180


@given(limits, steps)
def test_no_stretch_of_time_lets_more_through_than_burst_and_refill(limit: Limit, gaps: list[timedelta]):
    moments = moments_of(gaps)
    passed = [now for now, each in zip(moments, take_all(limit, moments), strict=True) if each.allowed]
    for first in range(len(passed)):
        for last in range(first, len(passed)):
            assert last - first + 1 <= limit.burst + (passed[last] - passed[first]) // limit.interval


@given(limits, steps)
def test_a_decision_tells_the_truth(limit: Limit, gaps: list[timedelta]):
    moments = moments_of(gaps)
    for now, each in zip(moments, take_all(limit, moments), strict=True):
        more = take_all_from(each.tat, limit, now, each.remaining + 1)
        assert more == [True] * each.remaining + [False]
        assert (each.retry_after_seconds == 0) == each.allowed
        assert take(each.tat, limit, now + timedelta(seconds=each.retry_after_seconds) + limit.interval).allowed
        full = take(each.tat, limit, now + timedelta(seconds=each.reset_seconds))
        assert full.remaining == limit.burst - 1


def take_all_from(tat: datetime, limit: Limit, now: datetime, count: int) -> list[bool]:
    allowed: list[bool] = []
    for _ in range(count):
        decision = take(tat, limit, now)
        tat = decision.tat
        allowed.append(decision.allowed)
    return allowed


@pytest.mark.parametrize(("burst", "refill_seconds"), [(0, 1), (1, 0), (1, -1), (1, Fraction(1, 10**9))])
def test_a_limit_lets_something_through(burst: int, refill_seconds: Fraction | int):
    with pytest.raises(ValueError, match="a limit lets something through"):
        Limit(burst, refill_seconds)


@given(limits, steps)
def test_who_waits_for_a_turn_comes_in_order_and_as_often_as_who_is_refused_may_ask(
    limit: Limit, gaps: list[timedelta]
) -> None:
    tat, turns = None, list[datetime]()
    for now in moments_of(gaps):
        tat, turn = in_turn(tat, limit, now)
        assert turn >= now
        turns.append(turn)
    assert turns == sorted(turns)
    assert all(decision.allowed for decision in take_all(limit, turns))
