"""Every route, by the door it belongs to. A module adds itself with one line: its `ROUTES`."""

from collections.abc import Sequence

from litestar.types import ControllerRouterHandler

from keysat.web.api import (
    admin_catalog,
    admin_changes,
    admin_codes,
    admin_licenses,
    admin_orders,
    admin_rates,
    admin_subscriptions,
    codes,
    hooks,
    issuer,
    licenses,
    products,
    purchase,
    recover,
    subscriptions,
    upgrade,
)
from keysat.web.public import buy, pay, reference, thanks
from keysat.web.public import license as license_page
from keysat.web.public import recover as recover_pages

API: Sequence[ControllerRouterHandler] = (
    *issuer.ROUTES,
    *licenses.ROUTES,
    *products.ROUTES,
    *purchase.ROUTES,
    *upgrade.ROUTES,
    *recover.ROUTES,
    *codes.ROUTES,
    *subscriptions.ROUTES,
    *hooks.ROUTES,
)
"""For SDKs and integrators: JSON at addresses that the contract fixes."""

PAGES: Sequence[ControllerRouterHandler] = (
    *buy.ROUTES,
    *thanks.ROUTES,
    *recover_pages.ROUTES,
    *license_page.ROUTES,
    *pay.ROUTES,
    *reference.ROUTES,
)
"""For people: HTML, left out of the OpenAPI document."""

ADMIN_API: Sequence[ControllerRouterHandler] = (
    *admin_catalog.ROUTES,
    *admin_changes.ROUTES,
    *admin_codes.ROUTES,
    *admin_licenses.ROUTES,
    *admin_orders.ROUTES,
    *admin_subscriptions.ROUTES,
    *admin_rates.ROUTES,
)
"""Under /v1/admin: behind the admin key, with larger bodies."""
