"""Subscriptions, as their operator finds them, ends them, lets them rest, and changes what they cost."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta

from keysat.catalog.read import products_of
from keysat.checkout import subscribed
from keysat.checkout.read import OrderFilter, orders, orders_of
from keysat.customers.accounts import emails
from keysat.infra.work import Read
from keysat.kit.paging import LIMIT_DEFAULT
from keysat.kit.periods import Unit, length_days
from keysat.subscriptions import moves
from keysat.subscriptions.read import SubscriptionFilter, cycles_of, list_subscriptions
from keysat.subscriptions.rules import calendar_of, renews
from keysat.subscriptions.tables import Subscription as SubscriptionRow
from keysat.subscriptions.tables import SubscriptionStatus
from keysat.web.api.admin_orders import Order, Orders, shown_orders
from keysat.web.api.reasons import Bodiless, Why
from keysat.web.api.subscriptions import Cancelled, cancelled
from keysat.web.etag import TAGGED, edits
from keysat.web.filters import Cursor, Limit, Moment, of_buyer
from keysat.web.problems import refusals
from keysat.web.provide import WithRead, WithWork
from keysat.web.wire import Count, Line, Outbound, Paragraph, StrictInbound


class CancelBody(Why, frozen=True, kw_only=True):
    """Now, or with `at_period_end` when what is paid is over."""

    at_period_end: bool = False


class NewPrice(StrictInbound, frozen=True, kw_only=True):
    """`value`: minor units of the subscription's currency. Without `from_cycle` it holds as soon as it may.

    The buyer is told the reason.
    """

    value: Annotated[Count, Meta(examples=[1500])]
    from_cycle: Annotated[int, Meta(ge=1, le=100_000, examples=[4])] | None = None
    reason: Annotated[Paragraph, Meta(min_length=1, examples=["Storage costs us more."])]


class Subscription(Outbound, frozen=True, kw_only=True):
    """Money in minor units of `listed_currency`, before what a code takes off.

    `next_renewal_at` is `paid_through`, and null where nothing renews; `next_attempt_at` when its order is opened, null
    where that is done. From cycle `next_value_from` on it costs `next_value`. A parked one waits for a retry.
    """

    id: UUID
    license_id: UUID
    product_id: UUID | None = None
    policy_id: UUID
    offer_id: UUID | None
    customer_id: UUID | None
    buyer_email: str | None = None
    status: SubscriptionStatus
    period_count: int
    period_unit: Unit
    period_days: int = 0
    listed_currency: str
    listed_value: int
    next_value: int | None
    next_value_from: int | None
    next_value_reason: str | None
    cycle_number: int
    started_at: datetime
    paid_through: datetime
    next_renewal_at: datetime | None = None
    next_attempt_at: datetime | None
    consecutive_failures: int
    parked_at: datetime | None
    lapses_at: datetime | None
    cancel_at_period_end: bool
    cancellation_reason: str | None
    lapsed_at: datetime | None
    paused_at: datetime | None
    cancelled_at: datetime | None


class Cycle(Outbound, frozen=True, kw_only=True):
    """Number 0 is a trial, 1 the purchase. `opened_at`: it could be paid, and the buyer was told."""

    number: int
    starts_at: datetime
    ends_at: datetime
    order_id: UUID | None
    listed_currency: str
    listed_value: int
    opened_at: datetime | None
    charged_at: datetime | None
    paid_at: datetime | None


class SubscriptionDetail(Subscription, frozen=True, kw_only=True):
    """The latest 200 cycles, and the order of each."""

    cycles: tuple[Cycle, ...] = ()
    orders: tuple[Order, ...] = ()


Shape = TypeVar("Shape", bound=Subscription)


class Subscriptions(Outbound, frozen=True, kw_only=True):
    subscriptions: list[Subscription]
    next_cursor: str | None


@get("/subscriptions", operation_id="listSubscriptions")
async def find_subscriptions(
    read: WithRead,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    buyer_email: FromQuery[Line | None] = None,
    status: FromQuery[SubscriptionStatus | None] = None,
    policy_id: FromQuery[UUID | None] = None,
    customer_id: FromQuery[UUID | None] = None,
    license_id: FromQuery[UUID | None] = None,
    paid_through_after: Moment = None,
    paid_through_before: Moment = None,
) -> Subscriptions:
    """The newest first; asked for by the end of what is paid, by that. Of several filters all must hold."""
    wanted = SubscriptionFilter(
        status,
        policy_id,
        customer_id,
        license_id,
        paid_through_after=paid_through_after,
        paid_through_before=paid_through_before,
    )
    wanted = await of_buyer(read, wanted, buyer_email)
    if wanted is None:
        return Subscriptions(subscriptions=[], next_cursor=None)
    page = await list_subscriptions(read, wanted, limit, cursor)
    return Subscriptions(subscriptions=await _shown(read, page.items, Subscription), next_cursor=page.next_cursor)


@get("/subscriptions/{subscription_id:uuid}", operation_id="getSubscription", opt=TAGGED, responses=refusals(404))
async def get_subscription(read: WithRead, subscription_id: FromPath[UUID]) -> SubscriptionDetail:
    """One subscription with its cycles, the latest first, and their orders."""
    [shown] = await _shown(read, [await read.get(SubscriptionRow, subscription_id)], SubscriptionDetail)
    cycles = await cycles_of(read, subscription_id)
    paying = await orders_of(read, (cycle.order_id for cycle in cycles))
    return msgspec.structs.replace(
        shown,
        cycles=tuple(msgspec.convert(row, Cycle, from_attributes=True) for row in cycles),
        orders=tuple(await shown_orders(read, paying)),
    )


@get("/subscriptions/{subscription_id:uuid}/orders", operation_id="listSubscriptionOrders", responses=refusals(404))
async def list_subscription_orders(
    read: WithRead, subscription_id: FromPath[UUID], limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
) -> Orders:
    """All orders for its license, the newest first: the purchase, renewals, also superseded ones, changes of tier."""
    row = await read.get(SubscriptionRow, subscription_id)
    page = await orders(read, OrderFilter(license_id=row.license_id), limit, cursor)
    return Orders(orders=await shown_orders(read, page.items), next_cursor=page.next_cursor)


ACT: dict[str, Any] = {
    "status_code": 200,
    "opt": edits(get_subscription),
    "responses": refusals(404, 409),
}


@post(
    "/subscriptions/{subscription_id:uuid}/cancel",
    operation_id="cancelSubscriptionAsOperator",
    operation_class=Bodiless,
    **ACT,
)
async def cancel_subscription(
    work: WithWork, subscription_id: FromPath[UUID], data: JSONBody[CancelBody | None] = None
) -> Cancelled:
    """No further renewal; its open order ends. The license keeps its end. The body may be left out."""
    asked = data or CancelBody()
    return await cancelled(work, subscription_id, asked.reason, at_period_end=asked.at_period_end)


@post("/subscriptions/{subscription_id:uuid}/keep-on", operation_id="keepSubscriptionOn", **ACT)
async def keep_on(work: WithWork, subscription_id: FromPath[UUID]) -> Subscription:
    """It renews after all: takes back that it ends with its period."""
    await subscribed.keep_on(work, subscription_id)
    return await _one(work, subscription_id)


@post("/subscriptions/{subscription_id:uuid}/pause", operation_id="pauseSubscription", **ACT)
async def pause_subscription(work: WithWork, subscription_id: FromPath[UUID]) -> Subscription:
    """Nothing is billed; the license holds through what is paid, without grace. Its open order ends."""
    await subscribed.pause(work, subscription_id)
    return await _one(work, subscription_id)


@post("/subscriptions/{subscription_id:uuid}/resume", operation_id="resumeSubscription", **ACT)
async def resume_subscription(work: WithWork, subscription_id: FromPath[UUID]) -> Subscription:
    """It goes on; if nothing is paid any more, with an order that is opened now and a new calendar."""
    await subscribed.resume(work, subscription_id)
    return await _one(work, subscription_id)


@post("/subscriptions/{subscription_id:uuid}/retry", operation_id="retrySubscription", **ACT)
async def retry_subscription(work: WithWork, subscription_id: FromPath[UUID]) -> Subscription:
    """Open its next order now: it was parked, since that failed five times in a row."""
    await subscribed.retry(work, subscription_id)
    return await _one(work, subscription_id)


@post("/subscriptions/{subscription_id:uuid}/price", operation_id="changeSubscriptionPrice", **ACT)
async def change_price(work: WithWork, subscription_id: FromPath[UUID], data: JSONBody[NewPrice]) -> Subscription:
    """A new list price for this subscriber, at least 14 days ahead: the buyer is told. An open order stays as it is."""
    await moves.change_price(work, subscription_id, data.value, reason=data.reason.strip(), from_cycle=data.from_cycle)
    return await _one(work, subscription_id)


async def _one(read: Read, subscription_id: UUID) -> Subscription:
    [shown] = await _shown(read, [await read.get(SubscriptionRow, subscription_id)], Subscription)
    return shown


async def _shown(read: Read, rows: Sequence[SubscriptionRow], shape: type[Shape]) -> list[Shape]:
    """With what stands elsewhere: the buyer's address and the tier's product."""
    known = await emails(read, (row.customer_id for row in rows))
    sold = await products_of(read, (row.policy_id for row in rows))
    return [
        msgspec.structs.replace(
            msgspec.convert(row, shape, from_attributes=True),
            product_id=sold[row.policy_id],
            buyer_email=known.get(row.customer_id),
            period_days=length_days(row.paid_through, calendar_of(row).end(row.cycle_number + 1)),
            next_renewal_at=row.paid_through if renews(row) else None,
        )
        for row in rows
    ]


ROUTES = (
    find_subscriptions,
    get_subscription,
    list_subscription_orders,
    cancel_subscription,
    keep_on,
    pause_subscription,
    resume_subscription,
    retry_subscription,
    change_price,
)
