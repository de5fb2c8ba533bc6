from datetime import timedelta
from pathlib import Path

import pytest

from keysat.kit.clock import OFFSET_FILE, OffsetClock
from keysat.kit.errors import BadRequest
from keysat.upkeep.offset import parse_span, put_forward
from tests.conftest import NOON


class Noon:
    def now(self):
        return NOON


def test_what_is_put_forward_adds_up_and_a_running_clock_follows(tmp_path: Path):
    clock = OffsetClock(Noon(), (tmp_path / OFFSET_FILE).read_text)
    put_forward(tmp_path, timedelta(days=31))
    assert clock.now() == NOON + timedelta(days=31)
    assert put_forward(tmp_path, timedelta(hours=2)) == timedelta(days=31, hours=2)
    assert clock.now() == NOON + timedelta(days=31, hours=2)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("31d", timedelta(days=31)),
        ("12h", timedelta(hours=12)),
        ("90m", timedelta(minutes=90)),
        ("45s", timedelta(seconds=45)),
    ],
)
def test_spans_are_read(text: str, span: timedelta):
    assert parse_span(text) == span


@pytest.mark.parametrize("text", ["", "31", "d", "-1d", "1.5d", "1 year", "999999d"])
def test_what_is_no_span_is_refused(text: str):
    with pytest.raises(BadRequest):
        parse_span(text)
