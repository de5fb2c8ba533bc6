"""The clock of a sandbox shop: real time, put forward. A live shop has none."""

import re
from datetime import datetime, timedelta
from pathlib import Path

from keysat.kit.clock import Clock
from keysat.kit.errors import BadRequest

OFFSET_FILE = "clock-offset"  # whole seconds; the sandbox wallet reads the same file
_SPAN = re.compile(r"(\d{1,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class OffsetClock:
    """Reads the file at each door, so that a running shop and its wallet follow at once."""

    def __init__(self, clock: Clock, data_dir: Path) -> None:
        self._clock = clock
        self._path = data_dir / OFFSET_FILE

    def now(self) -> datetime:
        return self._clock.now() + timedelta(seconds=_seconds(self._path))


def put_forward(data_dir: Path, span: timedelta) -> timedelta:
    """Adds to the offset; returns all of it."""
    path = data_dir / OFFSET_FILE
    seconds = _seconds(path) + int(span.total_seconds())
    path.write_text(f"{seconds}\n")
    return timedelta(seconds=seconds)


def parse_span(text: str) -> timedelta:
    """`31d`, `12h`, `90m`, `45s`. Raises BadRequest."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise BadRequest(f"{text[:20]!r} is no span of time: write 31d, 12h, 90m or 45s.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _seconds(path: Path) -> int:
    try:
        return int(path.read_text() or 0)
    except FileNotFoundError:
        return 0
