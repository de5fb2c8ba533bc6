"""Disconnecting a provider: at once no order is opened through it, and once nothing can be paid through it any more,
our webhook and our key are taken back there.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import delete, func, select, update

from keysat.infra.attention import clear
from keysat.infra.work import Read, Work
from keysat.infra.written import minute
from keysat.payments.connections import CONDITIONS, Office
from keysat.payments.happenings import ProviderDisconnected, ProviderReleased
from keysat.payments.provider import PayState, Revocable, Transient
from keysat.payments.tables import (
    CONNECTION,
    Attempt,
    ConnectionId,
    ConnectionRow,
    ConnectionStatus,
    ConnectionStep,
    RailPreference,
)
from keysat.payments.tills import SECRETS, OpenTill, Tills

ASKED_FOR = timedelta(days=7)  # to give a key back


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


async def part(office: Office, till: OpenTill, *, at_once: bool = False) -> Parted:
    """Disconnect, and take back our webhook and our key once nothing can be paid through it any more, or at once.

    What waits is finished by the job of health.
    """
    async with office.work() as work:
        row = await work.hold(ConnectionRow, till.id)
        is_noop = row.released_at is not None
        if row.status == ConnectionStatus.ACTIVE:
            await disconnect(work, till.id)
        until = await _payable_until(work, till.id, work.now)
    if is_noop:
        return Parted(is_noop, None, ())
    if until is not None and not at_once:
        words = (
            f"Invoices that were opened through it can still be paid until {minute(until)}. Until then the "
            "key is kept, and they are watched; then it is taken back by itself."
        )
        return Parted(False, until, (words,))
    return Parted(False, None, await release(office, till))


async def release(office: Office, till: OpenTill) -> tuple[str, ...]:
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
            async with office.read() as read:
                gone_at = (await read.get(ConnectionRow, till.id)).disconnected_at
            if gone_at is None or office.now - gone_at < ASKED_FOR:
                return tuple(left)
    nothing = office.vault.seal(b"{}", SECRETS)
    async with office.work() as work:
        await work.session.execute(
            update(ConnectionRow)
            .where(ConnectionRow.id == till.id, ConnectionRow.status == ConnectionStatus.DISCONNECTED)
            .values(released_at=work.now, webhook_id=None, webhook_url=None, secrets_sealed=nothing)
            .execution_options(synchronize_session=False)
        )
        work.record(ProviderReleased(till.id, name))
    return tuple(left)


async def release_idle(office: Office, tills: Tills) -> None:
    """All that were disconnected and have nothing left to be paid."""
    for till in tills.all():
        if not till.sells and not till.is_released:
            async with office.read() as read:
                until = await _payable_until(read, till.id, office.now)
            if until is None:
                await release(office, till)


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
