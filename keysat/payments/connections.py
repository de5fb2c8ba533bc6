"""Connecting and disconnecting a provider: an errand, since the account is checked over the network first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import select

from keysat.infra.attention import clear
from keysat.infra.events import Actor
from keysat.infra.house import Mode
from keysat.infra.http import HttpClient
from keysat.infra.store import Store
from keysat.infra.vault import Vault
from keysat.infra.work import Read, Work, flushed
from keysat.kit.errors import BadRequest, KeysatError, UpstreamError
from keysat.kit.ids import random_uuid
from keysat.payments.happenings import ProviderConnected, ProviderDisconnected
from keysat.payments.provider import (
    Connection,
    CredentialGone,
    Network,
    PermissionMissing,
    ProviderError,
    Rejected,
    Till,
)
from keysat.payments.registry import provider
from keysat.payments.tables import CONNECTION, ConnectionId, ConnectionRow, ConnectionStatus, ConnectionStep
from keysat.payments.tills import SECRETS

WEBHOOK_MISSING = "webhook_missing"  # the kind of attention


def fits(network: Network, mode: Mode) -> bool:
    """A live shop takes mainnet money only; a sandbox shop takes anything but. Unknown fits nowhere."""
    if network == Network.UNKNOWN:
        return False
    return (network == Network.MAINNET) == (mode == Mode.LIVE)


@dataclass(frozen=True, slots=True)
class Office:
    """What connecting needs besides a moment and an actor."""

    store: Store
    vault: Vault
    http: HttpClient
    mode: Mode
    public_url: str


async def connect(office: Office, name: str, fields: Mapping[str, str], now: datetime, actor: Actor) -> ConnectionId:
    """Check the account, keep the connection, register our webhook.

    `fields` as the provider wants them (`url`, `api_key`, `store`, `public_url`). Raises BadRequest with what to mend,
    Conflict when the account is connected already, UpstreamError when the provider cannot be reached.
    """
    maker = provider(name)
    connection_id = ConnectionId(random_uuid(office.store.chance))
    try:
        connection = await maker.connect_with(fields, str(connection_id), office.http)
    except ProviderError as error:
        raise _told(error, name) from error
    if not fits(connection.network, office.mode):
        raise BadRequest(
            f"This is a {office.mode} shop, but the account's money is on {connection.network}. "
            + (
                "Connect an account with a mainnet wallet."
                if office.mode == Mode.LIVE
                else "A sandbox shop takes play money only."
            )
        )
    async with office.store.work(now, actor) as work:
        async with flushed(work, f"This {name} account is connected already. Disconnect it first to connect it anew."):
            work.session.add(_row(work, office.vault, connection_id, connection))
        work.record(ProviderConnected(connection_id, name, connection.network))
    await register_webhook(office, connection_id, maker.open(connection, office.http), now, actor)
    return connection_id


async def register_webhook(
    office: Office, connection_id: ConnectionId, till: Till, now: datetime, actor: Actor
) -> None:
    """Register or mend our webhook. A provider that refuses costs only speed: the reconciler sees every payment."""
    async with office.store.read() as read:
        row = await read.get(ConnectionRow, connection_id)
        url = f"{office.public_url}/v1/{row.provider}/webhook/{connection_id}"
    try:
        connection = await till.ensure_webhook(url)
    except ProviderError as error:
        async with office.store.work(now, actor) as work:
            words = f"No webhook could be registered: {error}"
            await work.attend(WEBHOOK_MISSING, connection_id, words, again=True)
        return
    async with office.store.work(now, actor) as work:
        row = await work.get(ConnectionRow, connection_id)
        row.webhook_id = connection.webhook_id
        row.secrets_sealed = office.vault.seal(msgspec.json.encode(dict(connection.secrets)), SECRETS)
        await clear(work, connection_id, WEBHOOK_MISSING)


async def disconnect(work: Work, connection_id: ConnectionId) -> None:
    """Take no more orders through it; what was opened through it is still watched. Raises IllegalStep if repeated."""
    row = await work.get(ConnectionRow, connection_id)
    await work.advance(CONNECTION, row, ConnectionStep.DISCONNECT, disconnected_at=work.now)
    work.record(ProviderDisconnected(connection_id, row.provider))


async def has_connection(read: Read, name: str) -> bool:
    """Whether a connection of this provider was ever made."""
    found = await read.session.scalar(select(ConnectionRow.id).where(ConnectionRow.provider == name).limit(1))
    return found is not None


def _row(work: Work, vault: Vault, connection_id: ConnectionId, connection: Connection) -> ConnectionRow:
    return ConnectionRow(
        id=connection_id,
        provider=connection.provider,
        label=connection.label,
        base_url=connection.base_url,
        public_url=connection.public_url,
        account_id=connection.account_id,
        secrets_sealed=vault.seal(msgspec.json.encode(dict(connection.secrets)), SECRETS),
        network=connection.network,
        webhook_id=connection.webhook_id,
        status=ConnectionStatus.ACTIVE,
        connected_at=work.now,
    )


def _told(error: ProviderError, name: str) -> KeysatError:
    """The operator's own provider may speak to the operator: its words say which permission to tick."""
    if isinstance(error, (Rejected, CredentialGone, PermissionMissing)):
        return BadRequest(f"{name} refused the connection: {error}")
    return UpstreamError(f"{name} cannot be reached: {error}")
