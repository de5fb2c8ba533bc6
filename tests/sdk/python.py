"""The column of the Python SDK 0.3.0 in the public contract's section 8: what it sends, reads and trips over.

Not its code, which has its own licence: only the facts. A field with a default may be absent; `| None` may be null.
`redeem`'s policy_slug and any `rail` are never sent. Upgrades: no SDK calls
them yet (8.1); a client that does goes here.
"""

import base64
import binascii

import msgspec

from tests.sdk.client import POLLS_MAX, Between, Client, given
from tests.sdk.offline import KeyRefused, Said, check, read_payload, spki_key


class PublicKey(msgspec.Struct):
    public_key_pem: str


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


class MachineAnswer(msgspec.Struct):
    ok: bool
    reason: str | None = None
    machine_id: str | None = None
    active_count: int | None = None
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


class Poll(msgspec.Struct):
    invoice_id: str
    status: str
    product_id: str
    amount_sats: int
    license_key: str | None = None
    license_id: str | None = None


class Redeemed(msgspec.Struct):
    license_id: str
    license_key: str
    invoice_id: str
    redemption_id: str


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


class Python(Client):
    text_max = 200

    def is_success(self, status: int) -> bool:
        return status < 400

    async def public_key(self) -> str:
        return (await self.ask(PublicKey, "GET", "/v1/pubkey")).public_key_pem

    async def tiers(self, product: str) -> Tiers:
        return await self.ask(Tiers, "GET", f"/v1/products/{product}/policies")

    async def purchase(self, product: str, **wish: str | None) -> Purchase:
        """buyer_email, buyer_note, redirect_url, code, policy_slug: empty texts are sent as they are."""
        return await self.ask(Purchase, "POST", "/v1/purchase", given(product=product, **wish))

    async def poll(self, invoice_id: str) -> Poll:
        return await self.ask(Poll, "GET", f"/v1/purchase/{invoice_id}")

    async def wait_for_license(self, invoice_id: str, between: Between) -> Poll:
        """Ends on a key, or on `expired` or `invalid`; any other word is polled for ever."""
        for _ in range(POLLS_MAX):
            seen = await self.poll(invoice_id)
            if seen.license_key is not None or seen.status in ("expired", "invalid"):
                return seen
            await between()
        raise TimeoutError(invoice_id)

    async def redeem(self, product: str, code: str, **buyer: str | None) -> Redeemed:
        return await self.ask(Redeemed, "POST", "/v1/redeem", given(product=product, code=code, **buyer))

    async def validate(self, key: str, **app: str | None) -> Validation:
        """product_slug, fingerprint (the raw text, never a hash), hostname, platform."""
        return await self.ask(Validation, "POST", "/v1/validate", given(key=key, **app))

    async def activate(self, key: str, fingerprint: str, **device: str | None) -> MachineAnswer:
        body = given(key=key, fingerprint=fingerprint, **device)
        return await self.ask(MachineAnswer, "POST", "/v1/machines/activate", body)

    async def heartbeat(self, key: str, fingerprint: str) -> MachineAnswer:
        body = given(key=key, fingerprint=fingerprint)
        return await self.ask(MachineAnswer, "POST", "/v1/machines/heartbeat", body)

    async def deactivate(self, key: str, fingerprint: str, reason: str | None = None) -> MachineAnswer:
        body = given(key=key, fingerprint=fingerprint, reason=reason)
        return await self.ask(MachineAnswer, "POST", "/v1/machines/deactivate", body)

    @staticmethod
    def verify(key: str, pem: str, at: int) -> Said:
        """Trims, takes any case and spare bits, wants three parts and the whole PEM. Raises KeyRefused."""
        parts = key.strip().split("-")
        if len(parts) != 3 or parts[0] != "LIC1":
            raise KeyRefused("bad_format")
        payload, signature = (_decoded(part) for part in parts[1:])
        said = read_payload(payload)
        check(spki_key(pem), payload, signature)
        if said.is_expired(at):
            raise KeyRefused("expired")
        return said


def _decoded(text: str) -> bytes:
    try:
        return base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except binascii.Error:
        raise KeyRefused("bad_format") from None
