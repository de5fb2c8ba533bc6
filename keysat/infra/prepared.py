"""A statement compiled once, which goes straight to the driver with its values converted as SQLAlchemy would.

For what runs so often that SQLAlchemy's care for each value of each row would hold up the loop.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Dialect, Insert, Select

Conversions = tuple[tuple[int, Callable[[Any], Any]], ...]
"""Position and function of the values that the driver does not take, or give, as they are wanted."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A select or an insert by its bind parameters, in the order of the text, compiled for one dialect."""

    sql: str
    binds: Conversions
    columns: Conversions

    @staticmethod
    @lru_cache(maxsize=64)
    def of(statement: Select[*tuple[Any, ...]] | Insert, dialect: Dialect, schema: str | None = None) -> "Prepared":
        elsewhere: dict[str, Any] = (
            {"schema_translate_map": {None: schema}, "render_schema_translate": True} if schema else {}
        )
        compiled = statement.compile(dialect=dialect, **elsewhere)
        binds = (compiled.binds[name].type.dialect_impl(dialect) for name in compiled.positiontup or ())
        selected = statement.selected_columns if isinstance(statement, Select) else ()
        columns = (column.type.dialect_impl(dialect) for column in selected)
        return Prepared(
            sql=str(compiled),
            binds=_conversions(kind.bind_processor(dialect) for kind in binds),
            columns=_conversions(kind.result_processor(dialect, None) for kind in columns),
        )

    def arguments(self, values: Iterable[object]) -> tuple[object, ...]:
        return _converted(values, self.binds)

    def row(self, raw: Iterable[object]) -> tuple[object, ...]:
        return _converted(raw, self.columns)


def _conversions(found: Iterable[Callable[[Any], Any] | None]) -> Conversions:
    return tuple((position, convert) for position, convert in enumerate(found) if convert is not None)


def _converted(values: Iterable[object], conversions: Conversions) -> tuple[object, ...]:
    converted = list(values)
    for position, convert in conversions:
        converted[position] = convert(converted[position])
    return tuple(converted)
