"""What may be written into the catalog. Every refusal is a BadRequest that says what to do."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from keysat.kit.currencies import SAT
from keysat.kit.errors import BadRequest
from keysat.kit.money import MAX_MINOR, MAX_SATS
from keysat.kit.periods import Period, Unit

NAME_MAX = 200
DESCRIPTION_MAX = 10_000
METADATA_BYTES_MAX = 16 * 1024
METADATA_DEPTH_MAX = 16
SECONDS_MAX = 100 * 366 * 86_400
"""A century: anything longer is meant to be perpetual, which is written 0."""

_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Input(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an operator sends. A misspelt field is refused: it would silently do nothing."""


class PeriodInput(Input, frozen=True):
    count: int
    unit: Unit

    def period(self) -> Period:
        return Period(self.count, self.unit)


def one_period(days: int | None, period: PeriodInput | None) -> Period | None:
    """From the two words a request has for it; 0 days is none. Raises BadRequest when both are given."""
    if days and period is not None:
        raise BadRequest("renewal_period and renewal_period_days are two words for one thing. Give one of them.")
    if period is not None:
        return period.period()
    return Period(days, Unit.DAY) if days else None


def slug(value: str) -> None:
    if not _SLUG.fullmatch(value):
        raise BadRequest(
            f"{value[:64]!r} is not a slug: use 1 to 63 of a-z, 0-9, _ and -, beginning with a letter or a digit."
        )


def text(field: str, value: str, most: int) -> None:
    if len(value) > most:
        raise BadRequest(f"{field} has {len(value)} characters. Shorten it to {most}.")
    if _CONTROL.search(value):
        raise BadRequest(f"{field} has control characters in it. Remove them.")


def name(value: str) -> None:
    text("name", value, NAME_MAX)
    if not value.strip():
        raise BadRequest(f"name is empty. Give one of 1 to {NAME_MAX} characters.")


def between(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise BadRequest(f"{field} is {value}. Give a whole number from {least} to {most}.")


def instant(field: str, value: datetime) -> datetime:
    """In UTC, whose calendar ends a day before or after that of some zones."""
    if value.tzinfo is not None:
        try:
            return value.astimezone(UTC)
        except OverflowError:
            pass
    raise BadRequest(f"{field} is no moment of the years 1 to 9999 in UTC. Give one, such as 2030-12-31T18:00:00Z.")


def price(field: str, value: int, currency: str) -> None:
    """In minor units of the currency."""
    between(field, value, 0, MAX_SATS if currency == SAT else MAX_MINOR)


def metadata(value: dict[str, Any]) -> None:
    if _depth(value) > METADATA_DEPTH_MAX:
        raise BadRequest(f"metadata is nested more than {METADATA_DEPTH_MAX} deep. Flatten it.")
    size = len(msgspec.json.encode(value))
    if size > METADATA_BYTES_MAX:
        raise BadRequest(f"metadata takes {size} bytes as JSON. Keep it below {METADATA_BYTES_MAX + 1}.")


def texts(field: str, values: Sequence[str], most: int, length_max: int) -> None:
    if len(values) > most:
        raise BadRequest(f"{field} has {len(values)} entries. Keep it to {most}.")
    for value in values:
        text(field, value, length_max)


def _depth(value: dict[str, Any]) -> int:
    """Levels of objects and lists, counted without recursion."""
    deepest = 0
    ahead: list[tuple[object, int]] = [(value, 1)]
    while ahead and deepest <= METADATA_DEPTH_MAX:
        found, depth = ahead.pop()
        if isinstance(found, dict):
            inner = list(cast("dict[str, object]", found).values())
        elif isinstance(found, list):
            inner = cast("list[object]", found)
        else:
            continue
        deepest = max(deepest, depth)
        ahead += [(item, depth + 1) for item in inner]
    return deepest
