"""Looking at orders: what the buyer's poll answers, and the operator's lists."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, or_, select

from keysat.checkout.tables import AS_SEEN, HAS_MONEY, PUBLIC_WORD, Order, OrderId, OrderStatus, Purpose
from keysat.infra.filtered import latest_first
from keysat.infra.work import Read
from keysat.kit.errors import NotFound
from keysat.kit.paging import Page
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


def is_payment_seen(order: Order, attempt: Attempt | None, now: datetime) -> bool:
    """All of it, be it late: it need not be sent again, as long as it may still count. Pure."""
    is_all_there = attempt is not None and attempt.seen is not None and attempt.missing is None
    is_refused = attempt is not None and attempt.is_refused
    may_count = order.status in AS_SEEN and now <= order.watch_until
    return order.status in HAS_MONEY or (is_all_there and not is_refused and may_count)


class OrderFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that are given must hold. Moments: from `after` on, up to `before` without it."""

    status: OrderStatus | None = None
    purpose: Purpose | None = None
    product_id: UUID | None = None
    policy_id: UUID | None = None
    customer_id: UUID | None = None
    license_id: UUID | None = None
    invoice_id: str | None = None
    support_reference: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    paid_after: datetime | None = None
    paid_before: datetime | None = None


class PaymentFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As `OrderFilter`, of attempts to be paid."""

    order_id: UUID | None = None
    connection_id: UUID | None = None
    provider_invoice_id: str | None = None
    seen_state: PayState | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None


async def orders(
    read: Read, wanted: OrderFilter, limit: int, cursor: str | None, reference: str | None = None
) -> Page[Order]:
    """Newest first; those asked for by when they were paid, by that. `reference` is of any kind, as `find_order`'s."""
    also = [await _referred(read, reference)] if reference is not None else []
    by = "paid_at" if wanted.paid_after or wanted.paid_before else "created_at"
    return await latest_first(read, Order, wanted, limit, cursor, *also, by=by, of=reference)


async def payments(read: Read, wanted: PaymentFilter, limit: int, cursor: str | None) -> Page[Attempt]:
    """Attempts to be paid, the newest first, of all orders or one."""
    return await latest_first(read, Attempt, wanted, limit, cursor)


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
    """By invoice id, support reference, row id or the provider's invoice id, as an operator may hold any of them.

    Raises NotFound.
    """
    found = (await read.session.scalars(select(Order).where(await _referred(read, reference)).limit(2))).all()
    if len(found) != 1:
        raise NotFound(f"There is no order {reference!r}.")
    return found[0]


async def _referred(read: Read, reference: str) -> ColumnElement[bool]:
    text = reference.strip()
    of_provider = select(Attempt.order_id).where(Attempt.provider_invoice_id == text).limit(2)
    ids = [*(await read.session.scalars(of_provider)).all()]
    with suppress(ValueError):
        ids.append(UUID(text))
    return or_(Order.invoice_id == text.lower(), Order.support_reference == text.upper(), Order.id.in_(ids))
