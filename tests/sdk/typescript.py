"""The column of the TypeScript SDK 0.3.0 in the public contract's section 8, as its declared types promise it to apps.

`X | UnsetType` is `X | undefined`: a null there would reach an app that was told it cannot come.
"""

import base64
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType
from nacl.signing import VerifyKey

from tests.sdk.app import AppClient
from tests.sdk.offline import KeyRefused, Said, read_payload, verified

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class Validation(msgspec.Struct):
    ok: bool
    reason: str | UnsetType = UNSET
    license_id: str | UnsetType = UNSET
    product_id: str | UnsetType = UNSET
    product_slug: str | UnsetType = UNSET
    issued_at: str | UnsetType = UNSET
    expires_at: str | UnsetType = UNSET
    grace_until: str | UnsetType = UNSET
    in_grace_period: bool | UnsetType = UNSET
    is_trial: bool | UnsetType = UNSET
    entitlements: list[str] | UnsetType = UNSET
    status: str | UnsetType = UNSET
    machine_id: str | UnsetType = UNSET
    max_machines: int | UnsetType = UNSET


class Purchase(msgspec.Struct):
    """`base_price_sats`, `discount_applied_sats` and an inline key are not read."""

    invoice_id: str
    btcpay_invoice_id: str
    checkout_url: str
    poll_url: str
    amount_sats: int


class Feature(msgspec.Struct):
    slug: str
    name: str | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET


class Product(msgspec.Struct):
    slug: str
    name: str
    base_price_sats: int
    description: str | UnsetType | None = UNSET
    entitlements_catalog: list[Feature] | UnsetType | None = UNSET


class Tier(msgspec.Struct):
    slug: str
    name: str
    price_sats: int
    description: str | UnsetType | None = UNSET
    duration_seconds: int | UnsetType | None = UNSET
    max_machines: int | UnsetType | None = UNSET
    renewal_period_days: int | UnsetType | None = UNSET
    trial_days: int | UnsetType | None = UNSET
    is_trial: bool | UnsetType = UNSET
    highlighted: bool | UnsetType = UNSET
    is_recurring: bool | UnsetType = UNSET
    entitlements: list[str] | UnsetType | None = UNSET


class Tiers(msgspec.Struct):
    product: Product
    policies: list[Tier] | UnsetType | None = UNSET


class TypeScript(AppClient[Purchase, Validation, Tiers]):
    bought, validated, listed = Purchase, Validation, Tiers

    def is_success(self, status: int) -> bool:
        return 200 <= status < 300

    def segment(self, text: str) -> str:
        return quote(text, safe="")

    @staticmethod
    def verify(key: str, pem: str, at: int) -> Said:
        """Trims, takes any case; cuts at the first and last hyphen; of the PEM the last 32 bytes. Raises KeyRefused."""
        prefix, first, rest = key.strip().partition("-")
        body, last, signed = rest.rpartition("-")
        if prefix != "LIC1" or not first or not last:
            raise KeyRefused("bad_format")
        payload, signature = _decoded(body), _decoded(signed)
        return verified(read_payload(payload), _public_key(pem), payload, signature, at)


def _decoded(text: str) -> bytes:
    """Bits that fill no byte are dropped, whatever they are."""
    bits = 0
    for letter in text.upper():
        if letter not in ALPHABET:
            raise KeyRefused("bad_encoding")
        bits = bits << 5 | ALPHABET.index(letter)
    spare = len(text) * 5 % 8
    return (bits >> spare).to_bytes(len(text) * 5 // 8, "big")


def _public_key(pem: str) -> VerifyKey:
    inside = "".join(line for line in pem.splitlines() if not line.startswith("-----"))
    return VerifyKey(base64.b64decode(inside)[-32:])
