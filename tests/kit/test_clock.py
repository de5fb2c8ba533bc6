from datetime import UTC, timedelta
from pathlib import Path

from keysat.kit.clock import OffsetClock, SystemClock
from tests.conftest import NOON


class Noon:
    def now(self):
        return NOON


def test_the_clock_is_aware_in_utc_and_does_not_go_back():
    clock = SystemClock()
    first = clock.now()
    assert first.tzinfo is UTC
    assert clock.now() >= first


def test_a_clock_is_put_forward_by_what_a_text_says_at_each_look(tmp_path: Path):
    path = tmp_path / "offset"
    clock = OffsetClock(Noon(), path.read_text)
    for text, days in ((None, 0), ("", 0), ("86400\n", 1), ("2678400", 31)):
        if text is not None:
            path.write_text(text)
        assert clock.now() == NOON + timedelta(days=days)
