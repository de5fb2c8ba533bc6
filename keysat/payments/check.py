"""Is a connection well? What is wrong is called, what can be mended is mended."""

from datetime import timedelta

import msgspec
from sqlalchemy import func, update

from keysat.infra.attention import clear
from keysat.infra.log import get
from keysat.infra.written import minute
from keysat.kit.errors import Conflict
from keysat.payments.connections import (
    EXCESS,
    MISSING,
    UNAUTHORIZED,
    UNREACHABLE,
    WEBHOOK_MISSING,
    Office,
    register_webhook,
)
from keysat.payments.provider import CredentialGone, Health, ProviderError
from keysat.payments.tables import ConnectionId, ConnectionRow
from keysat.payments.tills import OpenTill, Tills

SILENT_FOR = timedelta(hours=1)  # longer than an update of the server takes

log = get(__name__)


async def check(office: Office, till: OpenTill) -> Health:
    """Look, keep what was found, call attention to what only the operator can change. Registers a lost webhook."""
    health = await _look(till)
    has_moved = till.connection.webhook_url not in (None, office.webhook_url(till.connection.provider, till.id))
    said = _wrong(health, till, has_moved=has_moved)
    known = {UNAUTHORIZED, MISSING, EXCESS, UNREACHABLE, *([WEBHOOK_MISSING] if health.webhook_ok is not None else [])}
    gone = known - said.keys() if health.reachable else set[str]()
    async with office.work() as work:
        first_silent = func.coalesce(ConnectionRow.unreachable_since, work.now)
        silent_since = await work.session.scalar(
            update(ConnectionRow)
            .where(ConnectionRow.id == till.id)
            .values(
                health=msgspec.to_builtins(health, order="deterministic"),
                checked_at=work.now,
                unreachable_since=None if health.reachable else first_silent,
            )
            .returning(ConnectionRow.unreachable_since)
        )
        if silent_since is not None and work.now - silent_since >= SILENT_FOR:
            name, since = till.connection.provider, minute(silent_since)
            said[UNREACHABLE] = f"{name} has not answered since {since}. Nobody can pay through it."
        await clear(work, till.id, *gone)
        for kind in said.keys() - {WEBHOOK_MISSING}:
            await work.attend(kind, till.id, said[kind])
    if WEBHOOK_MISSING in said:
        log.warning("webhook.missing", connection=str(till.id))
        await register_webhook(office, till.id, till.till)
    return health


async def _look(till: OpenTill) -> Health:
    try:
        return await till.till.health()
    except ProviderError as error:
        log.warning("connection.unwell", connection=str(till.id), reason=f"{type(error).__name__}: {error}")
        return Health(reachable=isinstance(error, CredentialGone), authorized=False)


def _wrong(health: Health, till: OpenTill, *, has_moved: bool) -> dict[str, str]:
    """Kind of attention -> words for the operator. A server that cannot be reached says nothing of the rest."""
    if not health.reachable:
        return {}
    provider = till.connection.provider
    if not health.authorized:
        return {UNAUTHORIZED: f"{provider} no longer takes the API key. Disconnect it, and connect it with another."}
    said: dict[str, str] = {}
    if health.missing:
        said[MISSING] = f"The {provider} API key lacks: {', '.join(sorted(health.missing))}."
    if health.excess:
        said[EXCESS] = f"The {provider} API key may do more than it needs: {', '.join(sorted(health.excess))}."
    if health.webhook_ok is False or has_moved:
        said[WEBHOOK_MISSING] = f"{provider} does not tell this shop about payments."
    return said


async def selling_till(tills: Tills, connection_id: ConnectionId) -> OpenTill:
    """Raises NotFound; Conflict for one that was disconnected."""
    till = await tills.get(connection_id)
    if not till.sells:
        raise Conflict("This account is disconnected. Connect it again.")
    return till


async def repair(office: Office, tills: Tills, connection_id: ConnectionId) -> Health:
    """Write the webhook anew, so that both sides have the same secret, and look. Raises as `selling_till`."""
    till = await selling_till(tills, connection_id)
    await register_webhook(office, till.id, till.till)
    return await check(office, await tills.get(connection_id))
