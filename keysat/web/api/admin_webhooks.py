"""Webhooks: who is told, with which secret, and what became of each delivery (`published-server.md` 2.8)."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, cast
from uuid import UUID

from litestar import delete, get, patch, post
from litestar.handlers.base import BaseRouteHandler
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, Meta

from keysat.infra.work import Read
from keysat.kit.paging import LIMIT_DEFAULT
from keysat.web.etag import TAGGED, edits
from keysat.web.filters import Cursor, Limit
from keysat.web.idempotency import CREATES
from keysat.web.problems import refusals
from keysat.web.provide import WithRead, WithShop, WithVisit, WithWork
from keysat.web.visit import Connection, visit_of
from keysat.web.wire import Active, Done, Instant, Line, Outbound, StrictInbound, WireRequest
from keysat.webhooks import deliveries, endpoints
from keysat.webhooks.endpoints import OVERLAP_SECONDS, OVERLAP_SECONDS_MAX, EndpointEdit, NewEndpoint, Shown
from keysat.webhooks.health import EndpointHealth, health_of
from keysat.webhooks.names import NAMES
from keysat.webhooks.tables import Delivery, DeliveryAttempt, DeliveryStatus, Endpoint, EndpointSecret


class Which(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    ALL = "all"


class WebhookKey(Outbound, frozen=True, kw_only=True):
    """The public half of what signs `v1a`. `retires_at`: so long an older one signs too; null: the present one."""

    public_key: str
    created_at: datetime
    retires_at: datetime | None


class WebhookEndpoint(Outbound, frozen=True, kw_only=True):
    """The secret is shown once, to who made it."""

    id: UUID
    url: str
    event_types: list[str]
    active: bool
    description: str | None
    public_keys: list[WebhookKey]
    created_at: datetime
    updated_at: datetime


class WebhookEndpointWithSecret(WebhookEndpoint, frozen=True, kw_only=True):
    """`secret` signs `X-Keysat-Signature` and `v1`. It is not shown again."""

    secret: str


class WebhookEndpointLine(WebhookEndpoint, frozen=True, kw_only=True):
    """With how it is."""

    health: EndpointHealth


class WebhookEndpoints(Outbound, frozen=True, kw_only=True):
    endpoints: list[WebhookEndpointLine]
    next_cursor: str | None


class WebhookEventTypes(Outbound, frozen=True, kw_only=True):
    event_types: list[str]


class WebhookAttempt(Outbound, frozen=True, kw_only=True):
    """`answer`: the first 200 characters of what the receiver said."""

    number: int
    at: datetime
    took_ms: int
    status_code: int | None
    error: str | None
    answer: str | None


class WebhookDelivery(Outbound, frozen=True, kw_only=True):
    """`id` is `webhook-id` and `X-Keysat-Delivery` of each attempt; `position` that of the event, null for a test.

    `payload_json` is sent byte by byte. `endpoint_deleted`: the endpoint is gone, and nothing is sent any more.
    """

    id: UUID
    endpoint_id: UUID
    endpoint_url: str
    endpoint_deleted: bool
    event_type: str
    position: int | None
    status: DeliveryStatus
    attempt_count: int
    next_attempt_at: datetime | None
    delivered_at: datetime | None
    last_status_code: int | None
    last_error: str | None
    created_at: datetime
    payload_json: str


class WebhookDeliveryDetail(WebhookDelivery, frozen=True, kw_only=True):
    attempts: list[WebhookAttempt]


class WebhookDeliveries(Outbound, frozen=True, kw_only=True):
    deliveries: list[WebhookDelivery]
    next_cursor: str | None


class Rotation(StrictInbound, frozen=True, kw_only=True):
    """`secret`: one that the receiver has already; else one is made. For `overlap_seconds` the older one signs too."""

    overlap_seconds: Annotated[int, Meta(ge=0, le=OVERLAP_SECONDS_MAX)] = OVERLAP_SECONDS
    secret: Annotated[str, Meta(max_length=128)] | None = None


class Replay(StrictInbound, frozen=True, kw_only=True):
    """Which deliveries of the endpoint, by status and by when they were written."""

    status: Which = Which.FAILED
    since: Instant | None = None
    until: Instant | None = None


class Replayed(Outbound, frozen=True, kw_only=True):
    """`has_more`: only so many at once; ask again for the others."""

    replayed: int
    has_more: bool


async def url_may_be_asked(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Guard: before the transaction, since a name is looked up. Raises BadRequest."""
    data: NewEndpoint | EndpointEdit = await cast("WireRequest", connection).json()
    if data.url is not UNSET:
        await visit_of(connection).shop.exchange.check(data.url)


@post(
    "/webhook-endpoints", operation_id="createWebhookEndpoint", status_code=200, opt=CREATES, guards=[url_may_be_asked]
)
async def create_endpoint(work: WithWork, shop: WithShop, data: JSONBody[NewEndpoint]) -> WebhookEndpointWithSecret:
    """It is told what happens from now on. `event_types`: names, groups such as `license.*`, or `*`."""
    return await _with_secret(work, await endpoints.create(work, shop.vault, data))


