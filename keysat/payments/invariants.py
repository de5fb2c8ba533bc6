"""What must hold of connections and attempts."""

from datetime import datetime

from sqlalchemy import select

from keysat.infra.house import mode_of
from keysat.infra.work import Read
from keysat.payments.connections import fits
from keysat.payments.tables import Attempt, ConnectionRow, ConnectionStatus, MerchantProfile, RailPreference

MOST = 100


async def broken(read: Read, _now: datetime) -> list[str]:
    """One sentence for each thing that does not hold, at most 100 of a kind."""
    return [*await _profiles(read), *await _connections(read), *await _attempts(read)]


async def _profiles(read: Read) -> list[str]:
    nameless = select(MerchantProfile.id).where(MerchantProfile.name.is_(None), ~MerchantProfile.is_default)
    lines = [
        f"Merchant profile {profile_id} has no name, and is not the default one."
        for profile_id in await read.session.scalars(nameless)
    ]
    preferred = select(RailPreference, ConnectionRow).join(ConnectionRow)
    for preference, row in await read.session.execute(preferred):
        if row.status != ConnectionStatus.ACTIVE or row.merchant_profile_id != preference.merchant_profile_id:
            lines.append(f"Merchant profile {preference.merchant_profile_id} prefers a connection that is not its own.")
    return lines


async def _connections(read: Read) -> list[str]:
    mode = await mode_of(read)
    lines: list[str] = []
    for row in await read.session.scalars(select(ConnectionRow)):
        active = row.status == ConnectionStatus.ACTIVE
        if active and mode is not None and not fits(row.network, mode):
            lines.append(f"Connection {row.id} takes money on {row.network}, but this is a {mode} shop.")
        if active != (row.disconnected_at is None):
            lines.append(f"Connection {row.id}: its status does not fit the time of its end.")
        if active and row.released_at is not None:
            lines.append(f"Connection {row.id} takes orders, but its key was given back.")
    return lines


async def _attempts(read: Read) -> list[str]:
    rows = await read.session.scalars(
        select(Attempt.id)
        .where(Attempt.failed.is_not(None), Attempt.provider_invoice_id.is_not(None))
        .order_by(Attempt.id)
        .limit(MOST)
    )
    return [f"Attempt {attempt_id} failed, and yet it has an invoice that nobody looks at." for attempt_id in rows]
