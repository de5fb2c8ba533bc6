"""Connecting providers, for the API and for the operator's pages: who may, where BTCPay is, what is shown."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta
from sqlalchemy import Select, select

from keysat.infra.events import Actor
from keysat.infra.house import Mode
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest, BtcpayNotConfigured
from keysat.operators.scopes import Scope
from keysat.operators.standing import scopes_now
from keysat.payments.authorize import Places, Trust
from keysat.payments.provider import Network, Rail
from keysat.payments.registry import provider
from keysat.payments.tables import ConnectionId, ConnectionRow, ConnectionStatus, MerchantProfile
from keysat.upkeep.shop import Shop
from keysat.web.visit import Visit
from keysat.web.wire import Outbound

BTCPAY, ZAPRITE = "btcpay", "zaprite"
Url = Annotated[str, Meta(max_length=2000)]


class ProviderHealth(Outbound, frozen=True, kw_only=True):
    """What a look at the account found. `missing` and `excess` are names of permissions in the provider's words.

    `webhook_ok` null: nobody can tell, or it is set up by hand. `webhook_faults` say what is wrong with it.
    """

    reachable: bool
    authorized: bool
    synced: bool | None
    version: str | None
    missing: list[str]
    excess: list[str]
    webhook_ok: bool | None
    webhook_faults: list[str] = msgspec.field(default_factory=list[str])
    last_delivery_at: datetime | None = None
    last_delivery_ok: bool | None = None
    warnings: list[str]


class Provider(Outbound, frozen=True, kw_only=True):
    """A connection. `store_id` is the account there; `merchant_profile_id` null: the default profile's.

    `health`: what was found at `checked_at`; null: nobody has looked yet. `released_at`: its key was given back.
    """

    id: ConnectionId
    kind: str
    label: str
    base_url: str
    public_url: str | None
    store_id: str
    network: Network
    served_rails: list[Rail]
    status: ConnectionStatus
    merchant_profile_id: UUID | None
    webhook_id: str | None
    webhook_url: str | None
    connected_at: datetime
    checked_at: datetime | None
    disconnected_at: datetime | None
    released_at: datetime | None
    health: ProviderHealth | None


def shown(row: ConnectionRow) -> Provider:
    return Provider(
        id=row.id,
        kind=row.provider,
        label=row.label,
        base_url=row.base_url,
        public_url=row.public_url,
        store_id=row.account_id,
        network=row.network,
        served_rails=rails_of(row.provider),
        status=row.status,
        merchant_profile_id=row.merchant_profile_id,
        webhook_id=row.webhook_id,
        webhook_url=row.webhook_url,
        connected_at=row.connected_at,
        checked_at=row.checked_at,
        disconnected_at=row.disconnected_at,
        released_at=row.released_at,
        health=msgspec.convert(row.health, ProviderHealth) if row.health is not None else None,
    )


def rails_of(name: str) -> list[Rail]:
    served = provider(name).capabilities.rails
    return [rail for rail in Rail if rail in served]


def may_connect(visit: Visit) -> None:
    """The owner; in a sandbox shop, where only play money connects, also who has the scope by name.

    `published-server.md` 3.6: the third gate, a network that is proved not to be mainnet, is `connections.fits`.
    Raises Forbidden.
    """
    visit.need(_scope_to_connect(visit))


async def trusted_now(visit: Visit, read: Read, actor: Actor) -> Trust:
    """The same of who began to connect earlier."""
    scopes = await scopes_now(read, actor, visit.now)
    if Scope.OWNER in scopes:
        return Trust.OWNS
    return Trust.CONNECTS if _scope_to_connect(visit) in scopes else Trust.NONE


def _scope_to_connect(visit: Visit) -> Scope:
    return Scope.PAYMENT_PROVIDERS_WRITE if visit.shop.mode == Mode.SANDBOX else Scope.OWNER


async def selling(read: Read, profile: MerchantProfile | None, kind: str | None = None) -> Sequence[ConnectionRow]:
    """The connections of this profile that take orders, the oldest first."""
    return (await read.session.scalars(_of_profile(profile, kind))).all()


def _of_profile(profile: MerchantProfile | None, kind: str | None) -> Select[ConnectionRow]:
    query = select(ConnectionRow).where(ConnectionRow.status == ConnectionStatus.ACTIVE)
    if kind is not None:
        query = query.where(ConnectionRow.provider == kind)
    ours = ConnectionRow.merchant_profile_id == (profile.id if profile else None)
    if profile is None or profile.is_default:
        ours |= ConnectionRow.merchant_profile_id.is_(None)
    return query.where(ours).order_by(ConnectionRow.connected_at, ConnectionRow.id)


async def the_connection(read: Read, kind: str, profile: MerchantProfile | None) -> ConnectionRow:
    """The profile's oldest of this kind. Raises BtcpayNotConfigured."""
    found = await read.session.scalar(_of_profile(profile, kind).limit(1))
    if found is None:
        raise BtcpayNotConfigured(f"No {kind} account is connected.")
    return found


async def places_of(read: Read, shop: Shop, url: str | None, public_url: str | None) -> Places:
    """Where BTCPay is: as typed, else as the settings say, else where it was the last time. Raises BadRequest."""
    settings = shop.settings
    if not url and settings.btcpay_url is None:
        url = await last_url(read)
    if url:
        return Places(url.strip().rstrip("/"), None, (public_url or "").strip() or settings.btcpay_public_url)
    if settings.btcpay_url is None:
        raise BadRequest("Where is your BTCPay Server? Give its address as url, or set BTCPAY_URL.")
    browser_url = settings.btcpay_browser_url
    return Places(
        settings.btcpay_url, browser_url, (public_url or "").strip() or settings.btcpay_public_url or browser_url
    )


async def last_url(read: Read) -> str | None:
    return await read.session.scalar(
        select(ConnectionRow.base_url)
        .where(ConnectionRow.provider == BTCPAY)
        .order_by(ConnectionRow.connected_at.desc())
        .limit(1)
    )