@get("/webhook-endpoints", operation_id="listWebhookEndpoints")
async def list_endpoints(read: WithRead, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None) -> WebhookEndpoints:
    """The oldest first. No secret is shown again (D-15)."""
    page = await endpoints.endpoints(read, limit, cursor)
    keys, health = await endpoints.keys_of(read, [row.id for row in page.items]), await health_of(read, page.items)
    found = [WebhookEndpointLine(**_fields(row, keys[row.id]), health=health[row.id]) for row in page.items]
    return WebhookEndpoints(endpoints=found, next_cursor=page.next_cursor)


@get("/webhook-endpoints/{endpoint_id:uuid}", operation_id="getWebhookEndpoint", opt=TAGGED, responses=refusals(404))
async def get_endpoint(read: WithRead, endpoint_id: FromPath[UUID]) -> WebhookEndpoint:
    """One endpoint, with the public keys that its receiver can verify with."""
    return await _shown(read, await endpoints.endpoint(read, endpoint_id))


@get("/webhook-endpoints/{endpoint_id:uuid}/health", operation_id="getWebhookEndpointHealth", responses=refusals(404))
async def get_endpoint_health(read: WithRead, endpoint_id: FromPath[UUID]) -> EndpointHealth:
    """Whether it takes what it is told. It changes with each delivery, so it is no part of what has an ETag."""
    row = await endpoints.endpoint(read, endpoint_id)
    return (await health_of(read, [row]))[row.id]


@patch(
    "/webhook-endpoints/{endpoint_id:uuid}",
    operation_id="editWebhookEndpoint",
    opt=edits(get_endpoint),
    guards=[url_may_be_asked],
    responses=refusals(404),
)
async def edit_endpoint(work: WithWork, endpoint_id: FromPath[UUID], data: JSONBody[EndpointEdit]) -> WebhookEndpoint:
    """An absent field stays, null clears. What waits goes to the new URL; while it is not active, it waits."""
    return await _shown(work, await endpoints.edit(work, endpoint_id, data))


@patch(
    "/webhook-endpoints/{endpoint_id:uuid}/active",
    operation_id="setWebhookEndpointActive",
    opt=edits(get_endpoint),
    responses=refusals(404),
)
async def set_endpoint_active(work: WithWork, endpoint_id: FromPath[UUID], data: JSONBody[Active]) -> Done:
    """Deliveries to one that is not active wait, and go on when it is again."""
    await endpoints.edit(work, endpoint_id, EndpointEdit(active=data.active))
    return Done()


@delete(
    "/webhook-endpoints/{endpoint_id:uuid}",
    operation_id="deleteWebhookEndpoint",
    status_code=200,
    opt=edits(get_endpoint),
    responses=refusals(404),
)
async def delete_endpoint(work: WithWork, endpoint_id: FromPath[UUID]) -> Done:
    """What waits is given up. Its deliveries stay to be seen, with its URL."""
    await endpoints.delete(work, endpoint_id)
    return Done()


@post(
    "/webhook-endpoints/{endpoint_id:uuid}/rotate-secret",
    operation_id="rotateWebhookSecret",
    status_code=200,
    opt=CREATES,
    responses=refusals(404),
)
async def rotate_secret(
    work: WithWork, shop: WithShop, endpoint_id: FromPath[UUID], data: JSONBody[Rotation]
) -> WebhookEndpointWithSecret:
    """Both secrets sign for a day, unless told otherwise: give the receiver the new one meanwhile."""
    shown = await endpoints.rotate(work, shop.vault, endpoint_id, data.overlap_seconds, data.secret)
    return await _with_secret(work, shown)


@post(
    "/webhook-endpoints/{endpoint_id:uuid}/retire-old-secrets",
    operation_id="retireOldWebhookSecrets",
    status_code=200,
    responses=refusals(404),
)
async def retire_old_secrets(work: WithWork, endpoint_id: FromPath[UUID]) -> WebhookEndpoint:
    """The receiver knows the new secret: the older ones sign no more, now."""
    return await _shown(work, await endpoints.retire_old_secrets(work, endpoint_id))


@post(
    "/webhook-endpoints/{endpoint_id:uuid}/test",
    operation_id="testWebhookEndpoint",
    status_code=200,
    responses=refusals(404),
)
async def test_endpoint(visit: WithVisit, endpoint_id: FromPath[UUID]) -> WebhookDeliveryDetail:
    """Send a `ping` now, once, and tell what came of it: `status` is delivered or failed."""
    row = await deliveries.test(visit.errand, visit.shop.exchange, endpoint_id)
    async with visit.shop.read() as read:
        return await _detail(read, row)


