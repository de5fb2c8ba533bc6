"""Lists by what their caller wants of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, inspect, select, tuple_

from keysat.infra.tables import Base
from keysat.infra.work import Read
from keysat.kit.paging import Page, cursor_parts, page_of

Row = TypeVar("Row", bound=Base)


def filtered(query: Select[Row], model: type[Row], wanted: msgspec.Struct) -> Select[Row]:
    """Those whose columns have the values of the fields of the same names; what is None does not filter.

    `paid_after` and `paid_before` are about the column `paid_at` or `paid`: from that moment on, and up to
    it without it.
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
    read: Read,
    model: type[Row],
    wanted: msgspec.Struct,
    limit: int,
    cursor: str | None,
    *also: ColumnElement[bool],
    by: str = "created_at",
    of: object = None,
) -> Page[Row]:
    """A page of the `filtered`, by the moment `by` and then by id, both descending. `of`: what `also` is about.

    Raises BadRequest for a cursor that is not ours.
    """
    key, of = (getattr(model, by), inspect(model).primary_key[0]), (model.__tablename__, wanted, of)
    if cursor is not None:
        moment, _ = cursor_parts(cursor, datetime, UUID, of=of)
        wanted = _without_idle_bound(wanted, f"{by.removesuffix('_at')}_before", moment)
    query = filtered(select(model).where(*also), model, wanted)
    return await paged(read, query, key, limit, cursor, of=of, latest_first=True)


async def paged(
    read: Read,
    query: Select[Row],
    key: Sequence[Any],
    limit: int,
    cursor: str | None,
    *,
    of: object,
    latest_first: bool = False,
) -> Page[Row]:
    """A page of the rows in the order of these columns, of which no two rows have all alike. `of`: as `page_of`.

    Raises BadRequest for a cursor that is not ours.
    """
    if cursor is not None:
        last = tuple_(*cursor_parts(cursor, *(column.type.python_type for column in key), of=of))
        query = query.where(tuple_(*key) < last if latest_first else tuple_(*key) > last)
    order = (column.desc() if latest_first else column for column in key)
    rows = (await read.session.scalars(query.order_by(*order).limit(limit + 1))).all()
    return page_of(rows, limit, lambda row: (getattr(row, column.key) for column in key), of=of)


def _without_idle_bound(wanted: msgspec.Struct, bound: str, moment: datetime) -> msgspec.Struct:
    """What the cursor says already, since SQLite would begin at this bound instead, and walk up to the cursor."""
    before: datetime | None = getattr(wanted, bound, None)
    is_idle = before is not None and moment < before
    return msgspec.structs.replace(wanted, **{bound: None}) if is_idle else wanted


def _moment(model: type[Row], stem: str) -> Any:
    return getattr(model, f"{stem}_at" if hasattr(model, f"{stem}_at") else stem)
