"""Pages by key, not by number: a page begins after the last row of the one before, whatever was added since."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar, cast, overload
from uuid import UUID

from keysat.kit.errors import BadRequest

LIMIT_DEFAULT = 50
LIMIT_MAX = 200

Part = str | int
Key = str | int | UUID | datetime
T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")

_FOREIGN = (
    "this cursor is not one of this list with these filters: "
    "send next_cursor of the page before with all that it was asked for, or no cursor at all"
)
_MARK_DIGITS = 12
_TEXT_MAX = 2048  # 200 characters of four bytes each, with an id and the mark, are 1,150
_INT_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: list[T]
    next_cursor: str | None
    """None on the last page."""

    def map(self, view: Callable[[T], A]) -> "Page[A]":
        return Page([view(item) for item in self.items], self.next_cursor)


def encode_cursor(*parts: Part) -> str:
    """The sort key of a row as opaque text: base64url of a JSON array."""
    body = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def decode_cursor(text: str, length: int) -> tuple[Part, ...]:
    """Back to `length` parts, each a string without NUL or an integer of 64 bits. Raises BadRequest for all else."""
    try:
        parts = _parts(text)
        if parts is not None and len(parts) == length and encode_cursor(*parts) == text:
            return parts
    except (ValueError, RecursionError):
        pass
    raise BadRequest(_FOREIGN)


@overload
def cursor_parts(text: str, first: type[A], /, *, of: object) -> tuple[A]: ...
@overload
def cursor_parts(text: str, first: type[A], second: type[B], /, *, of: object) -> tuple[A, B]: ...
@overload
def cursor_parts(text: str, first: type[A], second: type[B], third: type[C], /, *, of: object) -> tuple[A, B, C]: ...
@overload
def cursor_parts(text: str, *kinds: type[Any], of: object) -> tuple[Any, ...]: ...
def cursor_parts(text: str, *kinds: type[Any], of: object) -> tuple[Any, ...]:
    """Back to values of these kinds, as `page_of` wrote them. `of`: as there.

    Raises BadRequest for all else, and for the cursor of another list, or of this one with other filters.
    """
    *parts, mark = decode_cursor(text, len(kinds) + 1)
    if mark != mark_of(of):
        raise BadRequest(_FOREIGN)
    try:
        return tuple(_READ[kind](part) for kind, part in zip(kinds, parts, strict=True))
    except ValueError:
        raise BadRequest(_FOREIGN) from None


def page_of(rows: Sequence[T], limit: int, key: Callable[[T], Iterable[Key]], *, of: object) -> Page[T]:
    """Of `limit + 1` rows asked of the database: the surplus row only tells that there is a next page.

    `key` gives the parts of a row's cursor, in the order of the sort; moments in UTC. `of`: the list's name with its
    filters, whose `repr` tells them apart; the cursor is good for no other.
    """
    items = list(rows[:limit])
    if len(rows) <= limit:
        return Page(items, None)
    return Page(items, encode_cursor(*map(_written, key(items[-1])), mark_of(of)))


def mark_of(of: object) -> str:
    """The last part of a cursor. No secret: it is there against mistakes."""
    return hashlib.sha256(repr(of).encode()).hexdigest()[:_MARK_DIGITS]


def _written(value: Key) -> Part:
    if isinstance(value, UUID):
        return str(value)
    return value.isoformat() if isinstance(value, datetime) else value


def _parts(text: str) -> tuple[Part, ...] | None:
    if len(text) > _TEXT_MAX:
        return None
    body = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    found: object = json.loads(body)
    if not isinstance(found, list):
        return None
    parts = cast("list[object]", found)
    return tuple(cast("list[Part]", parts)) if all(map(_is_part, parts)) else None


def _is_part(part: object) -> bool:
    if isinstance(part, str):
        return "\0" not in part  # which PostgreSQL cannot hold
    return isinstance(part, int) and not isinstance(part, bool) and abs(part) <= _INT_MAX


def _text(part: Part) -> str:
    if isinstance(part, str):
        return part
    raise ValueError


def _number(part: Part) -> int:
    if isinstance(part, int):
        return part
    raise ValueError


def _moment(part: Part) -> datetime:
    moment = datetime.fromisoformat(_text(part))
    if moment.utcoffset() != timedelta():
        raise ValueError
    return moment


_READ: Mapping[type[object], Callable[[Part], object]] = {
    str: _text,
    int: _number,
    UUID: lambda part: UUID(_text(part)),
    datetime: _moment,
}
