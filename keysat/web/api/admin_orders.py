"""Orders, as their operator sees and decides them; and the list of what only a person can decide."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.openapi.spec import Example
from litestar.params import FromPath, FromQuery, QueryParameter

from keysat.checkout import operate
from keysat.checkout.collect import collect
from keysat.checkout.read import OrderFilter, attempts_of, find_order, orders
from keysat.checkout.tables import Order as OrderRow
from keysat.checkout.tables import OrderId, OrderStatus, Purpose
from keysat.customers.accounts import customer, emails, note_kept
from keysat.infra import attention
from keysat.infra.attention import AttentionView
from keysat.infra.work import Read
from keysat.kit.paging import LIMIT_DEFAULT
from keysat.kit.periods import Unit
from keysat.operators.scopes import Scope
from keysat.payments.provider import PayState
from keysat.web.auth import needs
from keysat.web.filters import Cursor, Limit, Moment, of_buyer
from keysat.web.idempotency import CREATES
from keysat.web.problems import refusals
from keysat.web.provide import WithRead, WithVisit, WithWork
from keysat.web.visit import Visit
from keysat.web.wire import NO_NUL, Line, Outbound

Reference = Annotated[
    str | None,
    QueryParameter(max_length=64, pattern=NO_NUL, examples=[Example(value="KS-7QZ3M5ALDY")]),
]


class Attempt(Outbound, frozen=True, kw_only=True):
    """One try to be paid. `seen_*`: what the provider showed last, in its own words where it says `status`."""

    id: UUID
    connection_id: UUID
    provider_invoice_id: str | None
    checkout_url: str | None
    price_currency: str
    price_minor: int
    created_at: datetime
    expires_at: datetime
    monitor_until: datetime
    failed: str | None
    seen_state: PayState | None
    seen_status: str | None
    seen_paid_minor: int | None
    seen_at: datetime | None


class Order(Outbound, frozen=True, kw_only=True):
    """Amounts are minor units of `listed_currency`, or sats (null: no rate is known).

    `buyer_email` is null for who did not give one. `invoice_id` opens the key: it is null for who may not see keys.
    """

    id: UUID
    invoice_id: str | None
    support_reference: str
    purpose: Purpose
    status: OrderStatus
    product_id: UUID
    policy_id: UUID | None
    offer_id: UUID | None
    customer_id: UUID | None
    buyer_email: str | None = None
    license_id: UUID | None
    period_count: int | None
    period_unit: Unit | None
    trial_days: int | None
    listed_currency: str
    listed_value: int
    base_value: int
    amount_sats: int | None
    base_sats: int | None
    exchange_rate_centibps: int | None
    exchange_rate_source: str | None
    rail: str | None
    created_at: datetime
    status_at: datetime
    expires_at: datetime
    watch_until: datetime
    next_look_at: datetime | None
    looked_at: datetime | None
    paid_at: datetime | None
    paid_how: str | None
    failure: str | None


class OrderDetail(Order, frozen=True, kw_only=True):
    buyer_name: str | None = None
    buyer_note: str | None = None
    paid_attempt_id: UUID | None
    attempts: tuple[Attempt, ...] = ()


class Orders(Outbound, frozen=True, kw_only=True):
    orders: list[Order]
    next_cursor: str | None


class Calls(Outbound, frozen=True, kw_only=True):
    attention: list[AttentionView]
    next_cursor: str | None


@get("/orders", operation_id="listOrders")
async def list_orders(
    read: WithRead,
    visit: WithVisit,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    reference: Reference = None,
    buyer_email: FromQuery[Line | None] = None,
    status: FromQuery[OrderStatus | None] = None,
    purpose: FromQuery[Purpose | None] = None,
    product_id: FromQuery[UUID | None] = None,
    policy_id: FromQuery[UUID | None] = None,
    customer_id: FromQuery[UUID | None] = None,
    license_id: FromQuery[UUID | None] = None,
    invoice_id: Reference = None,
    support_reference: Reference = None,
    created_after: Moment = None,
    created_before: Moment = None,
    paid_after: Moment = None,
    paid_before: Moment = None,
) -> Orders:
    """The newest first; asked for by when they were paid, by that. Of several filters all must hold.

    `reference` is an invoice id, support reference or id, ours or the provider's.
    """
    wanted = OrderFilter(
        status=status,
        purpose=purpose,
        product_id=product_id,
        policy_id=policy_id,
        customer_id=customer_id,
        license_id=license_id,
        invoice_id=_typed(invoice_id, str.lower),
        support_reference=_typed(support_reference, str.upper),
        created_after=created_after,
        created_before=created_before,
        paid_after=paid_after,
        paid_before=paid_before,
    )
    wanted = await of_buyer(read, wanted, buyer_email)
    if wanted is None:
        return Orders(orders=[], next_cursor=None)
    page = await orders(read, wanted, limit, cursor, _typed(reference, str))
    return Orders(orders=await shown_orders(read, page.items, opening=_may_open(visit)), next_cursor=page.next_cursor)


async def shown_orders(read: Read, rows: Sequence[OrderRow], *, opening: bool = False) -> list[Order]:
    """`opening`: with the ids that open keys."""
    known = await emails(read, (row.customer_id for row in rows))
    return [
        msgspec.structs.replace(
            msgspec.convert(row, Order, from_attributes=True),
            buyer_email=known.get(row.customer_id),
            invoice_id=row.invoice_id if opening else None,
        )
        for row in rows
    ]


def _may_open(visit: Visit) -> bool:
    return visit.may(Scope.LICENSES_WRITE)


@get("/orders/{reference:str}", operation_id="getOrder", responses=refusals(404))
async def get_order(read: WithRead, visit: WithVisit, reference: FromPath[str]) -> OrderDetail:
    """By invoice id, support reference or id, with every attempt to be paid for it."""
    return await _detail(read, visit, await find_order(read, reference))


@post(
    "/orders/{reference:str}/settle",
    operation_id="settleOrder",
    status_code=200,
    opt={**CREATES, **needs(Scope.OWNER)},
    responses=refusals(404),
)
async def settle_order(work: WithWork, visit: WithVisit, reference: FromPath[str]) -> OrderDetail:
    """Take it for paid: cash, a late payment, a review that ended well. Issues what was ordered, once."""
    found = await find_order(work, reference)
    return await _detail(work, visit, await operate.accept(work, found.id))


@post("/orders/{reference:str}/refuse", operation_id="refuseOrder", status_code=200, responses=refusals(404, 409))
async def refuse_order(work: WithWork, visit: WithVisit, reference: FromPath[str]) -> OrderDetail:
    """End a review for good, or an order that nobody will pay: if it is then paid in full, it is still a sale."""
    found = await find_order(work, reference)
    return await _detail(work, visit, await operate.refuse(work, found.id))


@post("/orders/{reference:str}/retry", operation_id="retryOrder", status_code=200, responses=refusals(404, 409))
async def retry_order(visit: WithVisit, reference: FromPath[str]) -> OrderDetail:
    """Look at the provider's invoices now, and fulfil what is paid and has no license yet."""
    async with visit.shop.read() as read:
        found = await find_order(read, reference)
    await collect(visit.desk, found.id)
    async with visit.shop.read() as read:
        return await _detail(read, visit, await read.get(OrderRow, found.id))


