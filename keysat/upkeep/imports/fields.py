"""What a table of ours takes: read by that from a row of the published server, or refused."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import String, inspect

from keysat.catalog.checks import SECONDS_MAX
from keysat.catalog.policy_values import GRACE_DAYS_MAX, MACHINES_MAX, RANK_MAX
from keysat.infra.tables import Base
from keysat.kit.money import MAX_MINOR
from keysat.upkeep.imports.source import Row, there

Values = dict[str, Any]
"""Of a row as it is written here, and what else is known of it."""
NOUNS = {
    "merchant_profiles": "a merchant profile",
    "products": "a product",
    "policies": "a tier",
    "discount_codes": "a code",
    "orders": "an order",
    "licenses": "a license",
}
"""Of what a row may hang on, by our tables."""
CUT = {
    "deactivation_reason",
    "exchange_rate_source",
    "hostname",
    "label",
    "legal_name",
    "name",
    "platform",
    "referrer_label",
}
"""Texts that are only read by people: what is longer than we keep is cut off."""
LOWERED = {"duration_seconds": SECONDS_MAX, "grace_seconds": SECONDS_MAX, "max_machines": MACHINES_MAX}
"""Numbers that had no limit there, to the highest that is kept."""
MOST = {"grace_period_days": GRACE_DAYS_MAX, "tier_rank": RANK_MAX}
"""Numbers that make no sense above it; above `MAX_MINOR` none does."""


@dataclass(frozen=True, slots=True)
class Field:
    kind: type
    length: int | None
    is_needed: bool
    refers_to: tuple[str, ...]


@cache
def _fields(model: type[Base]) -> Mapping[str, Field]:
    """By attribute."""
    columns = {attribute.key: attribute.columns[0] for attribute in inspect(model).column_attrs}
    return {
        key: Field(
            column.type.python_type,
            column.type.length if isinstance(column.type, String) else None,
            not column.nullable,
            tuple(reference.column.table.name for reference in column.foreign_keys),
        )
        for key, column in columns.items()
    }


def alike(row: Row, now: datetime, model: type[Base], *same: str, **called: str) -> Values:
    """What means the same there: columns of one name, and our names with theirs. Each is read as our table takes it.

    A moment that has to be there is now, where nobody can read it. Raises Senseless.
    """
    fields, theirs = _fields(model), dict(zip(same, same, strict=True)) | called
    return {ours: _read(row, now, name, fields[ours]) for ours, name in theirs.items()}


def _read(row: Row, now: datetime, name: str, field: Field) -> Any:
    if field.kind is datetime:
        value = row.moment(name) or (now if field.is_needed else None)
    elif field.kind is UUID:
        value = row.id_or_none(name)
    elif field.kind is bool:
        value = row.flag(name)
    elif field.kind is int:
        value = row.whole_or_none(name, MOST.get(name, MAX_MINOR))
        value = value if value is None else min(value, LOWERED.get(name, value))
    elif issubclass(field.kind, StrEnum):
        value = field.kind(row.one_of(name, list(field.kind)))
    elif name.endswith("currency"):
        value = row.currency(name)
    else:
        value = row.words(name, field.length if name in CUT else None)
    return there(value, name) if field.is_needed else value


def misfit(model: type[Base], values: Mapping[str, Any], here: Mapping[str, AbstractSet[UUID]]) -> str | None:
    """Why the table cannot take the row; None: it can. `here`: ids that can be named, by table."""
    told = [(key, value, field) for key, field in _fields(model).items() if (value := values.get(key)) is not None]
    for _, value, field in told:
        for table in field.refers_to:
            if table in NOUNS and value not in here[table]:
                return f"names {NOUNS[table]} that did not come"
    for key, value, field in told:
        if field.kind is str and "\0" in value:
            return f"has a {key} that is no text"
        if field.kind is str and field.length is not None and len(value) > field.length:
            return f"has a {key} of {len(value)} characters, and {field.length} are kept"
    return None
