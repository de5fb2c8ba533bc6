from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.kit.backoff import Backoff, with_jitter

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

delays = st.timedeltas(timedelta(microseconds=1), timedelta(days=2))
fractions = st.fractions(0, 1).filter(lambda fraction: fraction < 1)


def test_the_delays_come_in_order_and_then_the_last_for_ever():
    settle = Backoff((MINUTE, 10 * MINUTE, HOUR), timedelta(days=1))
    assert [settle.after(failures) for failures in range(1, 6)] == [
        *(MINUTE, 10 * MINUTE, HOUR, timedelta(days=1), timedelta(days=1)),
    ]


def test_the_tries_can_be_used_up():
    assert Backoff((MINUTE,), None).after(1) == MINUTE
    assert Backoff((MINUTE,), None).after(2) is None
    assert Backoff((), None).after(1) is None


def test_without_a_failure_there_is_nothing_to_wait_for():
    with pytest.raises(ValueError, match="0 failures"):
        Backoff((MINUTE,), None).after(0)


@given(delays, fractions, st.integers(0, 100))
def test_jitter_only_adds_and_no_more_than_its_share(delay: timedelta, fraction: Fraction, percent: int):
    assert delay <= with_jitter(delay, fraction, percent) <= delay + delay * percent / 100


def test_jitter_is_exact():
    assert with_jitter(HOUR, Fraction(1, 2), 10) == timedelta(minutes=63)
