"""What keeps a shop that is well from selling, from telling its visitors apart, or from outliving its disk.

The doctor's command prints it, and ends with 0 all the same.
"""

from datetime import datetime, timedelta

from sqlalchemy import func, select

from keysat.infra.house import MODE, Mode
from keysat.infra.settings import Settings
from keysat.infra.tables import AttentionRow, House
from keysat.infra.work import Read
from keysat.infra.written import minute
from keysat.payments.tables import ConnectionRow, ConnectionStatus
from keysat.upkeep.backup import last_backup
from keysat.upkeep.unnamed_proxy import UNNAMED

WITHOUT_BACKUP = timedelta(days=7)  # so long a live shop that has no schedule is not reminded
OVERDUE = 2  # times the hours of the schedule


async def warnings(read: Read, settings: Settings, mode: Mode, now: datetime) -> list[str]:
    """One sentence for each; none when it can sell, is backed up, and nobody is called."""
    found: list[str] = []
    calls = await read.session.scalar(select(func.count()).where(AttentionRow.settled_at.is_(None))) or 0
    if calls:
        things = "1 thing needs" if calls == 1 else f"{calls} things need"
        found.append(f"{things} attention: `keysat attention list`.")
    unnamed = select(AttentionRow.reason).where(AttentionRow.kind == UNNAMED)
    found.extend(await read.session.scalars(unnamed))
    selling = select(ConnectionRow).where(ConnectionRow.status == ConnectionStatus.ACTIVE)
    connections = (await read.session.scalars(selling.order_by(ConnectionRow.connected_at))).all()
    if not connections:
        found.append("No payment provider is connected: nothing but what is free can be sold.")
    for row in connections:
        health = row.health or {}
        if row.checked_at is not None and health.get("reachable") is False:
            found.append(f"{row.provider} at {row.base_url} could not be reached at {minute(row.checked_at)}.")
        elif health.get("authorized") is False:
            found.append(f"{row.provider} at {row.base_url} does not take its API key: connect it anew.")
    if mode == Mode.LIVE and settings.public_url_is_default:
        found.append(f"KEYSAT_PUBLIC_URL is not set: buyers and webhooks are sent to {settings.public_url}.")
    return [*found, *await _of_backups(read, settings, mode, now)]


async def _of_backups(read: Read, settings: Settings, mode: Mode, now: datetime) -> list[str]:
    scheduled = settings.backups
    if scheduled is None and mode != Mode.LIVE:
        return []
    last = await last_backup(read)
    since = last or await read.session.scalar(select(House.written_at).where(House.name == MODE))
    if since is None or now - since <= (scheduled.every * OVERDUE if scheduled is not None else WITHOUT_BACKUP):
        return []
    made = f"The last backup was made at {minute(last)}" if last is not None else "No backup was ever made"
    if scheduled is None:
        return [f"{made}: set KEYSAT_BACKUP_DIR, and Keysat makes them by itself."]
    return [f"{made}, though KEYSAT_BACKUP_DIR is set: does `keysat serve` run?"]
