"""What came in lately, and the latest sales: read from one index, however many orders there are."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

import msgspec
from sqlalchemy import func, select

from keysat.catalog.read import names_of
from keysat.checkout.read import orders_of
from keysat.checkout.tables import Order, OrderStatus, PaidHow, Purpose
from keysat.infra.work import Read
from keysat.kit.money import Money

DAY, WEEK, MONTH = timedelta(hours=24), timedelta(days=7), timedelta(days=30)


class Figure(StrEnum):
    ORDERS = "orders"
    VALUE = "value"  # in the currency's minor unit
    SATS = "sats"


class Sold(msgspec.Struct, frozen=True, kw_only=True):
    """An order in short. `what`: the names of product and tier. `paid_at` null: it is no sale, so far."""

    id: UUID
    support_reference: str
    purpose: Purpose
    status: OrderStatus
    what: str
    price: Money
    sats: Money | None
    created_at: datetime
    paid_at: datetime | None


async def lately(read: Read, now: datetime) -> Counter[tuple[str, Figure, timedelta]]:
    """Of orders that were paid in the last day, week and month, to the second; by currency. Free ones do not count."""
    found: Counter[tuple[str, Figure, timedelta]] = Counter()
    sums = func.count(), func.sum(Order.listed_value), func.sum(func.coalesce(Order.amount_sats, 0))
    for span in (DAY, WEEK, MONTH):
        paid = Order.paid_at > now - span, Order.paid_how != PaidHow.FREE
        by_currency = select(Order.listed_currency, *sums).where(*paid).group_by(Order.listed_currency)
        for currency, *figures in await read.session.execute(by_currency):
            for figure, value in zip(Figure, figures, strict=True):
                found[currency, figure, span] = int(value)
    return found


async def latest_sales(read: Read, most: int) -> Sequence[Sold]:
    """The one paid last first."""
    paid = Order.paid_at.is_not(None), Order.paid_how != PaidHow.FREE
    rows = await read.session.scalars(
        select(Order).where(*paid).order_by(Order.paid_at.desc(), Order.id.desc()).limit(most)
    )
    return await _in_short(read, rows.all())


async def orders_in_short(read: Read, order_ids: Iterable[UUID]) -> Mapping[UUID, Sold]:
    """Those of these ids."""
    return {one.id: one for one in await _in_short(read, await orders_of(read, order_ids))}


async def _in_short(read: Read, rows: Sequence[Order]) -> Sequence[Sold]:
    products, tiers = await names_of(
        read, (row.product_id for row in rows), (row.policy_id for row in rows if row.policy_id is not None)
    )

    def what(row: Order) -> str:
        named = [products[row.product_id], *([tiers[row.policy_id]] if row.policy_id is not None else [])]
        return " ".join(one.name for one in named)

    return [
        Sold(
            id=row.id,
            support_reference=row.support_reference,
            purpose=row.purpose,
            status=row.status,
            what=what(row),
            price=Money(row.listed_currency, row.listed_value),
            sats=Money("SAT", row.amount_sats) if row.amount_sats and row.listed_currency != "SAT" else None,
            created_at=row.created_at,
            paid_at=row.paid_at,
        )
        for row in rows
    ]
