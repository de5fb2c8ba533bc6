"""Every route, by the door and the chapter it belongs to. A module adds itself with one line: its `ROUTES`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Router
from litestar.types import ControllerRouterHandler

from keysat.web.admin import account, home, login, profiles, providers, webhooks
from keysat.web.admin.door import admin_router
from keysat.web.api import (
    admin_accounts,
    admin_audit,
    admin_catalog,
    admin_changes,
    admin_codes,
    admin_customers,
    admin_data,
    admin_edition,
    admin_events,
    admin_figures,
    admin_gifts,
    admin_keys,
    admin_licenses,
    admin_machines,
    admin_orders,
    admin_payments,
    admin_profiles,
    admin_providers,
    admin_rates,
    admin_settings,
    admin_subscriptions,
    admin_webhooks,
    codes,
    hooks,
    issuer,
    licenses,
    products,
    purchase,
    recover,
    subscriptions,
    upgrade,
    watching,
)
from keysat.web.auth import about
from keysat.web.hot import HotRoad
from keysat.web.public import authorize, buy, pay, reference, thanks
from keysat.web.public import license as license_page
from keysat.web.public import recover as recover_pages


@dataclass(frozen=True, slots=True)
class Chapter:
    """Of the OpenAPI document, which has them in this order."""

    name: str
    words: str
    routes: Sequence[ControllerRouterHandler]
    subject: str = ""
    """Of the scopes its operations need; of chapters under /v1/admin."""

    def router(self, path: str = "/", **settings: Any) -> Router:
        opt = about(self.subject) if self.subject else None
        return Router(path=path, route_handlers=self.routes, tags=[self.name], opt=opt, **settings)


API = (
    Chapter(
        "Licenses in apps",
        "What a licensed app asks. A refusal is an answer: `ok` is false and `reason` says why.",
        licenses.ROUTES,
    ),
    Chapter("Subscriptions", "For buyers, with their license key.", subscriptions.ROUTES),
    Chapter(
        "Buying",
        "What is sold, buying it, codes and upgrades.",
        (*products.ROUTES, *purchase.ROUTES, *codes.ROUTES, *upgrade.ROUTES),
    ),
    Chapter("Getting a key back", "For buyers whose key is lost, leaked or out of date.", recover.ROUTES),
    Chapter("Keys to verify with", "License keys are verified offline with these.", issuer.KEYS),
    Chapter("The server", "Who it is, and whether it works.", (*issuer.SERVER, *watching.ROUTES)),
    Chapter("Payment providers", "What they tell this shop.", hooks.ROUTES),
)
"""For SDKs and integrators: JSON at addresses that the contract fixes."""

ADMIN_API = (
    Chapter("Admin: products", "What is sold.", admin_catalog.PRODUCTS, "products"),
    Chapter("Admin: tiers", "At which prices: tiers and their offers.", admin_catalog.TIERS, "policies"),
    Chapter("Admin: codes", "Discount codes and free licenses.", admin_codes.ROUTES, "discount_codes"),
    Chapter(
        "Admin: licenses",
        "Licenses that were sold or given.",
        (*admin_gifts.ROUTES, *admin_licenses.ROUTES, *admin_changes.ROUTES, *admin_figures.OF_LICENSES),
        "licenses",
    ),
    Chapter("Admin: machines", "What has a seat.", admin_machines.ROUTES, "machines"),
    Chapter("Admin: customers", "Who buys.", admin_customers.ROUTES, "customers"),
    Chapter("Admin: subscriptions", "What renews.", admin_subscriptions.ROUTES, "subscriptions"),
    Chapter(
        "Admin: orders",
        "Orders, and what only a person can decide.",
        (*admin_orders.ROUTES, *admin_figures.OF_ORDERS),
        "orders",
    ),
    Chapter("Admin: payments", "What came in for orders, and what did not.", admin_payments.ROUTES, "orders"),
    Chapter("Admin: webhooks", "Who is told what happens, and what became of it.", admin_webhooks.ROUTES, "webhooks"),
    Chapter("Admin: events", "What webhooks tell, at one's own pace.", admin_events.ROUTES, "webhooks"),
    Chapter("Admin: merchant profiles", "Who sells.", admin_profiles.ROUTES, "merchant_profiles"),
    Chapter("Admin: payment providers", "Whose accounts take the money.", admin_providers.ROUTES, "payment_providers"),
    Chapter("Admin: rates", "What a bitcoin costs.", admin_rates.ROUTES, "rates"),
    Chapter("Admin: settings", "What the shop calls itself, and its database.", admin_settings.ROUTES, "settings"),
    Chapter("Admin: data", "What is kept about people, and forgetting it.", admin_data.ROUTES, "customers"),
    Chapter(
        "Admin: keys and accounts",
        "Who else may do what: keys for programs, accounts for people. Owners alone come in here.",
        (*admin_keys.ROUTES, *admin_accounts.ROUTES),
    ),
    Chapter("Admin: audit", "What happened, and who did it.", admin_audit.ROUTES, "audit"),
    Chapter("Admin: edition", "The license of the shop itself.", admin_edition.ROUTES, "tier"),
)
"""Under /v1/admin: for who may (`auth.py`), with larger bodies."""

ADMIN_PAGES: Sequence[ControllerRouterHandler] = (
    *home.ROUTES,
    *providers.ROUTES,
    *profiles.ROUTES,
    *webhooks.ROUTES,
    *login.ROUTES,
    *account.ROUTES,
)
"""For the operator's browser, at paths relative to /admin (`admin/door.py`)."""

PAGES: Sequence[ControllerRouterHandler] = (
    *buy.ROUTES,
    *thanks.ROUTES,
    *recover_pages.ROUTES,
    *license_page.ROUTES,
    *pay.ROUTES,
    *reference.ROUTES,
    *authorize.ROUTES,
    admin_router(ADMIN_PAGES),
)
"""For people: HTML, left out of the OpenAPI document."""

HOT_ROADS: Mapping[str, HotRoad] = {
    "/v1/validate": HotRoad(licenses.ValidateBody, licenses.validate_license.fn),
    "/v1/machines/heartbeat": HotRoad(licenses.HeartbeatBody, licenses.heartbeat_machine.fn),
}
"""What is answered in front of Litestar too, by its path."""
