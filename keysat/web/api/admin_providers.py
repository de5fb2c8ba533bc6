"""Connections to payment providers: connect, look at, mend, disconnect (`published-server.md` 2.10, 3.6)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import Meta, Struct
from sqlalchemy import select

from keysat.infra.filtered import filtered, paged
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest, UpstreamError
from keysat.kit.paging import LIMIT_DEFAULT
from keysat.operators.scopes import Scope
from keysat.payments.authorize import begin
from keysat.payments.check import check, repair, selling_till
from keysat.payments.connections import connect
from keysat.payments.disconnect import part
from keysat.payments.profiles import profile_of
from keysat.payments.provider import ListsMethods, ProviderError
from keysat.payments.tables import ConnectionId, ConnectionRow, ConnectionStatus, MerchantProfile
from keysat.upkeep.tills import refresh_tills
from keysat.web.auth import needs
from keysat.web.connecting import BTCPAY, ZAPRITE, Provider, Url, may_connect, places_of, selling, shown, the_connection
from keysat.web.filters import Cursor, Limit
from keysat.web.idempotency import CREATES
from keysat.web.problems import refusals
from keysat.web.provide import WithRead, WithShop, WithVisit
from keysat.web.visit import Visit
from keysat.web.wire import NO_NUL, Line, Outbound, StrictInbound

ERRAND: dict[str, Any] = {"status_code": 200, "opt": needs(Scope.OWNER), "responses": refusals(404, 409, 502)}
CONNECTS: dict[str, Any] = {
    "status_code": 200,
    "opt": {**CREATES, **needs(Scope.PAYMENT_PROVIDERS_WRITE)},  # and in a live shop the owner alone: `may_connect`
    "responses": refusals(402, 404, 502),
}
OWNERS: dict[str, Any] = {**CONNECTS, "opt": {**CREATES, **needs(Scope.OWNER)}}


class Providers(Outbound, frozen=True, kw_only=True):
    providers: list[Provider]
    next_cursor: str | None


class ConnectionFilter(Struct, frozen=True, kw_only=True):
    """What is None does not filter."""

    status: ConnectionStatus | None
    provider: str | None
    merchant_profile_id: UUID | None


class DisconnectBody(StrictInbound, frozen=True, kw_only=True):
    """`revoke_now`: give the key back at once. Invoices that are still open are not watched any more then."""

    revoke_now: bool = False


class DisconnectOneBody(DisconnectBody, frozen=True, kw_only=True):
    """Without `provider_id`, the default profile's."""

    provider_id: UUID | None = None


class Disconnected(Outbound, frozen=True, kw_only=True):
    """`noop`: it was disconnected before. Until `watched_until` invoices of it can be paid, and its key is kept.

    `warnings` say what was left behind at the provider.
    """

    ok: bool = True
    noop: bool
    provider_id: UUID | None = None
    store_id: str | None = None
    webhook_id: str | None = None
    watched_until: datetime | None = None
    warnings: Sequence[str] = ()
    message: str | None = None


class StatusProvider(Outbound, frozen=True, kw_only=True):
    id: UUID
    kind: str
    label: str
    base_url: str
    store_id: str


class PaymentStatus(Outbound, frozen=True, kw_only=True):
    """Of the default profile. `active`: the kind that takes an order which names no rail; `preferred` the same."""

    btcpay_configured: bool
    zaprite_configured: bool
    preferred: str | None
    active: str | None
    merchant_profile_id: UUID | None
    merchant_profile_name: str | None
    providers: list[StatusProvider]


class ConnectionState(Outbound, frozen=True, kw_only=True):
    """Of the default profile's oldest connection of this kind. Only `connected` is told where there is none."""

    connected: bool
    provider_id: UUID | None = None
    store_id: str | None = None
    webhook_id: str | None = None
    webhook_url: str | None = None
    base_url: str | None = None
    label: str | None = None
    merchant_profile_id: UUID | None = None
    merchant_profile_name: str | None = None


class Method(Outbound, frozen=True, kw_only=True):
    payment_method_id: str
    enabled: bool


class Methods(Outbound, frozen=True, kw_only=True):
    store_id: str
    count: int
    methods: list[Method]


class AuthorizeBody(StrictInbound, frozen=True, kw_only=True):
    """`url`: your BTCPay Server, unless the settings name it or one was connected before; `public_url`: where buyers
    reach it, if elsewhere. `label` is not used: the store has a name.
    """

    merchant_profile_id: UUID | None = None
    url: Url | None = None
    public_url: Url | None = None
    label: Line | None = None


class Authorize(Outbound, frozen=True, kw_only=True):
    """Open `authorize_url` in the browser of whoever owns the store. It leads back here within half an hour, once."""

    authorize_url: str
    state: str
    merchant_profile_id: UUID


