"""Connecting a provider: an errand, since the account is checked over the network first. `disconnect` is its end."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

import msgspec
from sqlalchemy import Select, func, select

from keysat.infra.attention import clear
from keysat.infra.edition import Cap
from keysat.infra.errand import Errand
from keysat.infra.house import Mode
from keysat.infra.http import HttpClient
from keysat.infra.vault import Vault
from keysat.infra.work import Read, Work, flushed
from keysat.kit.errors import BadRequest, KeysatError, UpstreamError
from keysat.kit.ids import random_uuid
from keysat.payments.happenings import (
    ProviderConnected,
    ProviderReconnected,
    WebhookRegistered,
)
from keysat.payments.profiles import chosen
from keysat.payments.provider import (
    Connection,
    CredentialGone,
    Network,
    PermissionMissing,
    ProviderError,
    Rejected,
    Till,
    Unsupported,
)
from keysat.payments.registry import provider
from keysat.payments.tables import (
    CONNECTION,
    ConnectionId,
    ConnectionRow,
    ConnectionStatus,
    ConnectionStep,
)
from keysat.payments.tills import SECRETS

WEBHOOK_MISSING, WEBHOOK_SECRET = "webhook_missing", "webhook_secret"  # kinds of attention
UNAUTHORIZED, MISSING, EXCESS = "provider_unauthorized", "permissions_missing", "permissions_excess"
UNREACHABLE = "provider_unreachable"
CONDITIONS = (WEBHOOK_MISSING, WEBHOOK_SECRET, UNAUTHORIZED, MISSING, EXCESS, UNREACHABLE)
CAPPED = {"zaprite": Cap.ZAPRITE}


def fits(network: Network, mode: Mode) -> bool:
    """A live shop takes mainnet money only; a sandbox shop takes anything but. Unknown fits nowhere."""
    if network == Network.UNKNOWN:
        return False
    return (network == Network.MAINNET) == (mode == Mode.LIVE)


@dataclass(frozen=True, slots=True)
class Office(Errand):
    """What an errand with a provider's account goes with."""

    vault: Vault
    http: HttpClient
    mode: Mode
    public_url: str

    def webhook_url(self, provider: str, connection_id: ConnectionId) -> str:
        """Where this connection's provider is to send to."""
        return f"{self.public_url}/v1/{provider}/webhook/{connection_id}"


async def connect(
    office: Office,
    name: str,
    fields: Mapping[str, str],
    profile_id: UUID | None = None,
    *,
    quotes: bool = True,
) -> ConnectionId:
    """Check the account, keep the connection, register our webhook. An account that was connected before is revived.

    `fields` as the provider wants them (`url`, `api_key`, `store`, `public_url`). `profile_id`: who sells through it;
    None is the default profile. `quotes`: an owner asks, who may read what the server at that address said: it can be
    any machine that this one reaches. Raises NotFound for the profile; BadRequest with what to mend; Conflict when the
    account is connected already; TierCap; UpstreamError when the provider cannot be reached.
    """
    maker = provider(name)
    fresh = ConnectionId(random_uuid(office.store.chance))
    try:
        connection = await maker.connect_with(fields, str(fresh), office.http)
    except ProviderError as error:
        raise _told(error, name, quotes=quotes) from error
    if not fits(connection.network, office.mode):
        raise BadRequest(
            f"This is a {office.mode} shop, but the account's money is on {connection.network}. "
            + (
                "Connect an account with a mainnet wallet."
                if office.mode == Mode.LIVE
                else "A sandbox shop takes play money only."
            )
        )
    async with office.work() as work:
        row = await _kept(work, office.vault, fresh, connection, profile_id)
    till = maker.open(replace(connection, id=str(row.id)), office.http)
    await register_webhook(office, row.id, till)
    return row.id


async def _kept(
    work: Work, vault: Vault, fresh: ConnectionId, connection: Connection, profile_id: UUID | None
) -> ConnectionRow:
    profile = await chosen(work, profile_id)
    before = await work.session.scalar(
        select(ConnectionRow)
        .where(
            ConnectionRow.provider == connection.provider,
            ConnectionRow.account_id == connection.account_id,
            ConnectionRow.status == ConnectionStatus.DISCONNECTED,
        )
        .order_by(ConnectionRow.connected_at.desc())
        .limit(1)
    )
    if connection.provider in CAPPED:
        await work.within(CAPPED[connection.provider], _selling(connection.provider))
    taken = f"This {connection.provider} account is connected already. Disconnect it first to connect it anew."
    values = {
        "merchant_profile_id": profile.id,
        "label": connection.label,
        "base_url": connection.base_url,
        "public_url": connection.public_url,
        "secrets_sealed": vault.seal(msgspec.json.encode(dict(connection.secrets)), SECRETS),
        "network": connection.network,
        "webhook_id": None,
        "webhook_url": None,
        "connected_at": work.now,
    }
    if before is None:
        account = {"provider": connection.provider, "account_id": connection.account_id}
        row = ConnectionRow(id=fresh, status=ConnectionStatus.ACTIVE, **account, **values)
        async with flushed(work, taken):
            work.session.add(row)
        work.record(ProviderConnected(row.id, row.provider, row.network))
        return row
    async with flushed(work, taken):
        again = {"disconnected_at": None, "released_at": None, **values}
        await work.advance(CONNECTION, before, ConnectionStep.RECONNECT, **again)
    work.record(ProviderReconnected(before.id, before.provider, connection.network))
    return before


def _selling(name: str) -> Select[int]:
    return select(func.count()).where(ConnectionRow.provider == name, ConnectionRow.status == ConnectionStatus.ACTIVE)


async def register_webhook(office: Office, connection_id: ConnectionId, till: Till) -> None:
    """Register or mend our webhook. A provider that refuses costs only speed: the reconciler sees every payment."""
    async with office.read() as read:
        row = await read.get(ConnectionRow, connection_id)
        url = office.webhook_url(row.provider, connection_id)
    try:
        connection = await till.ensure_webhook(url)
    except ProviderError as error:
        async with office.work() as work:
            words = str(error) if isinstance(error, Unsupported) else f"No webhook could be registered: {error}"
            await work.attend(WEBHOOK_MISSING, connection_id, words, again=True)
        return
    async with office.work() as work:
        row = await work.get(ConnectionRow, connection_id)
        row.webhook_id, row.webhook_url = connection.webhook_id, url
        row.secrets_sealed = office.vault.seal(msgspec.json.encode(dict(connection.secrets)), SECRETS)
        await clear(work, connection_id, WEBHOOK_MISSING, WEBHOOK_SECRET)
        work.record(WebhookRegistered(connection_id, row.provider))


async def has_connection(read: Read, name: str) -> bool:
    """Whether a connection of this provider was ever made."""
    found = await read.session.scalar(select(ConnectionRow.id).where(ConnectionRow.provider == name).limit(1))
    return found is not None


def _told(error: ProviderError, name: str, *, quotes: bool) -> KeysatError:
    """The owner's own provider may speak to the owner: its words say which permission to tick."""
    if not quotes:
        return BadRequest(f"{name} was not connected. An owner who connects it is told why.")
    if isinstance(error, (Rejected, CredentialGone, PermissionMissing)):
        return BadRequest(f"{name} refused the connection: {error}")
    return UpstreamError(f"{name} was not connected: {error}")
