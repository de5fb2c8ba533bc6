"""What keeps a shop that is well from selling, or from telling its visitors apart. The doctor's command prints it, and
ends with 0 all the same.
"""

from sqlalchemy import func, select

from keysat.infra.house import Mode
from keysat.infra.settings import Settings
from keysat.infra.tables import AttentionRow
from keysat.infra.work import Read
from keysat.payments.tables import ConnectionRow, ConnectionStatus
from keysat.upkeep.unnamed_proxy import UNNAMED


async def warnings(read: Read, settings: Settings, mode: Mode) -> list[str]:
    """One sentence for each; none when it can sell and nobody is called."""
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
        if health.get("reachable") is False:
            found.append(
                f"{row.provider} at {row.base_url} could not be reached at {row.checked_at:%Y-%m-%d %H:%M} UTC."
            )
        elif health.get("authorized") is False:
            found.append(f"{row.provider} at {row.base_url} does not take its API key: connect it anew.")
    if mode == Mode.LIVE and settings.public_url_is_default:
        found.append(f"KEYSAT_PUBLIC_URL is not set: buyers and webhooks are sent to {settings.public_url}.")
    return found
