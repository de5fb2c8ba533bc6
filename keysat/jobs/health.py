"""Are the connections well? What is wrong is called, what can be mended is mended."""

from datetime import datetime

import msgspec
from sqlalchemy import update

from keysat.infra.attention import clear
from keysat.infra.events import Actor
from keysat.infra.log import get
from keysat.payments.connections import WEBHOOK_MISSING, register_webhook
from keysat.payments.provider import CredentialGone, Health, ProviderError
from keysat.payments.tables import ConnectionRow
from keysat.payments.tills import OpenTill
from keysat.upkeep.opening import refresh_tills
from keysat.upkeep.shop import Shop

CHECKER = Actor("job:health")
UNAUTHORIZED, MISSING, EXCESS = "provider_unauthorized", "permissions_missing", "permissions_excess"

log = get(__name__)


async def check_connections(shop: Shop, now: datetime) -> None:
    for till in shop.tills.all():
        if till.sells:
            await check(shop, till, now)


async def check(shop: Shop, till: OpenTill, now: datetime) -> Health:
    """Look, keep what was found, call attention to what only the operator can change. Registers a lost webhook."""
    health = await _look(till)
    said = _wrong(health, till)
    gone = {UNAUTHORIZED, MISSING, EXCESS, WEBHOOK_MISSING} - said.keys() if health.reachable else set[str]()
    async with shop.store.work(now, CHECKER) as work:
        await work.session.execute(
            update(ConnectionRow)
            .where(ConnectionRow.id == till.id)
            .values(health=msgspec.to_builtins(health), checked_at=now)
        )
        await clear(work, till.id, *gone)
        for kind in said.keys() - {WEBHOOK_MISSING}:
            await work.attend(kind, till.id, said[kind])
    if WEBHOOK_MISSING in said:
        log.warning("webhook.missing", connection=str(till.id))
        await register_webhook(shop.office, till.id, till.till, now, CHECKER)
        await refresh_tills(shop)
    return health


async def _look(till: OpenTill) -> Health:
    try:
        return await till.till.health()
    except ProviderError as error:
        log.warning("connection.unwell", connection=str(till.id), reason=f"{type(error).__name__}: {error}")
        return Health(reachable=isinstance(error, CredentialGone), authorized=False)


def _wrong(health: Health, till: OpenTill) -> dict[str, str]:
    """Kind of attention -> words for the operator. A server that cannot be reached says nothing of the rest."""
    if not health.reachable:
        return {}
    provider = till.connection.provider
    if not health.authorized:
        return {UNAUTHORIZED: f"{provider} no longer takes the API key. Connect it anew with another."}
    said: dict[str, str] = {}
    if health.missing:
        said[MISSING] = f"The {provider} API key lacks: {', '.join(sorted(health.missing))}."
    if health.excess:
        said[EXCESS] = f"The {provider} API key may do more than it needs: {', '.join(sorted(health.excess))}."
    if health.webhook_ok is False:
        said[WEBHOOK_MISSING] = f"{provider} does not tell this shop about payments."
    return said
