"""Pages by key, not by number: a page begins after the last row of the one before, whatever was added since."""

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar, cast, overload
from uuid import UUID

from keysat.kit.errors import BadRequest

LIMIT_DEFAULT = 50
LIMIT_MAX = 200

Part = str | int
T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")

_FOREIGN = "this cursor is not one of ours: send next_cursor of the page before, or none at all"
_TEXT_MAX = 1024
_INT_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    items: list[T]
    next_cursor: str | None
    """None on the last page."""


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
def cursor_parts(text: str, first: type[A], /) -> tuple[A]: ...
@overload
def cursor_parts(text: str, first: type[A], second: type[B], /) -> tuple[A, B]: ...
@overload
def cursor_parts(text: str, first: type[A], second: type[B], third: type[C], /) -> tuple[A, B, C]: ...
def cursor_parts(text: str, *kinds: type[object]) -> tuple[object, ...]:
    """Back to values of these kinds: str, int, UUID (written as `str` does) and datetime (as `isoformat` does, in UTC).

    Raises BadRequest for all else.
    """
    parts = decode_cursor(text, len(kinds))
    try:
        return tuple(_READ[kind](part) for kind, part in zip(kinds, parts, strict=True))
    except ValueError:
        raise BadRequest(_FOREIGN) from None


def page_of(rows: Sequence[T], limit: int, key: Callable[[T], tuple[Part, ...]]) -> Page[T]:
    """Of `limit + 1` rows asked of the database: the surplus row only tells that there is a next page.

    `key` gives the parts of a row's cursor, in the order of the sort.
    """
    items = list(rows[:limit])
    return Page(items, encode_cursor(*key(items[-1])) if len(rows) > limit else None)


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
