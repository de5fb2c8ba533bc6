from datetime import UTC

from keysat.kit.clock import SystemClock


def test_the_clock_is_aware_in_utc_and_does_not_go_back():
    clock = SystemClock()
    first = clock.now()
    assert first.tzinfo is UTC
    assert clock.now() >= first
