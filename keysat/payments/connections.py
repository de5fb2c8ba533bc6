"""Connecting and disconnecting a provider: an errand, since the account is checked over the network first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Select, delete, func, select, update

from keysat.infra.attention import clear
from keysat.infra.edition import Cap
from keysat.infra.events import Actor
from keysat.infra.house import Mode
from keysat.infra.http import HttpClient
from keysat.infra.store import Store
from keysat.infra.vault import Vault
from keysat.infra.work import Read, Work, flushed
from keysat.kit.errors import BadRequest, KeysatError, UpstreamError
from keysat.kit.ids import random_uuid
from keysat.payments.happenings import (
    ProviderConnected,
    ProviderDisconnected,
    ProviderReconnected,
    ProviderReleased,
    WebhookRegistered,
)
from keysat.payments.profiles import the_default
from keysat.payments.provider import (
    Connection,
    CredentialGone,
    Network,
    PayState,
    PermissionMissing,
    ProviderError,
    Rejected,
    Revocable,
    Till,
    Transient,
    Unsupported,
)
from keysat.payments.registry import provider
from keysat.payments.tables import (
    CONNECTION,
    Attempt,
    ConnectionId,
    ConnectionRow,
    ConnectionStatus,
    ConnectionStep,
    MerchantProfile,
    RailPreference,
)
from keysat.payments.tills import SECRETS, OpenTill, Tills

WEBHOOK_MISSING, WEBHOOK_SECRET = "webhook_missing", "webhook_secret"  # kinds of attention
UNAUTHORIZED, MISSING, EXCESS = "provider_unauthorized", "permissions_missing", "permissions_excess"
CONDITIONS = (WEBHOOK_MISSING, WEBHOOK_SECRET, UNAUTHORIZED, MISSING, EXCESS)
CAPPED = {"zaprite": Cap.ZAPRITE}
ASKED_FOR = timedelta(days=7)  # to give a key back


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

    def webhook_url(self, provider: str, connection_id: ConnectionId) -> str:
        """Where this connection's provider is to send to."""
        return f"{self.public_url}/v1/{provider}/webhook/{connection_id}"


async def connect(
    office: Office,
    name: str,
    fields: Mapping[str, str],
    now: datetime,
    actor: Actor,
    profile_id: UUID | None = None,
) -> ConnectionId:
    """Check the account, keep the connection, register our webhook. An account that was connected before is revived.

    `fields` as the provider wants them (`url`, `api_key`, `store`, `public_url`). `profile_id`: who sells through it;
    None is the default profile. Raises NotFound for it; BadRequest with what to mend; Conflict when the account is
    connected already; TierCap; UpstreamError when the provider cannot be reached.
    """
    maker = provider(name)
    fresh = ConnectionId(random_uuid(office.store.chance))
    try:
        connection = await maker.connect_with(fields, str(fresh), office.http)
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
        row = await _kept(work, office.vault, fresh, connection, profile_id)
    till = maker.open(replace(connection, id=str(row.id)), office.http)
    await register_webhook(office, row.id, till, now, actor)
    return row.id


async def _kept(
    work: Work, vault: Vault, fresh: ConnectionId, connection: Connection, profile_id: UUID | None
) -> ConnectionRow:
    profile = await work.get(MerchantProfile, profile_id) if profile_id is not None else await the_default(work)
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


async def register_webhook(
    office: Office, connection_id: ConnectionId, till: Till, now: datetime, actor: Actor
) -> None:
    """Register or mend our webhook. A provider that refuses costs only speed: the reconciler sees every payment."""
    async with office.store.read() as read:
        row = await read.get(ConnectionRow, connection_id)
        url = office.webhook_url(row.provider, connection_id)
    try:
        connection = await till.ensure_webhook(url)
    except ProviderError as error:
        async with office.store.work(now, actor) as work:
            words = str(error) if isinstance(error, Unsupported) else f"No webhook could be registered: {error}"
            await work.attend(WEBHOOK_MISSING, connection_id, words, again=True)
        return
    async with office.store.work(now, actor) as work:
        row = await work.get(ConnectionRow, connection_id)
        row.webhook_id, row.webhook_url = connection.webhook_id, url
        row.secrets_sealed = office.vault.seal(msgspec.json.encode(dict(connection.secrets)), SECRETS)
        await clear(work, connection_id, WEBHOOK_MISSING, WEBHOOK_SECRET)
        work.record(WebhookRegistered(connection_id, row.provider))


