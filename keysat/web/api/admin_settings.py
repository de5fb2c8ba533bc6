"""What the shop calls itself, and how large its database has become."""

from datetime import datetime
from typing import Annotated, Any

from litestar import get, post
from litestar.params import JSONBody
from msgspec import Meta
from sqlalchemy import ColumnElement, Select, func, select, text

from keysat.catalog.tables import DiscountCode, Policy, Product
from keysat.checkout.tables import Order, OrderStatus
from keysat.infra.tables import Base, EventRow, EventSeal
from keysat.infra.work import Read
from keysat.licenses.tables import License, LicenseStatus, Machine
from keysat.operators.scopes import Scope
from keysat.upkeep.operator_name import rename
from keysat.upkeep.shop import Shop
from keysat.web.auth import needs
from keysat.web.provide import WithActor, WithRead, WithShop
from keysat.web.wire import Line, Outbound, StrictInbound


class OperatorName(Outbound, frozen=True, kw_only=True):
    """`stored` here, else `fallback_env` of the settings, is `effective`. Null: none."""

    stored: str | None
    effective: str | None
    fallback_env: str | None


class Naming(StrictInbound, frozen=True, kw_only=True):
    """Null or empty: back to what the settings say."""

    name: Annotated[Line, Meta(examples=["Ada & Sons"])] | None


class Named(Outbound, frozen=True, kw_only=True):
    ok: bool = True
    operator_name: str | None


class DatabaseCounts(Outbound, frozen=True, kw_only=True):
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


class Database(Outbound, frozen=True, kw_only=True):
    """`name` of the file, or of PostgreSQL's database. `size_bytes`: -1 where it is not told."""

    kind: str
    name: str
    size_bytes: int
    last_write_at: datetime | None
    counts: DatabaseCounts


@get("/settings/operator-name", operation_id="getOperatorName")
async def get_operator_name(shop: WithShop) -> OperatorName:
    """As pages and letters show it, where no merchant profile has a name of its own."""
    return OperatorName(
        stored=shop.nameplate.stored, effective=shop.operator_name, fallback_env=shop.settings.operator_name
    )


@post("/settings/operator-name", operation_id="setOperatorName", status_code=200, opt=needs(Scope.OWNER))
async def set_operator_name(shop: WithShop, actor: WithActor, data: JSONBody[Naming]) -> Named:
    """Shown from now on, here and, half a minute later, by every other daemon of this shop."""
    async with shop.work(actor) as work:
        await rename(work, data.name)
    await shop.nameplate.read_again(shop.store)
    return Named(operator_name=shop.operator_name)


@get("/db-info", operation_id="getDatabase", opt=needs(Scope.OWNER))
async def get_database(shop: WithShop, read: WithRead) -> Database:
    """How large it is, and how much stands in it."""
    url = shop.store.url
    return Database(
        kind="sqlite" if shop.store.is_sqlite else "postgresql",
        name=str(url.database or "").rpartition("/")[2],
        size_bytes=await _size(read, shop),
        last_write_at=await read.session.scalar(select(EventRow.at).order_by(EventRow.id.desc()).limit(1)),
        counts=DatabaseCounts(
            products=await _count(read, Product),
            policies=await _count(read, Policy),
            licenses_total=(licenses := await _count(read, License)),
            licenses_active=licenses - await _count(read, License, License.status != LicenseStatus.ACTIVE),
            invoices_total=await _count(read, Order),
            invoices_settled=await _count(read, Order, Order.status == OrderStatus.FULFILLED),
            machines_active=await _count(read, Machine, Machine.deactivated_at.is_(None)),
            discount_codes=await _count(read, DiscountCode),
            audit_log=await read.session.scalar(select(func.max(EventSeal.position))) or 0,  # without gaps
        ),
    )


async def _count(read: Read, model: type[Base], *which: ColumnElement[bool]) -> int:
    counted: Select[Any] = select(func.count()).select_from(model).where(*which)
    return (await read.session.scalars(counted)).one()


async def _size(read: Read, shop: Shop) -> int:
    if not shop.store.is_sqlite:
        return await read.session.scalar(text("SELECT pg_database_size(current_database())")) or -1
    pages = await read.session.scalar(text("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"))
    return pages or -1


ROUTES = (get_operator_name, set_operator_name, get_database)
