"""How large the database is, and how much stands in it."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, func, select, text

from keysat.catalog.tables import DiscountCode, Policy, Product
from keysat.checkout.tables import Order, OrderStatus
from keysat.infra.reader import head
from keysat.infra.store import Store
from keysat.infra.tables import Base, EventRow
from keysat.infra.work import Read
from keysat.licenses.tables import License, LicenseStatus, Machine


class DatabaseCounts(msgspec.Struct, frozen=True, kw_only=True):
    """`invoices` are orders, and `audit_log` the events."""

    products: int
    policies: int
    licenses_total: int
    licenses_active: int
    invoices_total: int
    invoices_settled: int
    machines_active: int
    discount_codes: int
    audit_log: int


class Database(msgspec.Struct, frozen=True, kw_only=True):
    """`name` of the file, or of PostgreSQL's database. `size_bytes`: -1 where it is not told."""

    kind: str
    name: str
    size_bytes: int
    last_write_at: datetime | None
    counts: DatabaseCounts


async def database(read: Read, store: Store) -> Database:
    return Database(
        kind="sqlite" if store.is_sqlite else "postgresql",
        name=str(store.url.database or "").rpartition("/")[2],
        size_bytes=await _size(read, store),
        last_write_at=await read.session.scalar(select(EventRow.at).order_by(EventRow.id.desc()).limit(1)),
        counts=await _counts(read),
    )


async def _counts(read: Read) -> DatabaseCounts:
    licenses = await _count(read, License)
    return DatabaseCounts(
        products=await _count(read, Product),
        policies=await _count(read, Policy),
        licenses_total=licenses,
        licenses_active=licenses - await _count(read, License, License.status != LicenseStatus.ACTIVE),
        invoices_total=await _count(read, Order),
        invoices_settled=await _count(read, Order, Order.status == OrderStatus.FULFILLED),
        machines_active=await _count(read, Machine, Machine.deactivated_at.is_(None)),
        discount_codes=await _count(read, DiscountCode),
        audit_log=await head(read),  # without gaps
    )


async def _count(read: Read, model: type[Base], *which: ColumnElement[bool]) -> int:
    counted: Select[Any] = select(func.count()).select_from(model).where(*which)
    return (await read.session.scalars(counted)).one()


async def _size(read: Read, store: Store) -> int:
    if not store.is_sqlite:
        return await read.session.scalar(text("SELECT pg_database_size(current_database())")) or -1
    pages = await read.session.scalar(text("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"))
    return pages or -1