async def disconnect(work: Work, connection_id: ConnectionId) -> None:
    """Take no more orders through it; what was opened through it is still watched. Raises IllegalStep if repeated."""
    row = await work.get(ConnectionRow, connection_id)
    await work.advance(CONNECTION, row, ConnectionStep.DISCONNECT, disconnected_at=work.now)
    await work.session.execute(delete(RailPreference).where(RailPreference.connection_id == connection_id))
    await clear(work, connection_id, *CONDITIONS)
    work.record(ProviderDisconnected(connection_id, row.provider))


class Parted(msgspec.Struct, frozen=True):
    """What became of a disconnect. `watched_until`: so long something can be paid through it, and the key is kept.

    `warnings` tell what was left behind at the provider.
    """

    is_noop: bool
    watched_until: datetime | None
    warnings: tuple[str, ...]


async def part(office: Office, till: OpenTill, now: datetime, actor: Actor, *, at_once: bool = False) -> Parted:
    """Disconnect, and take back our webhook and our key once nothing can be paid through it any more, or at once.

    What waits is finished by the job of health.
    """
    async with office.store.work(now, actor) as work:
        row = await work.hold(ConnectionRow, till.id)
        is_noop = row.released_at is not None
        if row.status == ConnectionStatus.ACTIVE:
            await disconnect(work, till.id)
        until = await _payable_until(work, till.id, now)
    if is_noop:
        return Parted(is_noop, None, ())
    if until is not None and not at_once:
        words = (
            f"Invoices that were opened through it can still be paid until {until:%Y-%m-%d %H:%M} UTC. Until then the "
            "key is kept, and they are watched; then it is taken back by itself."
        )
        return Parted(False, until, (words,))
    return Parted(False, None, await release(office, till, now, actor))


async def release(office: Office, till: OpenTill, now: datetime, actor: Actor) -> tuple[str, ...]:
    """Take our webhook and our key back, and forget the credentials. Returns what was left behind.

    A server that does not answer is asked again later, for a week.
    """
    name = till.connection.provider
    left: Sequence[str] = (f"{name} cannot be told: take Keysat's key and webhook away there.",)
    if isinstance(till.till, Revocable):
        try:
            left = await till.till.revoke()
        except Transient as error:
            left = (f"{name} did not answer, so its key and webhook are still there: {error}",)
            async with office.store.read() as read:
                gone_at = (await read.get(ConnectionRow, till.id)).disconnected_at
            if gone_at is None or now - gone_at < ASKED_FOR:
                return tuple(left)
    nothing = office.vault.seal(b"{}", SECRETS)
    async with office.store.work(now, actor) as work:
        await work.session.execute(
            update(ConnectionRow)
            .where(ConnectionRow.id == till.id, ConnectionRow.status == ConnectionStatus.DISCONNECTED)
            .values(released_at=now, webhook_id=None, webhook_url=None, secrets_sealed=nothing)
            .execution_options(synchronize_session=False)
        )
        work.record(ProviderReleased(till.id, name))
    return tuple(left)


async def release_idle(office: Office, tills: Tills, now: datetime, actor: Actor) -> None:
    """All that were disconnected and have nothing left to be paid."""
    for till in tills.all():
        if not till.sells and not till.is_released:
            async with office.store.read() as read:
                until = await _payable_until(read, till.id, now)
            if until is None:
                await release(office, till, now, actor)


async def _payable_until(read: Read, connection_id: ConnectionId, now: datetime) -> datetime | None:
    """When the provider ends watching the last invoice that may yet be paid. None: there is none."""
    over = (PayState.SETTLED, PayState.INVALID)
    return await read.session.scalar(
        select(func.max(Attempt.monitor_until)).where(
            Attempt.connection_id == connection_id,
            Attempt.failed.is_(None),
            Attempt.monitor_until > now,
            Attempt.seen_state.is_(None) | Attempt.seen_state.not_in(over),
        )
    )


async def has_connection(read: Read, name: str) -> bool:
    """Whether a connection of this provider was ever made."""
    found = await read.session.scalar(select(ConnectionRow.id).where(ConnectionRow.provider == name).limit(1))
    return found is not None


def _told(error: ProviderError, name: str) -> KeysatError:
    """The operator's own provider may speak to the operator: its words say which permission to tick."""
    if isinstance(error, (Rejected, CredentialGone, PermissionMissing)):
        return BadRequest(f"{name} refused the connection: {error}")
    return UpstreamError(f"{name} cannot be reached: {error}")
