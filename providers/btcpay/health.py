"""A look at the store, its key and our webhook (`payment-rails.md` 1.2, 1.3, 1.7, 1.9)."""

from keysat.payments.calls import segment
from keysat.payments.provider import (
    Connection,
    CredentialGone,
    Health,
    Malformed,
    NoSuchId,
    PermissionMissing,
    Rejected,
    Transient,
)
from providers.btcpay import permissions, webhook, wire
from providers.btcpay.greenfield import Greenfield

DELIVERIES_LOOKED_AT = 20
FAILED = frozenset({"Failed", "HttpError"})


async def examine(api: Greenfield, connection: Connection) -> Health:
    try:
        return await _look(api, connection)
    except Transient:
        return Health(reachable=False, authorized=False)
    except CredentialGone:
        return Health(reachable=True, authorized=False)
    except (Malformed, NoSuchId, Rejected):
        return Health(reachable=True, authorized=False, warnings=("What answers there is not BTCPay's API.",))


async def _look(api: Greenfield, connection: Connection) -> Health:
    info = await api.ask("/server/info", wire.ServerInfo)
    key = await api.ask("/api-keys/current", wire.ApiKey)
    grant = permissions.judge(key.permissions)
    warnings = [*_about_key(grant, connection), *await _about_store(api, connection, grant)]
    may_look = permissions.WEBHOOKS in grant.granted
    faults = await _about_webhook(api, connection) if may_look else []
    latest = await _deliveries(api, connection) if may_look and not faults else []
    failed = sum(delivery.status in FAILED for delivery in latest)
    if failed:
        warnings.append(f"{failed} of BTCPay's last {len(latest)} webhook deliveries failed.")
    return Health(
        reachable=True,
        authorized=True,
        synced=info.fully_synched,
        version=info.version,
        missing=grant.missing,
        excess=grant.excess | grant.unscoped,
        webhook_ok=not faults if may_look else None,
        webhook_faults=tuple(faults),
        last_delivery_at=latest[0].at if latest else None,
        last_delivery_ok=latest[0].status not in FAILED if latest else None,
        warnings=tuple(warnings),
    )


def _about_key(grant: permissions.Grant, connection: Connection) -> list[str]:
    if grant.stores - {connection.account_id}:
        return ["The API key also holds for other stores."]
    return []


async def _about_store(api: Greenfield, connection: Connection, grant: permissions.Grant) -> list[str]:
    if permissions.SETTINGS not in grant.granted:
        return ["The API key may not view the store's settings: they are not checked, and there are no rates."]
    try:
        store = await api.ask(f"/stores/{segment(connection.account_id)}", wire.Store)
    except (NoSuchId, PermissionMissing):
        return ["The store is gone, or the API key is not for it."]
    warnings: list[str] = []
    if store.archived:
        warnings.append("The store is archived.")
    if store.anyone_can_create_invoice:
        warnings.append("Anyone can create invoices in this store. Keysat ignores those it did not make.")
    if store.payment_tolerance > 0:
        warnings.append("The store accepts less than the price. Keysat's own invoices do not.")
    if store.speed_policy == "HighSpeed":
        warnings.append("The store takes unconfirmed payments. Keysat's own invoices do not.")
    return warnings


async def _about_webhook(api: Greenfield, connection: Connection) -> list[str]:
    """What is wrong with it. Our webhook's path holds the connection's id."""
    if connection.webhook_id is None:
        return ["There is no webhook yet."]
    try:
        hook = await api.ask(_hook_path(connection, connection.webhook_id), wire.Hook)
    except (NoSuchId, PermissionMissing):
        return ["The webhook is gone from BTCPay."]
    events = hook.authorized_events
    unheard = () if events.everything else sorted(set(webhook.EVENTS) - set(events.specific_events))
    leads_here = connection.id in hook.url if connection.webhook_url is None else hook.url == connection.webhook_url
    faults = {
        "It is switched off.": hook.enabled,
        "It does not deliver again what failed.": hook.automatic_redelivery,
        "It sends to another address.": leads_here,
        f"It does not tell of {', '.join(unheard)}.": not unheard,
    }
    return [words for words, holds in faults.items() if not holds]


async def _deliveries(api: Greenfield, connection: Connection) -> list[wire.Delivery]:
    """The latest first."""
    path = _hook_path(connection, connection.webhook_id or "") + "/deliveries"
    return await api.ask(path, list[wire.Delivery], [("count", str(DELIVERIES_LOOKED_AT))])


def _hook_path(connection: Connection, hook_id: str) -> str:
    return f"/stores/{segment(connection.account_id)}/webhooks/{segment(hook_id)}"
