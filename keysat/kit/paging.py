"""Pages by key, not by number: a page begins after the last row of the one before, whatever was added since."""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from keysat.kit.errors import BadRequest

LIMIT_DEFAULT = 50
LIMIT_MAX = 200

Part = str | int
T = TypeVar("T")

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
    raise BadRequest("this cursor is not one of ours: send next_cursor of the page before, or none at all")


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