@get("/attention", operation_id="listAttention")
async def list_attention(
    read: WithRead,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    include_settled: FromQuery[bool] = False,
    kind: FromQuery[Line | None] = None,
    subject: FromQuery[Line | None] = None,
) -> Calls:
    """What only a person can decide: what is open first, the latest call first. `subject`: what it is about, by id."""
    page = await attention.attention(
        read, include_settled=include_settled, limit=limit, cursor=cursor, kind=kind, subject=subject
    )
    return Calls(attention=page.items, next_cursor=page.next_cursor)


@post("/attention/{attention_id:int}/settle", operation_id="settleAttention", status_code=200, responses=refusals(404))
async def settle_attention(work: WithWork, attention_id: FromPath[int]) -> AttentionView:
    """It is dealt with: off the list, and not called again."""
    return await attention.settle(work, attention_id)


async def _detail(read: Read, visit: Visit, row: OrderRow) -> OrderDetail:
    attempts = await attempts_of(read, OrderId(row.id))
    buyer = await customer(read, row.customer_id) if row.customer_id else None
    return msgspec.structs.replace(
        msgspec.convert(row, OrderDetail, from_attributes=True),
        invoice_id=row.invoice_id if _may_open(visit) else None,
        buyer_email=buyer and buyer.email,
        buyer_name=buyer and buyer.name,
        buyer_note=await note_kept(read, row.id) or (buyer and buyer.note),
        attempts=tuple(msgspec.convert(attempt, Attempt, from_attributes=True) for attempt in attempts),
    )


def _typed(reference: str | None, case: Callable[[str], str]) -> str | None:
    """As it is stored, however it was typed; blank counts as absent."""
    return case(reference.strip()) or None if reference is not None else None


ROUTES = (
    list_orders,
    get_order,
    settle_order,
    refuse_order,
    retry_order,
    list_attention,
    settle_attention,
)
