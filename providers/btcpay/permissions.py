"""Least privilege for the API key (`payment-rails.md` 1.9), judged purely."""

from collections.abc import Iterable
from dataclasses import dataclass

from keysat.payments.provider import PermissionMissing, Rejected

CREATE = "btcpay.store.cancreateinvoice"
VIEW = "btcpay.store.canviewinvoices"
WEBHOOKS = "btcpay.store.webhooks.canmodifywebhooks"
SETTINGS = "btcpay.store.canviewstoresettings"
MODIFY = "btcpay.store.canmodifyinvoices"
REFUND = "btcpay.store.cancreatenonapprovedpullpayments"

REQUIRED = frozenset({CREATE, VIEW, WEBHOOKS})
RECOMMENDED = frozenset({SETTINGS})  # the store's name, its settings, its rates
OPTIONAL = frozenset({MODIFY, REFUND})
ASKED_FOR = (CREATE, VIEW, WEBHOOKS, SETTINGS)
"""By the page on which the operator lets us in. Not MODIFY: who has it can mark any invoice paid."""

IMPLIED = {SETTINGS: frozenset({VIEW}), MODIFY: frozenset({VIEW, CREATE})}

LABELS = {
    CREATE: "Create an invoice",
    VIEW: "View invoices",
    WEBHOOKS: "Modify stores webhooks",
    SETTINGS: "View your stores",
    MODIFY: "Modify invoices",
    REFUND: "Create non-approved pull payments",
}
"""What the boxes are called on BTCPay's page for API keys."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a key may do. `excess` and `unscoped` hold the strings as BTCPay gave them."""

    granted: frozenset[str]
    stores: frozenset[str]
    missing: frozenset[str]
    excess: frozenset[str]
    unscoped: frozenset[str]


def judge(permissions: Iterable[str]) -> Grant:
    """`permissions` are `name` or `name:storeId`, as `GET /api-keys/current` lists them."""
    granted: set[str] = set()
    stores: set[str] = set()
    excess: set[str] = set()
    unscoped: set[str] = set()
    for permission in permissions:
        name, _, store = permission.partition(":")
        if name not in REQUIRED | RECOMMENDED | OPTIONAL:
            excess.add(permission)
            continue
        granted |= {name, *IMPLIED.get(name, ())}
        if store:
            stores.add(store)
        else:
            unscoped.add(permission)
    if "unrestricted" in excess:
        granted |= REQUIRED | RECOMMENDED | OPTIONAL
    return Grant(frozenset(granted), frozenset(stores), REQUIRED - granted, frozenset(excess), frozenset(unscoped))


def require(grant: Grant, store: str) -> str:
    """The id of the key's one store. `store`: what the operator named, or "". Raises Rejected, PermissionMissing."""
    what_to_tick = ", ".join(f'"{LABELS[name]}"' for name in (CREATE, VIEW, WEBHOOKS, SETTINGS))
    advice = f"Make a new API key for one selected store with exactly these boxes ticked: {what_to_tick}."
    if grant.excess:
        raise Rejected(f"This API key may do more than Keysat needs ({_listed(grant.excess)}). {advice}")
    if grant.missing:
        raise PermissionMissing(f"This API key lacks {_listed(grant.missing)}. {advice}", missing=min(grant.missing))
    if grant.unscoped:
        raise Rejected(f"This API key holds for all of your stores ({_listed(grant.unscoped)}). {advice}")
    if len(grant.stores) != 1:
        raise Rejected(f"This API key holds for {len(grant.stores)} stores ({_listed(grant.stores)}). {advice}")
    (only,) = grant.stores
    if store and store != only:
        raise Rejected(f"This API key is for the store {only}, not for {store}. {advice}")
    return only


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
