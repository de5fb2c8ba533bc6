"""The column of the Go SDK 0.3.0 in the public contract's section 8: no poll, no redeem, no machines.

Go reads a field that is missing as its zero value and says nothing, which is worse than an error: so every field that
is not `omitempty` is required here. A number written as a text, or with a fraction, is an error in Go too. Upgrades: no
SDK calls them yet (8.1); a client that does goes here.
"""

import base64
import binascii

import msgspec

from tests.sdk.client import Client
from tests.sdk.offline import KeyRefused, Said, read_payload, spki_key, three_parts, verified


class Validation(msgspec.Struct):
    ok: bool
    reason: str = ""
    license_id: str = ""
    product_id: str = ""
    product_slug: str = ""
    issued_at: str = ""
    expires_at: str = ""
    grace_until: str = ""
    in_grace_period: bool | None = None
    is_trial: bool | None = None
    entitlements: list[str] | None = None
    status: str = ""
    machine_id: str = ""
    max_machines: int | None = None


class Purchase(msgspec.Struct):
    invoice_id: str
    btcpay_invoice_id: str
    checkout_url: str
    poll_url: str
    amount_sats: int
    base_price_sats: int
    discount_applied_sats: int


class Feature(msgspec.Struct):
    slug: str
    name: str
    description: str


class Product(msgspec.Struct):
    slug: str
    name: str
    description: str
    base_price_sats: int
    entitlements_catalog: list[Feature]


class Tier(msgspec.Struct):
    slug: str
    name: str
    description: str
    price_sats: int
    duration_seconds: int
    max_machines: int
    is_trial: bool
    entitlements: list[str]
    highlighted: bool
    is_recurring: bool
    renewal_period_days: int
    trial_days: int


class Tiers(msgspec.Struct):
    product: Product
    policies: list[Tier]


class Go(Client):
    def is_success(self, status: int) -> bool:
        return status == 200

    async def tiers(self, product: str) -> Tiers:
        return await self.ask(Tiers, "GET", f"/v1/products/{product}/policies")

    async def purchase(self, product: str, **wish: str | None) -> Purchase:
        return await self.ask(Purchase, "POST", "/v1/purchase", self._set(product=product, **wish))

    async def validate(self, key: str, **app: str | None) -> Validation:
        return await self.ask(Validation, "POST", "/v1/validate", self._set(key=key, **app))

    @staticmethod
    def verify(key: str, pem: str, at: int) -> Said:
        """Neither trims nor lifts the case; takes bytes after the entitlements. Raises KeyRefused."""
        payload, signature = map(_decoded, three_parts(key))
        return verified(read_payload(payload, to_the_end=False), spki_key(pem), payload, signature, at)

    def _set(self, **fields: str | None) -> dict[str, str]:
        """`omitempty`: an empty text is not sent."""
        return {name: value for name, value in fields.items() if value}


def _decoded(text: str) -> bytes:
    try:
        return base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error:
        raise KeyRefused("bad_format") from None