class ZapriteBody(StrictInbound, frozen=True, kw_only=True):
    """A `label` with the word "sandbox" says that the organization's money is play money."""

    api_key: Annotated[str, Meta(max_length=500, pattern=NO_NUL)]
    base_url: Url | None = None
    label: Line | None = None
    merchant_profile_id: UUID | None = None


class Connected(Outbound, frozen=True, kw_only=True):
    """`webhook_url` is where the provider has to send to; what is not registered by itself stands in the health."""

    ok: bool = True
    provider: str
    provider_id: UUID
    merchant_profile_id: UUID | None
    merchant_profile_name: str | None
    label: str
    base_url: str
    webhook_url: str


@get("/providers", operation_id="listProviders", responses=refusals(404))
async def list_providers(
    read: WithRead,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    status: FromQuery[ConnectionStatus | None] = None,
    kind: FromQuery[str | None] = None,
    merchant_profile_id: FromQuery[UUID | None] = None,
) -> Providers:
    """All connections, the oldest first; disconnected ones too, since old orders are watched through them."""
    wanted = ConnectionFilter(status=status, provider=kind, merchant_profile_id=merchant_profile_id)
    query = filtered(select(ConnectionRow), ConnectionRow, wanted)
    key = (ConnectionRow.connected_at, ConnectionRow.id)
    page = await paged(read, query, key, limit, cursor, of=("providers", wanted))
    return Providers(providers=[shown(row) for row in page.items], next_cursor=page.next_cursor)


@get("/providers/{provider_id:uuid}", operation_id="getProvider", responses=refusals(404))
async def get_provider(read: WithRead, provider_id: FromPath[UUID]) -> Provider:
    """With what the last look found."""
    return shown(await read.get(ConnectionRow, provider_id))


@post("/providers/{provider_id:uuid}/check", operation_id="checkProvider", **ERRAND)
async def check_provider(visit: WithVisit, provider_id: FromPath[UUID]) -> Provider:
    """Look at the account now. A webhook that is gone is registered again."""
    shop = visit.shop
    await check(visit.office, await selling_till(shop.tills, ConnectionId(provider_id)))
    return await _provider(visit, provider_id)


@post("/providers/{provider_id:uuid}/repair", operation_id="repairProvider", **ERRAND)
async def repair_provider(visit: WithVisit, provider_id: FromPath[UUID]) -> Provider:
    """Write the webhook anew, so that both sides have the same secret, and look at the account."""
    await repair(visit.office, visit.shop.tills, ConnectionId(provider_id))
    return await _provider(visit, provider_id)


@post("/providers/{provider_id:uuid}/disconnect", operation_id="disconnectProvider", **ERRAND)
async def disconnect_provider(
    visit: WithVisit, provider_id: FromPath[UUID], data: JSONBody[DisconnectBody | None] = None
) -> Disconnected:
    """Take no more orders through it. Its webhook and key are taken back once nothing can be paid through it."""
    return await _parted(visit, provider_id, at_once=data is not None and data.revoke_now)


@get("/payment-provider/status", operation_id="getPaymentStatus", responses=refusals(404))
async def payment_status(read: WithRead, shop: WithShop) -> PaymentStatus:
    """Whether the default profile can be paid, and by whom."""
    profile = await profile_of(read, None)
    rows = await selling(read, profile)
    kinds = {row.provider for row in rows}
    first = (await shop.tills.pick(None)).connection.provider if rows else None
    return PaymentStatus(
        btcpay_configured=BTCPAY in kinds,
        zaprite_configured=ZAPRITE in kinds,
        preferred=first,
        active=first,
        merchant_profile_id=profile.id if profile else None,
        merchant_profile_name=profile.name if profile else None,
        providers=[
            StatusProvider(
                id=row.id, kind=row.provider, label=row.label, base_url=row.base_url, store_id=row.account_id
            )
            for row in rows
        ],
    )


@get("/btcpay/status", operation_id="getBtcpayStatus", responses=refusals(404))
async def btcpay_status(read: WithRead) -> ConnectionState:
    """The default profile's store."""
    return await _state(read, BTCPAY)


@get("/zaprite/status", operation_id="getZapriteStatus", responses=refusals(404))
async def zaprite_status(read: WithRead) -> ConnectionState:
    """The default profile's organization. `webhook_url` null: no message has come yet, paste it as `connect` told."""
    return await _state(read, ZAPRITE)


@get("/btcpay/payment-methods", operation_id="listBtcpayMethods", responses=refusals(502, 503))
async def btcpay_methods(shop: WithShop) -> Methods:
    """What the default profile's store can be paid by, as BTCPay says it now."""
    async with shop.read() as read:
        row = await the_connection(read, BTCPAY, await profile_of(read, None))
    till = (await shop.tills.get(row.id)).till
    if not isinstance(till, ListsMethods):
        raise BadRequest("This provider does not tell its methods.")
    try:
        found = await till.payment_methods()
    except ProviderError as error:
        raise UpstreamError(f"BTCPay does not tell: {error}") from error
    methods = [Method(payment_method_id=one.id, enabled=one.is_enabled) for one in found]
    return Methods(store_id=row.account_id, count=len(methods), methods=methods)


