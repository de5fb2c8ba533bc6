"""The one home of the clock. It is read at the door of a request or job; below, now is an argument."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

OFFSET_FILE = "clock-offset"
"""In the data directory of a sandbox shop, whose wallet reads it too, so that both can be put forward together."""


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, always aware and in UTC."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class OffsetClock:
    """Another clock put forward by the whole seconds in a text, asked for at each look: whoever runs follows at once.

    `read` raises FileNotFoundError, or returns an empty text, where there is no offset.
    """

    def __init__(self, clock: Clock, read: Callable[[], str]) -> None:
        self._clock = clock
        self._read = read

    def now(self) -> datetime:
        return self._clock.now() + timedelta(seconds=offset_seconds(self._read))


def offset_seconds(read: Callable[[], str]) -> int:
    try:
        return int(read() or 0)
    except FileNotFoundError:
        return 0
