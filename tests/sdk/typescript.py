"""The column of the TypeScript SDK 0.3.0 in the public contract's section 8, as its declared types promise it to apps.

`X | UnsetType` is `X | undefined`: a null there would reach an app that was told it cannot come. Upgrades: no SDK calls
them yet (8.1); a client that does goes here.
"""

import base64
from urllib.parse import quote

import msgspec
from msgspec import UNSET, UnsetType
from nacl.signing import VerifyKey

from tests.sdk.client import POLLS_MAX, Between, Client, given
from tests.sdk.offline import KeyRefused, Said, check, read_payload

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class PublicKey(msgspec.Struct):
    public_key_pem: str


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


class MachineAnswer(msgspec.Struct):
    """Null passes through here."""

    ok: bool
    reason: str | UnsetType | None = UNSET
    machine_id: str | UnsetType | None = UNSET
    active_count: int | UnsetType | None = UNSET
    max_machines: int | UnsetType | None = UNSET


class Purchase(msgspec.Struct):
    """`base_price_sats`, `discount_applied_sats` and an inline key are not read."""

    invoice_id: str
    btcpay_invoice_id: str
    checkout_url: str
    poll_url: str
    amount_sats: int


class Poll(msgspec.Struct):
    invoice_id: str
    status: str
    product_id: str
    amount_sats: int
    license_key: str | UnsetType | None = UNSET
    license_id: str | UnsetType | None = UNSET


class Redeemed(msgspec.Struct):
    license_id: str
    license_key: str
    invoice_id: str
    redemption_id: str


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


class TypeScript(Client):
    def is_success(self, status: int) -> bool:
        return 200 <= status < 300

    async def public_key(self) -> str:
        return (await self.ask(PublicKey, "GET", "/v1/pubkey")).public_key_pem

    async def tiers(self, product: str) -> Tiers:
        return await self.ask(Tiers, "GET", f"/v1/products/{quote(product, safe='')}/policies")

    async def purchase(self, product: str, **wish: str | None) -> Purchase:
        """What is undefined is left out. Never a `rail`."""
        return await self.ask(Purchase, "POST", "/v1/purchase", given(product=product, **wish))

    async def poll(self, invoice_id: str) -> Poll:
        return await self.ask(Poll, "GET", f"/v1/purchase/{quote(invoice_id, safe='')}")

    async def wait_for_license(self, invoice_id: str, between: Between) -> Poll:
        """Ends on a key, or on `expired` or `invalid`; any other word is polled for ever."""
        for _ in range(POLLS_MAX):
            seen = await self.poll(invoice_id)
            if isinstance(seen.license_key, str) or seen.status in ("expired", "invalid"):
                return seen
            await between()
        raise TimeoutError(invoice_id)

    async def redeem(self, product: str, code: str, **buyer: str | None) -> Redeemed:
        return await self.ask(Redeemed, "POST", "/v1/redeem", given(product=product, code=code, **buyer))

    async def validate(self, key: str, **app: str | None) -> Validation:
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
        """Trims, takes any case; cuts at the first and last hyphen; of the PEM the last 32 bytes. Raises KeyRefused."""
        prefix, first, rest = key.strip().partition("-")
        body, last, signed = rest.rpartition("-")
        if prefix != "LIC1" or not first or not last:
            raise KeyRefused("bad_format")
        payload, signature = _decoded(body), _decoded(signed)
        said = read_payload(payload)
        check(_public_key(pem), payload, signature)
        if said.is_expired(at):
            raise KeyRefused("expired")
        return said


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
