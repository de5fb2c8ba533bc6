"""Looking at the uses of codes: one by one, and summed up for those who brought the buyers."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import case, func, select, tuple_

from keysat.catalog.tables import DiscountCode
from keysat.checkout.tables import Order, OrderId, OrderStatus, Redemption, RedemptionId, RedemptionStatus
from keysat.infra.work import Read
from keysat.kit.paging import Page, cursor_parts, page_of


class RedemptionView(msgspec.Struct, frozen=True):
    """One use. `*_value` are minor units of `price_currency`; before and after the code."""

    id: RedemptionId
    order_id: OrderId
    invoice_id: str
    support_reference: str
    order_status: OrderStatus
    license_id: UUID | None
    status: RedemptionStatus
    price_currency: str
    base_price_value: int
    final_price_value: int
    base_price_sats: int
    final_price_sats: int
    discount_applied_sats: int
    created_at: datetime
    status_at: datetime


class ReportLine(msgspec.Struct, frozen=True):
    """What the codes with one label sold, for one currency of prices. Sums are of what was redeemed.

    `*_value` are minor units of `price_currency`. `open_uses` are reserved by orders that can still be paid.
    """

    referrer_label: str
    price_currency: str
    uses: int
    open_uses: int
    base_value: int
    discount_value: int
    charged_value: int
    discount_sats: int
    charged_sats: int


async def redemption_of(read: Read, order_id: OrderId) -> Redemption | None:
    return await read.session.scalar(select(Redemption).where(Redemption.order_id == order_id))


async def redemptions(read: Read, discount_id: UUID, limit: int, cursor: str | None) -> Page[RedemptionView]:
    """The newest first. Raises BadRequest for a cursor that is none."""
    of = ("redemptions", discount_id)
    query = (
        select(Redemption, Order)
        .join(Order, Order.id == Redemption.order_id)
        .where(Redemption.discount_id == discount_id)
        .order_by(Redemption.created_at.desc(), Redemption.id.desc())
        .limit(limit + 1)
    )
    if cursor is not None:
        last = tuple_(*cursor_parts(cursor, datetime, UUID, of=of))
        query = query.where(tuple_(Redemption.created_at, Redemption.id) < last)
    views = [_view(use, order) for use, order in await read.session.execute(query)]
    return page_of(views, limit, lambda view: (view.created_at, view.id), of=of)


async def report(
    read: Read, *, since: datetime | None, until: datetime | None, limit: int, cursor: str | None
) -> Page[ReportLine]:
    """By label, then by currency; codes without a label stand under the empty one. `until` is not included.

    A use counts from when it was reserved, redeemed or released last.
    """
    of = ("redeemed", since, until)
    label = func.coalesce(DiscountCode.referrer_label, "")
    is_redeemed = Redemption.status == RedemptionStatus.REDEEMED
    sums = [
        func.sum(case((is_redeemed, 1), else_=0)),
        func.sum(case((is_redeemed, 0), else_=1)),
        *(
            func.sum(case((is_redeemed, value), else_=0))
            for value in (
                Order.base_value,
                Order.base_value - Order.listed_value,
                Order.listed_value,
                func.coalesce(Order.base_sats - Order.amount_sats, 0),
                func.coalesce(Order.amount_sats, 0),
            )
        ),
    ]
    query = (
        select(label, Order.listed_currency, *sums)
        .select_from(Redemption)
        .join(DiscountCode, DiscountCode.id == Redemption.discount_id)
        .join(Order, Order.id == Redemption.order_id)
        .where(Redemption.status != RedemptionStatus.RELEASED)
        .group_by(label, Order.listed_currency)
        .order_by(label, Order.listed_currency)
        .limit(limit + 1)
    )
    if since is not None:
        query = query.where(Redemption.status_at >= since)
    if until is not None:
        query = query.where(Redemption.status_at < until)
    if cursor is not None:
        query = query.where(tuple_(label, Order.listed_currency) > tuple_(*cursor_parts(cursor, str, str, of=of)))
    lines: list[ReportLine] = []
    for row in await read.session.execute(query):
        name, currency, *numbers = tuple[Any, ...](row)
        lines.append(ReportLine(name, currency, *map(int, numbers)))  # PostgreSQL sums to a Decimal
    return page_of(lines, limit, lambda line: (line.referrer_label, line.price_currency), of=of)


def _view(use: Redemption, order: Order) -> RedemptionView:
    return RedemptionView(
        id=use.id,
        order_id=order.id,
        invoice_id=order.invoice_id,
        support_reference=order.support_reference,
        order_status=order.status,
        license_id=order.license_id,
        status=use.status,
        price_currency=order.listed_currency,
        base_price_value=order.base_value,
        final_price_value=order.listed_value,
        base_price_sats=order.base_sats or 0,
        final_price_sats=order.amount_sats or 0,
        discount_applied_sats=order.sats_off,
        created_at=use.created_at,
        status_at=use.status_at,
    )
