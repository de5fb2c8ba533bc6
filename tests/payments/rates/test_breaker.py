from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from keysat.payments.rates.breaker import (
    CLOSED,
    FAILURES_MAX,
    RETRY_AFTER_MAX,
    WAIT_MAX,
    WAIT_MIN,
    Breaker,
    asked,
    failed,
    may_ask,
    succeeded,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def opened() -> Breaker:
    return failed(CLOSED, NOW, throttled=True)


def test_two_failures_leave_a_source_in_and_the_third_opens_it_for_thirty_seconds() -> None:
    twice = failed(failed(CLOSED, NOW), NOW)
    assert may_ask(twice, NOW)
    thrice = failed(twice, NOW)
    assert not may_ask(thrice, NOW + timedelta(seconds=29))
    assert may_ask(thrice, NOW + timedelta(seconds=30))
    assert thrice.openings == 1


def test_a_success_in_between_starts_the_count_anew() -> None:
    state = succeeded(failed(failed(CLOSED, NOW), NOW))
    assert may_ask(failed(failed(state, NOW), NOW), NOW)


def test_being_throttled_opens_at_once() -> None:
    assert not may_ask(opened(), NOW)


def test_a_half_open_breaker_lets_one_probe_through() -> None:
    later = NOW + WAIT_MIN
    probing = asked(opened(), later)
    assert not may_ask(probing, later)
    assert may_ask(succeeded(probing), later)


def test_a_probe_that_never_reports_does_not_lock_the_source_out_for_ever() -> None:
    probing = asked(opened(), NOW + WAIT_MIN)
    assert may_ask(probing, NOW + WAIT_MIN + timedelta(seconds=10))


def test_each_failed_probe_doubles_the_wait_up_to_a_quarter_of_an_hour() -> None:
    state, now, waits = opened(), NOW, list[timedelta]()
    for _ in range(7):
        assert state.until is not None
        waits.append(state.until - now)
        now = state.until
        state = failed(asked(state, now), now)
    assert [wait.total_seconds() for wait in waits] == [30, 60, 120, 240, 480, 900, 900]
    assert state.openings == 8


def test_retry_after_lengthens_the_wait_but_not_beyond_an_hour() -> None:
    assert failed(CLOSED, NOW, throttled=True, retry_after_seconds=120).until == NOW + timedelta(seconds=120)
    assert failed(CLOSED, NOW, throttled=True, retry_after_seconds=1).until == NOW + WAIT_MIN
    assert failed(CLOSED, NOW, retry_after_seconds=10**9).until == NOW + RETRY_AFTER_MAX


def test_answers_to_questions_from_before_the_opening_neither_close_nor_double() -> None:
    state = opened()
    assert succeeded(state) == state
    assert failed(state, NOW) == state


@given(st.lists(st.tuples(st.sampled_from(["ok", "bad", "throttled"]), st.integers(0, 2000))))
def test_an_open_breaker_always_opens_up_again_within_its_longest_wait(story: list[tuple[str, int]]) -> None:
    state, now = CLOSED, NOW
    for step, seconds in story:
        now += timedelta(seconds=seconds)
        if may_ask(state, now):
            state = asked(state, now)
        before = state.openings
        state = succeeded(state) if step == "ok" else failed(state, now, throttled=step == "throttled")
        assert before <= state.openings <= before + 1
        assert state.failures < FAILURES_MAX
        assert may_ask(state, now + WAIT_MAX)
