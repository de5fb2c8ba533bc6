"""Looking customers up, and what belongs to those whose address or name begins with some text."""

from datetime import datetime
from enum import IntEnum
from typing import Any, TypeVar
from unicodedata import normalize
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, and_, not_, or_, select

from keysat.customers.tables import Customer
from keysat.infra.filtered import paged
from keysat.infra.planner import aside
from keysat.infra.work import Read
from keysat.kit.paging import Page, cursor_parts, page_of

Row = TypeVar("Row")
Text = ColumnElement[str | None]
LAST = "\U0010ffff"
"""No text goes on with a letter beyond this one."""


class CustomerRow(msgspec.Struct, frozen=True, kw_only=True):
    """`erased_at`: when the personal fields were emptied; the row stays, because orders refer to it."""

    id: UUID
    email: str | None
    name: str | None
    note: str | None
    created_at: datetime
    erased_at: datetime | None


class _By(IntEnum):
    """Where a text is looked for, in the order of what is found."""

    EMAIL = 1
    NAME = 2


async def customers(
    read: Read, limit: int, cursor: str | None = None, *, email_normal: str | None = None
) -> Page[CustomerRow]:
    """The newest first. Raises BadRequest for a cursor that is not ours."""
    query = select(Customer)
    if email_normal is not None:
        query = query.where(Customer.email_normal == email_normal)
    of, key = ("customers", email_normal), [Customer.id]  # ids grow with time
    return (await paged(read, query, key, limit, cursor, of=of, latest_first=True)).map(customer_row)


async def customers_beginning(read: Read, text: str, limit: int, cursor: str | None = None) -> Page[CustomerRow]:
    """As `beginning`."""
    page = await beginning(read, select(Customer), Customer.id.expression, text, limit, cursor, of="customers")
    return page.map(customer_row)


async def beginning(
    read: Read,
    rows: Select[Row],
    row_id: ColumnElement[Any],
    text: str,
    limit: int,
    cursor: str | None,
    *,
    of: object,
    few: bool = False,
) -> Page[Row]:
    """Of rows that are joined with `customers`: those whose buyer's address begins with the text, then his name.

    Sorted by what begins so, since an index walks along that however many there are; unless there are `few` rows, whose
    buyers are looked at instead. Addresses are found in any case, names as they are typed, or capitalised. `of`: as
    `page_of`, without the text. Raises BadRequest for a cursor that is not ours.
    """
    of = (of, text)
    begun, at, after = cursor_parts(cursor, int, str, UUID, of=of) if cursor is not None else (_By.EMAIL, None, None)
    email, name = Customer.email_normal.expression, Customer.name.expression
    if few:
        email, name = aside(read, email), aside(read, name)
    found: list[tuple[int, str, UUID, Row]] = []
    for by in _By:
        if by < begun or len(found) > limit:
            continue
        column = email if by is _By.EMAIL else name
        query = rows.where(_begins(by, email, name, text)).order_by(column, row_id).limit(limit + 1 - len(found))
        if by == begun and at is not None:
            query = query.where(column >= at, or_(column > at, row_id > after))
        told = await read.session.execute(query.add_columns(column, row_id))
        found += [(int(by), key, which, row) for row, key, which in told]
    return page_of(found, limit, lambda one: one[:3], of=of).map(lambda one: one[3])


def customer_row(row: Customer) -> CustomerRow:
    return msgspec.convert(row, CustomerRow, from_attributes=True)


def _begins(by: _By, email: Text, name: Text, text: str) -> ColumnElement[bool]:
    """What is found by its address is not found by its name again."""
    by_email = _prefixed(email, normalize("NFKC", text).lower())
    if by is _By.EMAIL:
        return by_email
    by_name = _prefixed(name, text.title() if text.islower() else text)
    return and_(by_name, or_(email.is_(None), not_(by_email)))


def _prefixed(column: Text, text: str) -> ColumnElement[bool]:
    return and_(column >= text, column < text + LAST)
