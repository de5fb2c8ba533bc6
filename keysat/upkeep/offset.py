"""Putting the clock of a sandbox shop forward. A live shop has real time only."""

import re
from datetime import timedelta
from pathlib import Path

from keysat.kit.clock import OFFSET_FILE, offset_seconds
from keysat.kit.errors import BadRequest

_SPAN = re.compile(r"(\d{1,5})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def put_forward(data_dir: Path, span: timedelta) -> timedelta:
    """Adds to the offset; returns all of it."""
    path = data_dir / OFFSET_FILE
    seconds = offset_seconds(path.read_text) + int(span.total_seconds())
    whole = path.with_suffix(".new")
    whole.write_text(f"{seconds}\n")
    whole.replace(path)  # who reads meanwhile sees the one or the other: an empty file would turn time back
    return timedelta(seconds=seconds)


def parse_span(text: str) -> timedelta:
    """`31d`, `12h`, `90m`, `45s`. Raises BadRequest."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise BadRequest(f"{text[:20]!r} is no span of time: write 31d, 12h, 90m or 45s.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})
