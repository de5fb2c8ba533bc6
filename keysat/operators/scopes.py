"""What an operator's credential may do: scopes, and the roles that bundle them.

Each operation of /v1/admin needs one scope: its chapter's subject with `:read` for GET and `:write` for anything else,
unless its handler names another (`published-server.md` 3.2; `decisions.md`, Operators).
"""

from collections.abc import Mapping
from enum import StrEnum


class Scope(StrEnum):
    PRODUCTS_READ = "products:read"
    PRODUCTS_WRITE = "products:write"
    POLICIES_READ = "policies:read"
    POLICIES_WRITE = "policies:write"
    DISCOUNT_CODES_READ = "discount_codes:read"
    DISCOUNT_CODES_WRITE = "discount_codes:write"
    LICENSES_READ = "licenses:read"
    LICENSES_WRITE = "licenses:write"
    MACHINES_READ = "machines:read"
    MACHINES_WRITE = "machines:write"
    SUBSCRIPTIONS_READ = "subscriptions:read"
    SUBSCRIPTIONS_WRITE = "subscriptions:write"
    CUSTOMERS_READ = "customers:read"
    CUSTOMERS_WRITE = "customers:write"
    ORDERS_READ = "orders:read"
    ORDERS_WRITE = "orders:write"
    RATES_READ = "rates:read"
    RATES_WRITE = "rates:write"
    MERCHANT_PROFILES_READ = "merchant_profiles:read"
    MERCHANT_PROFILES_WRITE = "merchant_profiles:write"
    PAYMENT_PROVIDERS_READ = "payment_providers:read"
    PAYMENT_PROVIDERS_WRITE = "payment_providers:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    AUDIT_READ = "audit:read"
    METRICS_READ = "metrics:read"
    SETTINGS_READ = "settings:read"
    TIER_READ = "tier:read"
    OWNER = "owner"
    """What no scoped key can do: keys and accounts, providers, marking an order paid, refunds, the shop's own data."""


class Role(StrEnum):
    READ_ONLY = "read-only"
    LICENSE_ISSUER = "license-issuer"
    SUPPORT = "support"
    MERCHANT_ONBOARD = "merchant-onboard"
    FULL_ADMIN = "full-admin"
    OWNER = "owner"
    """Of accounts alone, never of a key."""


ALL = frozenset(Scope)
A_LA_CARTE = frozenset({Scope.PAYMENT_PROVIDERS_WRITE})
"""Granted to a key by name, never by a role."""

_READS = frozenset(scope for scope in Scope if scope.endswith(":read"))

SCOPES: Mapping[Role, frozenset[Scope]] = {
    Role.READ_ONLY: _READS,
    Role.LICENSE_ISSUER: _READS | {Scope.LICENSES_WRITE},
    Role.SUPPORT: _READS | {Scope.LICENSES_WRITE, Scope.SUBSCRIPTIONS_WRITE, Scope.MACHINES_WRITE},
    Role.MERCHANT_ONBOARD: _READS | {Scope.PRODUCTS_WRITE, Scope.POLICIES_WRITE, Scope.LICENSES_WRITE},
    Role.FULL_ADMIN: ALL - A_LA_CARTE - {Scope.OWNER},
    Role.OWNER: ALL,
}
