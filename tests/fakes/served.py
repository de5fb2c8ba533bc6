"""What fake servers have in common: a clock in the test's hand, what is asked and answered, and accidents."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

START = datetime(2026, 9, 21, 12, 0, tzinfo=UTC)


class HandClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def move(self, to: datetime) -> None:
        self._now = max(self._now, to)


class Accident(StrEnum):
    """What befalls the next answer."""

    LOST_BEFORE = "lost_before"  # the request never arrives
    LOST_AFTER = "lost_after"  # carried out, but the answer never arrives
    BUSY = "busy"  # 429 with Retry-After
    BROKEN = "broken"  # 500, not carried out
    GARBAGE = "garbage"  # carried out; 200, and no JSON
    LOCKED_OUT = "locked_out"  # 401


@dataclass
class Mishap:
    accident: Accident
    method: str  # "" for any
    path: str  # a part of it, "" for any


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]  # lower case
    body: bytes

    @property
    def key(self) -> str:
        return self.headers.get("authorization", "").partition(" ")[2]

    def json(self) -> dict[str, Any]:
        return json.loads(self.body)

    def values(self, name: str) -> list[str]:
        return [value for found, value in self.query if found == name]

    def number(self, name: str, otherwise: int) -> int:
        return int((self.values(name) or [str(otherwise)])[0])


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Refusal(Exception):
    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status, body)
        self.reply = Reply(status, json.dumps(body).encode())