@post("/btcpay/connect", operation_id="connectBtcpay", **CONNECTS)
async def connect_btcpay(visit: WithVisit, data: JSONBody[AuthorizeBody | None] = None) -> Authorize:
    """Begin to connect a store: its owner lets this shop in on BTCPay's own page, with as few rights as will do.

    Whoever holds the scope by name may begin it in a sandbox shop; in a live one the owner alone.
    """
    may_connect(visit)
    asked, shop = data or AuthorizeBody(), visit.shop
    async with shop.read() as read:
        places = await places_of(read, shop, asked.url, asked.public_url)
    begun = await begin(visit.office, BTCPAY, places, asked.merchant_profile_id)
    return Authorize(authorize_url=begun.url, state=begun.state, merchant_profile_id=begun.profile_id)


@post("/btcpay/disconnect", operation_id="disconnectBtcpay", **ERRAND)
async def disconnect_btcpay(visit: WithVisit, data: JSONBody[DisconnectOneBody | None] = None) -> Disconnected:
    """As `/providers/{provider_id}/disconnect`."""
    return await _disconnect_one(visit, BTCPAY, data or DisconnectOneBody())


@post("/zaprite/connect", operation_id="connectZaprite", **OWNERS)
async def connect_zaprite(visit: WithVisit, data: JSONBody[ZapriteBody]) -> Connected:
    """Connect an organization with its API key. No key of ours may, since nothing proves that it takes play money."""
    shop = visit.shop
    given = {"api_key": data.api_key, "base_url": data.base_url, "label": data.label}
    fields = {name: value for name, value in given.items() if value}
    made = await connect(visit.office, ZAPRITE, fields, data.merchant_profile_id)
    await refresh_tills(shop)
    async with shop.read() as read:
        row = await read.get(ConnectionRow, made)
        profile = await read.session.get(MerchantProfile, row.merchant_profile_id)
    return Connected(
        provider=ZAPRITE,
        provider_id=made,
        merchant_profile_id=row.merchant_profile_id,
        merchant_profile_name=profile.name if profile else None,
        label=row.label,
        base_url=row.base_url,
        webhook_url=visit.office.webhook_url(ZAPRITE, made),
    )


@post("/zaprite/disconnect", operation_id="disconnectZaprite", **ERRAND)
async def disconnect_zaprite(visit: WithVisit, data: JSONBody[DisconnectOneBody | None] = None) -> Disconnected:
    """As `/providers/{provider_id}/disconnect`."""
    return await _disconnect_one(visit, ZAPRITE, data or DisconnectOneBody())


async def _provider(visit: Visit, provider_id: UUID) -> Provider:
    async with visit.shop.read() as read:
        return shown(await read.get(ConnectionRow, provider_id))


async def _state(read: Read, kind: str) -> ConnectionState:
    profile = await profile_of(read, None)
    rows = await selling(read, profile, kind)
    if not rows:
        return ConnectionState(connected=False)
    row = rows[0]
    return ConnectionState(
        connected=True,
        provider_id=row.id,
        store_id=row.account_id,
        webhook_id=row.webhook_id,
        webhook_url=row.webhook_url,
        base_url=row.base_url,
        label=row.label,
        merchant_profile_id=row.merchant_profile_id,
        merchant_profile_name=profile.name if profile else None,
    )


async def _disconnect_one(visit: Visit, kind: str, asked: DisconnectOneBody) -> Disconnected:
    async with visit.shop.read() as read:
        if asked.provider_id is not None:
            row = await read.get(ConnectionRow, asked.provider_id)
            if row.provider != kind:
                raise BadRequest(f"This connection is one of {row.provider}, not of {kind}.")
        else:
            row = next(iter(await selling(read, await profile_of(read, None), kind)), None)
    if row is None:
        return Disconnected(noop=True, message=f"No {kind} account is connected.")
    return await _parted(visit, row.id, at_once=asked.revoke_now)


async def _parted(visit: Visit, provider_id: UUID, *, at_once: bool) -> Disconnected:
    shop = visit.shop
    till = await shop.tills.get(ConnectionId(provider_id))
    parted = await part(visit.office, till, at_once=at_once)
    await refresh_tills(shop)
    return Disconnected(
        noop=parted.is_noop,
        provider_id=provider_id,
        store_id=till.connection.account_id,
        webhook_id=till.connection.webhook_id,
        watched_until=parted.watched_until,
        warnings=parted.warnings,
    )


ROUTES = (
    list_providers,
    get_provider,
    check_provider,
    repair_provider,
    disconnect_provider,
    payment_status,
    btcpay_status,
    btcpay_methods,
    connect_btcpay,
    disconnect_btcpay,
    zaprite_status,
    connect_zaprite,
    disconnect_zaprite,
)
