"""Lists by what their caller wants of them."""

from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Select, inspect, tuple_

from keysat.infra.tables import Base
from keysat.infra.work import Read
from keysat.kit.paging import Page, cursor_parts, page_of

Row = TypeVar("Row", bound=Base)


def filtered(query: Select[Row], model: type[Row], wanted: msgspec.Struct) -> Select[Row]:
    """Those whose columns have the values of the fields of the same names; what is None does not filter.

    `paid_after` and `paid_before` are about the column `paid_at`: from that moment on, and up to it without it.
    """
    for name in wanted.__struct_fields__:
        value = getattr(wanted, name)
        if value is None:
            continue
        stem, _, bound = name.rpartition("_")
        if bound == "after":
            query = query.where(_moment(model, stem) >= value)
        elif bound == "before":
            query = query.where(_moment(model, stem) < value)
        else:
            query = query.where(getattr(model, name) == value)
    return query


async def latest_first(
    read: Read, query: Select[Row], model: type[Row], limit: int, cursor: str | None, *, by: str = "created_at"
) -> Page[Row]:
    """A page by the moment `by` and then by id, both descending. Raises BadRequest for a cursor that is not ours."""
    at, key = getattr(model, by), inspect(model).primary_key[0]
    if cursor is not None:
        query = query.where(tuple_(at, key) < tuple_(*cursor_parts(cursor, datetime, UUID)))
    rows = (await read.session.scalars(query.order_by(at.desc(), key.desc()).limit(limit + 1))).all()
    return page_of(rows, limit, lambda row: (getattr(row, by).isoformat(), str(getattr(row, key.name))))


def _moment(model: type[Row], stem: str) -> Any:
    return getattr(model, f"{stem}_at" if hasattr(model, f"{stem}_at") else stem)
