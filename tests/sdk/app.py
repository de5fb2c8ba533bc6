"""What the Python and the TypeScript SDK send and read alike; Go has fewer calls."""

from typing import Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from tests.sdk.client import POLLS_MAX, Between, Client, given

Bought = TypeVar("Bought", bound=msgspec.Struct)
Validated = TypeVar("Validated", bound=msgspec.Struct)
Listed = TypeVar("Listed", bound=msgspec.Struct)


class MachineAnswer(msgspec.Struct):
    """Null passes through here, in both."""

    ok: bool
    reason: str | UnsetType | None = UNSET
    machine_id: str | UnsetType | None = UNSET
    active_count: int | UnsetType | None = UNSET
    max_machines: int | UnsetType | None = UNSET


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


class AppClient(Client, Generic[Bought, Validated, Listed]):
    """Fields that are None are not sent. Upgrades: no SDK calls them yet (8.1); a client that does goes here."""

    bought: type[Bought]
    validated: type[Validated]
    listed: type[Listed]

    def segment(self, text: str) -> str:
        """A slug or an id as it stands in a path: as it is, in Python."""
        return text

    async def tiers(self, product: str) -> Listed:
        return await self.ask(self.listed, "GET", f"/v1/products/{self.segment(product)}/policies")

    async def purchase(self, product: str, **wish: str | None) -> Bought:
        """buyer_email, buyer_note, redirect_url, code, policy_slug; never a `rail`."""
        return await self.ask(self.bought, "POST", "/v1/purchase", given(product=product, **wish))

    async def poll(self, invoice_id: str) -> Poll:
        return await self.ask(Poll, "GET", f"/v1/purchase/{self.segment(invoice_id)}")

    async def wait_for_license(self, invoice_id: str, between: Between) -> Poll:
        """Ends on a key, or on `expired` or `invalid`; any other word is polled for ever (8.4)."""
        for _ in range(POLLS_MAX):
            seen = await self.poll(invoice_id)
            if isinstance(seen.license_key, str) or seen.status in ("expired", "invalid"):
                return seen
            await between()
        raise TimeoutError(invoice_id)

    async def redeem(self, product: str, code: str, **buyer: str | None) -> Redeemed:
        """buyer_email, buyer_note; never a policy_slug."""
        return await self.ask(Redeemed, "POST", "/v1/redeem", given(product=product, code=code, **buyer))

    async def validate(self, key: str, **app: str | None) -> Validated:
        """product_slug, fingerprint (the raw text, never a hash), hostname, platform."""
        return await self.ask(self.validated, "POST", "/v1/validate", given(key=key, **app))

    async def activate(self, key: str, fingerprint: str, **device: str | None) -> MachineAnswer:
        """hostname, platform."""
        return await self._machine("activate", key=key, fingerprint=fingerprint, **device)

    async def heartbeat(self, key: str, fingerprint: str) -> MachineAnswer:
        return await self._machine("heartbeat", key=key, fingerprint=fingerprint)

    async def deactivate(self, key: str, fingerprint: str, reason: str | None = None) -> MachineAnswer:
        return await self._machine("deactivate", key=key, fingerprint=fingerprint, reason=reason)

    async def _machine(self, act: str, **body: str | None) -> MachineAnswer:
        return await self.ask(MachineAnswer, "POST", f"/v1/machines/{act}", given(**body))