@post(
    "/webhook-endpoints/{endpoint_id:uuid}/replay",
    operation_id="replayWebhookDeliveries",
    status_code=200,
    responses=refusals(404),
)
async def replay_deliveries(work: WithWork, endpoint_id: FromPath[UUID], data: JSONBody[Replay]) -> Replayed:
    """Send its dead letters again, under their ids; or all deliveries of a time, whatever became of them."""
    status = None if data.status is Which.ALL else DeliveryStatus(data.status)
    done = await deliveries.replay(work, endpoint_id, status=status, since=data.since, until=data.until)
    return Replayed(replayed=done.deliveries, has_more=done.has_more)


@get("/webhook-event-types", operation_id="listWebhookEventTypes")
async def list_event_types() -> WebhookEventTypes:
    """What endpoints can ask for, besides groups such as `license.*` and `*`."""
    return WebhookEventTypes(event_types=[*NAMES])


@get("/webhook-deliveries", operation_id="listWebhookDeliveries")
async def list_deliveries(
    read: WithRead,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    endpoint_id: FromQuery[UUID | None] = None,
    status: FromQuery[Which] = Which.ALL,
    event_type: FromQuery[Line | None] = None,
) -> WebhookDeliveries:
    """The newest first. Of several filters all must hold."""
    wanted = deliveries.Wanted(
        endpoint_id=endpoint_id,
        status=None if status is Which.ALL else DeliveryStatus(status),
        event_type=event_type,
    )
    page = await deliveries.deliveries(read, wanted, limit, cursor)
    named = await endpoints.named(read, [row.endpoint_id for row in page.items])
    found = [WebhookDelivery(**_delivery(row, named[row.endpoint_id])) for row in page.items]
    return WebhookDeliveries(deliveries=found, next_cursor=page.next_cursor)


@get("/webhook-deliveries/{delivery_id:uuid}", operation_id="getWebhookDelivery", responses=refusals(404))
async def get_delivery(read: WithRead, delivery_id: FromPath[UUID]) -> WebhookDeliveryDetail:
    """One delivery, with every attempt."""
    return await _detail(read, await read.get(Delivery, delivery_id))


@post(
    "/webhook-deliveries/{delivery_id:uuid}/retry",
    operation_id="retryWebhookDelivery",
    status_code=200,
    responses=refusals(404),
)
async def retry_delivery(work: WithWork, delivery_id: FromPath[UUID]) -> WebhookDeliveryDetail:
    """Send it again, whatever became of it, with ten attempts from now; a test with one."""
    return await _detail(work, await deliveries.retry(work, delivery_id))


async def _shown(read: Read, row: Endpoint) -> WebhookEndpoint:
    return WebhookEndpoint(**_fields(row, (await endpoints.keys_of(read, [row.id]))[row.id]))


async def _with_secret(read: Read, shown: Shown) -> WebhookEndpointWithSecret:
    row = shown.endpoint
    keys = (await endpoints.keys_of(read, [row.id]))[row.id]
    return WebhookEndpointWithSecret(**_fields(row, keys), secret=shown.secret)


def _fields(row: Endpoint, keys: Sequence[EndpointSecret]) -> dict[str, Any]:
    names = ("id", "url", "event_types", "active", "description", "created_at", "updated_at")
    known = [
        WebhookKey(public_key=key.public_key, created_at=key.created_at, retires_at=key.retires_at) for key in keys
    ]
    return {**{name: getattr(row, name) for name in names}, "public_keys": known}


async def _detail(read: Read, row: Delivery) -> WebhookDeliveryDetail:
    [endpoint] = (await endpoints.named(read, [row.endpoint_id])).values()
    tried = [_attempt(one) for one in await deliveries.attempts(read, row.id)]
    return WebhookDeliveryDetail(**_delivery(row, endpoint), attempts=tried)


def _attempt(row: DeliveryAttempt) -> WebhookAttempt:
    return WebhookAttempt(
        number=row.number,
        at=row.at,
        took_ms=row.took_ms,
        status_code=row.answer_status,
        error=row.error,
        answer=row.answer,
    )


def _delivery(row: Delivery, endpoint: Endpoint) -> dict[str, Any]:
    same = ("id", "endpoint_id", "event_type", "position", "status", "created_at")
    return {
        **{name: getattr(row, name) for name in same},
        "endpoint_url": endpoint.url,
        "endpoint_deleted": endpoint.deleted_at is not None,
        "attempt_count": row.attempts,
        "next_attempt_at": row.next_try_at,
        "delivered_at": row.status_at if row.status is DeliveryStatus.DELIVERED else None,
        "last_status_code": row.answer_status,
        "last_error": row.error,
        "payload_json": row.payload,
    }


ROUTES = (
    create_endpoint,
    list_endpoints,
    get_endpoint,
    get_endpoint_health,
    edit_endpoint,
    set_endpoint_active,
    rotate_secret,
    retire_old_secrets,
    test_endpoint,
    replay_deliveries,
    delete_endpoint,
    list_event_types,
    list_deliveries,
    get_delivery,
    retry_delivery,
)
