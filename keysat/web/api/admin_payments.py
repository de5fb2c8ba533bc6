"""Payments, as their operator looks for them: every attempt to be paid, and what the provider showed of it."""

from uuid import UUID

import msgspec
from litestar import get
from litestar.params import FromQuery

from keysat.checkout.read import PaymentFilter, orders_of, payments
from keysat.checkout.tables import Order, OrderStatus
from keysat.infra.work import Read
from keysat.kit.paging import LIMIT_DEFAULT
from keysat.payments.provider import PayState
from keysat.payments.tables import Attempt as AttemptRow
from keysat.web.api.admin_orders import Attempt
from keysat.web.filters import Cursor, Limit, Moment
from keysat.web.provide import WithRead
from keysat.web.wire import Line, Outbound


class Payment(Attempt, frozen=True, kw_only=True):
    """An attempt, and the order it is for. `seen_paid_minor` of `price_currency` has come in; null: nothing, or untold.

    `is_taken`: the order was taken for paid by this one.
    """

    order_id: UUID
    support_reference: str
    order_status: OrderStatus
    is_taken: bool


class Payments(Outbound, frozen=True, kw_only=True):
    payments: list[Payment]
    next_cursor: str | None


@get("/payments", operation_id="listPayments")
async def list_payments(
    read: WithRead,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    order_id: FromQuery[UUID | None] = None,
    connection_id: FromQuery[UUID | None] = None,
    provider_invoice_id: FromQuery[Line | None] = None,
    seen_state: FromQuery[PayState | None] = None,
    created_after: Moment = None,
    created_before: Moment = None,
) -> Payments:
    """The newest first. Of several filters all must hold."""
    wanted = PaymentFilter(
        order_id=order_id,
        connection_id=connection_id,
        provider_invoice_id=provider_invoice_id,
        seen_state=seen_state,
        created_after=created_after,
        created_before=created_before,
    )
    page = await payments(read, wanted, limit, cursor)
    return Payments(payments=await _shown(read, page.items), next_cursor=page.next_cursor)


async def _shown(read: Read, rows: list[AttemptRow]) -> list[Payment]:
    paid: dict[UUID, Order] = {order.id: order for order in await orders_of(read, (row.order_id for row in rows))}
    found: list[Payment] = []
    for row in rows:
        order = paid[row.order_id]
        plain = msgspec.convert(row, Attempt, from_attributes=True)
        found.append(
            Payment(
                **msgspec.structs.asdict(plain),
                order_id=order.id,
                support_reference=order.support_reference,
                order_status=order.status,
                is_taken=order.paid_attempt_id == row.id,
            )
        )
    return found


ROUTES = (list_payments,)
