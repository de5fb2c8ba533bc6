"""The column of the Python SDK 0.3.0 in the public contract's section 8: what it sends, reads and trips over.

Not its code, which has its own licence: only the facts. A field with a default may be absent; `| None` may be null.
"""

import base64
import binascii

import msgspec

from tests.sdk.app import AppClient
from tests.sdk.offline import KeyRefused, Said, read_payload, spki_key, three_parts, verified


class Validation(msgspec.Struct):
    ok: bool
    reason: str | None = None
    license_id: str | None = None
    product_id: str | None = None
    product_slug: str | None = None
    issued_at: str | None = None
    expires_at: str | None = None
    grace_until: str | None = None
    in_grace_period: bool = False
    is_trial: bool = False
    entitlements: list[str] | None = None
    status: str | None = None
    machine_id: str | None = None
    max_machines: int | None = None


class Purchase(msgspec.Struct):
    """An inline `license_key` is not read: the key of a free order must be pollable too."""

    invoice_id: str
    btcpay_invoice_id: str
    checkout_url: str
    poll_url: str
    amount_sats: int
    base_price_sats: int | None = None
    discount_applied_sats: int = 0


class Feature(msgspec.Struct):
    slug: str = ""
    name: str | None = None
    description: str | None = None


class Product(msgspec.Struct):
    """int() of a null raises; an absent one is a default."""

    slug: str = ""
    name: str = ""
    description: str | None = None
    base_price_sats: int = 0
    entitlements_catalog: list[Feature] | None = None


class Tier(msgspec.Struct):
    slug: str = ""
    name: str = ""
    description: str | None = None
    price_sats: int = 0
    duration_seconds: int = 0
    max_machines: int = 1
    is_trial: bool = False
    entitlements: list[str] | None = None
    highlighted: bool = False
    is_recurring: bool = False
    renewal_period_days: int = 0
    trial_days: int = 0


class Tiers(msgspec.Struct):
    product: Product | None = None
    policies: list[Tier] | None = None


class Python(AppClient[Purchase, Validation, Tiers]):
    bought, validated, listed = Purchase, Validation, Tiers
    text_max = 200

    def is_success(self, status: int) -> bool:
        return status < 400

    @staticmethod
    def verify(key: str, pem: str, at: int) -> Said:
        """Trims, takes any case and spare bits, wants three parts and the whole PEM. Raises KeyRefused."""
        payload, signature = map(_decoded, three_parts(key.strip()))
        return verified(read_payload(payload), spki_key(pem), payload, signature, at)


def _decoded(text: str) -> bytes:
    try:
        return base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except binascii.Error:
        raise KeyRefused("bad_format") from None
