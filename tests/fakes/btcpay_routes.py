"""The fake's Greenfield API: method, path, permission, and what is answered. Store-nested routes only (1.1)."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from tests.fakes.btcpay_hooks import Hook
from tests.fakes.btcpay_invoices import Invoice, unix
from tests.fakes.btcpay_server import Server
from tests.fakes.served import Call, Refusal, Reply

CREATE = "btcpay.store.cancreateinvoice"
VIEW = "btcpay.store.canviewinvoices"
MODIFY = "btcpay.store.canmodifyinvoices"
SETTINGS = "btcpay.store.canviewstoresettings"
WEBHOOKS = "btcpay.store.webhooks.canmodifywebhooks"


def answer(server: Server, call: Call) -> Reply:
    """Carries out one call."""
    server.watch()
    try:
        for method, pattern, permission, names, act in ROUTES:
            found = pattern.fullmatch(call.path)
            if found is None or method != call.method:
                continue
            unknown = {name for name, _ in call.query} - names
            if unknown:
                server.violations.append(f"{call.method} {call.path}: unknown query {sorted(unknown)}")
            _authorize(server, call, permission, found.groupdict().get("store"))
            return _reply(act(server, call, *found.groups()))
    except Refusal as refusal:
        return refusal.reply
    return Reply(404, b"<html>Not found</html>")


def _reply(body: Any) -> Reply:
    return Reply(200, b"" if body is None else json.dumps(body).encode())


def _authorize(server: Server, call: Call, permission: str | None, store: str | None) -> None:
    if permission is None:
        return
    if call.key not in server.keys:
        raise Refusal(401, {"code": "unauthenticated", "message": "Authentication is required"})
    if permission and not server.granted(call.key, permission, store):
        message = f"Insufficient API Permissions. Please use an API key with permission: {permission}."
        refused = {"code": "missing-permission", "message": message, "missingPermission": permission}
        raise Refusal(403, refused)
    if store is not None and store not in server.stores:
        raise Refusal(404, {"code": "store-not-found", "message": "The store was not found"})


# Server and key


def _health(server: Server, _call: Call) -> Any:
    return {"synchronized": server.synced}


def _info(server: Server, _call: Call) -> Any:
    methods = ["BTC-CHAIN", "BTC-LN", "BTC-LNURL"]
    return {"version": server.version, "supportedPaymentMethods": methods, "fullySynched": server.synced}


def _key(server: Server, call: Call) -> Any:
    return {"apiKey": call.key, "label": "Keysat", "permissions": sorted(server.keys[call.key])}


def _revoke(server: Server, call: Call) -> Any:
    server.revoke_key(call.key)
    return {}


def _stores(server: Server, call: Call) -> Any:
    return [store.json() for store in server.stores.values() if server.granted(call.key, SETTINGS, store.id)]


def _store(server: Server, _call: Call, store: str) -> Any:
    return server.stores[store].json()


def _store_methods(server: Server, _call: Call, store: str) -> Any:
    return [{"enabled": True, "paymentMethodId": method} for method in server.stores[store].methods]


def _rates(server: Server, call: Call, _store: str) -> Any:
    found: list[dict[str, Any]] = []
    for pair in call.values("currencyPair"):
        rate = server.rates.get(pair.partition("_")[2]) if pair.startswith("BTC_") else None
        errors = [] if rate else ["No rate rule applies"]
        found.append({"currencyPair": pair, "errors": errors, **({"rate": str(rate)} if rate else {})})
    return found


# Invoices


def _create(server: Server, call: Call, store: str) -> Any:
    body = call.json()
    try:
        amount = Decimal(body["amount"])
    except (KeyError, TypeError, InvalidOperation):
        raise Refusal(422, [{"path": "amount", "message": "The amount is no number"}]) from None
    if amount <= 0:
        raise Refusal(422, [{"path": "amount", "message": "The amount should be more than 0"}])
    if body.get("checkout", {}).get("expirationMinutes", 15) < 0.5:
        raise Refusal(422, [{"path": "checkout.expirationMinutes", "message": "At least 30 seconds"}])
    try:
        made = server.make_invoice(server.stores[store], amount, body["currency"], body)
    except LookupError as error:
        raise Refusal(400, {"code": "generic-error", "message": str(error.args[0])}) from None
    return _linked(server, call, made)


def _list(server: Server, call: Call, store: str) -> Any:
    found = [made for made in server.invoices.values() if made.store_id == store]
    if orders := call.values("orderId"):
        found = [made for made in found if made.metadata.get("orderId") in orders]
    if statuses := call.values("status"):
        found = [made for made in found if made.status in statuses]
    if starts := call.values("startDate"):
        found = [made for made in found if made.created_at >= datetime.fromtimestamp(int(starts[0]), UTC)]
    newest_first = found[::-1]
    skip = call.number("skip", 0)
    page = newest_first[skip : skip + call.number("take", 50)]
    return [_linked(server, call, made) for made in page]


def _get(server: Server, call: Call, store: str, invoice: str) -> Any:
    return _linked(server, call, _found(server, store, invoice))


def _methods(server: Server, _call: Call, store: str, invoice: str) -> Any:
    return _found(server, store, invoice).methods_json()


def _mark(server: Server, call: Call, store: str, invoice: str) -> Any:
    found = _found(server, store, invoice)
    try:
        server.mark_quietly(found, call.json()["status"])
    except ValueError as error:
        raise Refusal(422, [{"path": "status", "message": str(error)}]) from None
    return _linked(server, call, found)


def _found(server: Server, store: str, invoice: str) -> Invoice:
    found = server.invoices.get(invoice)
    if found is None or found.store_id != store:
        raise Refusal(404, {"code": "invoice-not-found", "message": "The invoice was not found"})
    return found


def _linked(server: Server, call: Call, made: Invoice) -> dict[str, Any]:
    """The link's host is the one of the request (1.4)."""
    host = call.headers.get("host", "")
    link = f"http://{host}/i/{made.id}" if host else f"{server.base_url}/i/{made.id}"
    return {**made.json(), "checkoutLink": link}


