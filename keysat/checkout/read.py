"""Looking at orders: what the buyer's poll answers, and the operator's lists."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import select, tuple_

from keysat.checkout.tables import PUBLIC_WORD, Order, OrderId, OrderStatus
from keysat.infra.work import Read
from keysat.kit.errors import NotFound
from keysat.kit.paging import Page, cursor_parts, page_of
from keysat.licenses.issue import key_text
from keysat.licenses.ring import Ring
from keysat.licenses.tables import License, LicenseStatus
from keysat.payments.provider import PayState
from keysat.payments.tables import Attempt, AttemptId


# Contract 3.8
class Poll(msgspec.Struct, frozen=True):
    """`GET /v1/purchase/{invoice_id}`. The key is there once fulfilled, while the license is active."""

    invoice_id: str
    status: str
    product_id: UUID
    amount_sats: int
    license_key: str | None
    license_id: UUID | None


# Contract 3.7
class Purchase(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer of `POST /v1/purchase`. `license_key` and `license_id` only where it was free."""

    invoice_id: str
    btcpay_invoice_id: str
    checkout_url: str
    amount_sats: int
    base_price_sats: int
    discount_applied_sats: int
    poll_url: str
    license_key: str | msgspec.UnsetType = msgspec.UNSET
    license_id: UUID | msgspec.UnsetType = msgspec.UNSET


async def order_by_invoice(read: Read, invoice_id: str) -> Order:
    """Raises NotFound."""
    order = await read.session.scalar(select(Order).where(Order.invoice_id == invoice_id))
    if order is None:
        raise NotFound("There is no such purchase. Check the link, or recover the key with your e-mail address.")
    return order


async def poll(read: Read, ring: Ring, order: Order) -> Poll:
    is_done = order.status == OrderStatus.FULFILLED  # before, it may name the license that it is to change
    license = await read.session.get(License, order.license_id) if is_done and order.license_id else None
    shows_key = license is not None and license.status == LicenseStatus.ACTIVE
    return Poll(
        invoice_id=order.invoice_id,
        status=PUBLIC_WORD[order.status],
        product_id=order.product_id,
        amount_sats=order.amount_sats or 0,
        license_key=await key_text(read, license, ring) if license is not None and shows_key else None,
        license_id=order.license_id if is_done else None,
    )


async def purchased(read: Read, ring: Ring, order_id: OrderId, public_url: str) -> Purchase:
    """What the buyer is told right after the order was opened."""
    order = await read.get(Order, order_id)
    attempt = await payable_attempt(read, order_id)
    seen = await poll(read, ring, order)
    return Purchase(
        invoice_id=order.invoice_id,
        btcpay_invoice_id=(attempt.provider_invoice_id or "") if attempt else f"free-{order.invoice_id}",
        checkout_url=(attempt.checkout_url or "") if attempt else "",
        amount_sats=order.amount_sats or 0,
        base_price_sats=order.base_sats or 0,
        discount_applied_sats=order.sats_off,
        poll_url=f"{public_url}/v1/purchase/{order.invoice_id}",
        license_key=seen.license_key or msgspec.UNSET,
        license_id=seen.license_id or msgspec.UNSET,
    )


async def payable_attempt(read: Read, order_id: OrderId) -> Attempt | None:
    """The newest attempt that has a checkout page; None for a free order."""
    return await read.session.scalar(
        select(Attempt)
        .where(Attempt.order_id == order_id, Attempt.checkout_url.is_not(None))
        .order_by(Attempt.created_at.desc())
        .limit(1)
    )


async def attempt_with_money(read: Read, order_id: UUID) -> AttemptId | None:
    """The first try on which money was seen, be it a part or unconfirmed. None: no money, as far as we looked."""
    was_paid = (Attempt.seen_paid_minor > 0) | (Attempt.seen_state == PayState.PROCESSING)
    tries = select(Attempt.id).where(Attempt.order_id == order_id, was_paid)
    return await read.session.scalar(tries.order_by(Attempt.created_at).limit(1))


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """All that are given must hold."""

    status: OrderStatus | None = None
    product_id: UUID | None = None
    invoice_id: str | None = None
    support_reference: str | None = None


async def orders(read: Read, wanted: OrderFilter, limit: int, cursor: str | None) -> Page[Order]:
    """Newest first."""
    query = select(Order).order_by(Order.created_at.desc(), Order.id.desc()).limit(limit + 1)
    for column, value in (
        (Order.status, wanted.status),
        (Order.product_id, wanted.product_id),
        (Order.invoice_id, wanted.invoice_id),
        (Order.support_reference, wanted.support_reference),
    ):
        if value is not None:
            query = query.where(column == value)
    if cursor is not None:
        query = query.where(tuple_(Order.created_at, Order.id) < tuple_(*cursor_parts(cursor, datetime, UUID)))
    rows: Sequence[Order] = (await read.session.scalars(query)).all()
    return page_of(rows, limit, lambda row: (row.created_at.isoformat(), str(row.id)))


async def orders_of(read: Read, order_ids: Iterable[UUID | None]) -> Sequence[Order]:
    """Those of these ids, the newest first."""
    wanted = {order_id for order_id in order_ids if order_id is not None}
    query = select(Order).where(Order.id.in_(wanted)).order_by(Order.created_at.desc(), Order.id.desc())
    return (await read.session.scalars(query)).all()


async def attempts_of(read: Read, order_id: OrderId) -> Sequence[Attempt]:
    """The newest first."""
    query = select(Attempt).where(Attempt.order_id == order_id).order_by(Attempt.created_at.desc(), Attempt.id.desc())
    return (await read.session.scalars(query)).all()


async def find_order(read: Read, reference: str) -> Order:
    """By invoice id, support reference or row id, as an operator may hold any of them. Raises NotFound."""
    text = reference.strip()
    found = await read.session.scalar(
        select(Order).where((Order.invoice_id == text.lower()) | (Order.support_reference == text.upper()))
    )
    if found is None:
        try:
            found = await read.session.get(Order, UUID(text))
        except ValueError:
            found = None
    if found is None:
        raise NotFound(f"There is no order {reference!r}.")
    return found
