"""A look at the store, its key and our webhook (`payment-rails.md` 1.2, 1.3, 1.7, 1.9)."""

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
from providers.btcpay.greenfield import Greenfield, segment

DELIVERIES_LOOKED_AT = 20


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
    webhook_ok = await _webhook_ok(api, connection) if permissions.WEBHOOKS in grant.granted else None
    if webhook_ok:
        warnings += await _about_deliveries(api, connection)
    return Health(
        reachable=True,
        authorized=True,
        synced=info.fully_synched,
        version=info.version,
        missing=grant.missing,
        excess=grant.excess | grant.unscoped,
        webhook_ok=webhook_ok,
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


async def _webhook_ok(api: Greenfield, connection: Connection) -> bool | None:
    """None: there is none yet. Our webhook's path holds the connection's id."""
    if connection.webhook_id is None:
        return None
    try:
        hook = await api.ask(_hook_path(connection, connection.webhook_id), wire.Hook)
    except (NoSuchId, PermissionMissing):
        return False
    events = hook.authorized_events
    heard = events.everything or set(webhook.EVENTS) <= set(events.specific_events)
    return hook.enabled and hook.automatic_redelivery and heard and connection.id in hook.url


async def _about_deliveries(api: Greenfield, connection: Connection) -> list[str]:
    path = _hook_path(connection, connection.webhook_id or "") + "/deliveries"
    latest = await api.ask(path, list[wire.Delivery], [("count", str(DELIVERIES_LOOKED_AT))])
    failed = sum(delivery.status in ("Failed", "HttpError") for delivery in latest)
    return [f"{failed} of BTCPay's last {len(latest)} webhook deliveries failed."] if failed else []


def _hook_path(connection: Connection, hook_id: str) -> str:
    return f"/stores/{segment(connection.account_id)}/webhooks/{segment(hook_id)}"