# Webhooks


def _hooks(server: Server, _call: Call, store: str) -> Any:
    return [hook.json() for hook in server.hooks if hook.store_id == store]


def _new_hook(server: Server, call: Call, store: str) -> Any:
    hook = Hook(server.next_id("hook"), store)
    _write_hook(server, hook, call.json())
    hook.secret = hook.secret or server.next_id("secret")
    server.post.hooks[hook.id] = hook
    return {**hook.json(), "secret": hook.secret}


def _change_hook(server: Server, call: Call, store: str, hook_id: str) -> Any:
    hook = _found_hook(server, store, hook_id)
    _write_hook(server, hook, call.json())
    return hook.json()


def _write_hook(server: Server, hook: Hook, body: dict[str, Any]) -> None:
    if not str(body.get("url", "")).startswith(("http://", "https://")):
        raise Refusal(422, [{"path": "url", "message": "Invalid url"}])
    events = body.get("authorizedEvents", {})
    if server.known_events is not None and not server.known_events.issuperset(events.get("specificEvents", [])):
        raise Refusal(422, [{"path": "authorizedEvents.specificEvents", "message": "Unknown event"}])
    hook.url = body["url"]
    hook.secret = body.get("secret") or hook.secret
    hook.enabled = body.get("enabled", True)
    hook.automatic_redelivery = body.get("automaticRedelivery", True)
    hook.everything = events.get("everything", True)
    hook.events = events.get("specificEvents", [])


def _get_hook(server: Server, _call: Call, store: str, hook_id: str) -> Any:
    return _found_hook(server, store, hook_id).json()


def _delete_hook(server: Server, _call: Call, store: str, hook_id: str) -> Any:
    server.post.hooks.pop(_found_hook(server, store, hook_id).id)


def _deliveries(server: Server, call: Call, store: str, hook_id: str) -> Any:
    hook = _found_hook(server, store, hook_id)
    latest = hook.past[::-1][: call.number("count", 50)]
    return [
        {
            "id": past.id,
            "timestamp": unix(past.raised_at),
            "deliveryTime": unix(past.done_at or past.raised_at),
            "httpCode": past.http_code,
            "errorMessage": past.error or "",
            "status": past.status,
        }
        for past in latest
    ]


def _redeliver(server: Server, _call: Call, store: str, hook_id: str, delivery_id: str) -> Any:
    hook = _found_hook(server, store, hook_id)
    if not any(past.id == delivery_id for past in hook.past):
        raise Refusal(404, {"code": "webhookdelivery-not-found", "message": "The webhook delivery was not found"})
    return server.post.redeliver(hook, delivery_id, server.now)


def _found_hook(server: Server, store: str, hook_id: str) -> Hook:
    hook = server.post.hooks.get(hook_id)
    if hook is None or hook.store_id != store:
        raise Refusal(404, {"code": "webhook-not-found", "message": "The webhook was not found"})
    return hook


_LISTED = {"orderId", "status", "textSearch", "startDate", "endDate", "skip", "take", "includePaymentMethods"}
_TABLE: tuple[tuple[str, str, str | None, set[str], Callable[..., Any]], ...] = (
    ("GET", "/health", None, set(), _health),
    ("GET", "/server/info", "", set(), _info),
    ("GET", "/api-keys/current", "", set(), _key),
    ("DELETE", "/api-keys/current", "", set(), _revoke),
    ("GET", "/stores", SETTINGS, set(), _stores),
    ("GET", "/stores/{store}", SETTINGS, set(), _store),
    ("GET", "/stores/{store}/payment-methods", SETTINGS, set(), _store_methods),
    ("GET", "/stores/{store}/rates", SETTINGS, {"currencyPair"}, _rates),
    ("POST", "/stores/{store}/invoices", CREATE, set(), _create),
    ("GET", "/stores/{store}/invoices", VIEW, _LISTED, _list),
    ("GET", "/stores/{store}/invoices/{invoice}", VIEW, set(), _get),
    ("GET", "/stores/{store}/invoices/{invoice}/payment-methods", VIEW, {"onlyAccountedPayments"}, _methods),
    ("POST", "/stores/{store}/invoices/{invoice}/status", MODIFY, set(), _mark),
    ("GET", "/stores/{store}/webhooks", WEBHOOKS, set(), _hooks),
    ("POST", "/stores/{store}/webhooks", WEBHOOKS, set(), _new_hook),
    ("GET", "/stores/{store}/webhooks/{hook}", WEBHOOKS, set(), _get_hook),
    ("PUT", "/stores/{store}/webhooks/{hook}", WEBHOOKS, set(), _change_hook),
    ("DELETE", "/stores/{store}/webhooks/{hook}", WEBHOOKS, set(), _delete_hook),
    ("GET", "/stores/{store}/webhooks/{hook}/deliveries", WEBHOOKS, {"count"}, _deliveries),
    ("POST", "/stores/{store}/webhooks/{hook}/deliveries/{delivery}/redeliver", WEBHOOKS, set(), _redeliver),
)
ROUTES = [
    (method, re.compile("/api/v1" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)), permission, names, act)
    for method, path, permission, names, act in _TABLE
]
