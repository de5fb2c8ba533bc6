"""What Keysat asks of a payment provider, and the values that pass between them.

Source: `payment-rails.md` 6.1, trimmed to what has a caller. A provider is found by the entry-point group
`keysat.providers`; it knows nothing of orders and nothing of the database. Everything it tells us is a claim about
*its* invoice; only `checkout/gate.py` decides what follows for the order.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol, runtime_checkable

from keysat.infra.http import HttpClient
from keysat.kit.money import Money


class Rail(StrEnum):
    """How the buyer pays."""

    ONCHAIN = "onchain"
    LIGHTNING = "lightning"
    CARD = "card"


class Network(StrEnum):
    """Which Bitcoin network a provider's money lives on; anything but MAINNET is play money."""

    MAINNET = "mainnet"
    TESTNET = "testnet"
    REGTEST = "regtest"
    SANDBOX = "sandbox"
    UNKNOWN = "unknown"


class PayState(StrEnum):
    """State of a provider's invoice. "Paid late" is EXPIRED with `paid_late`: what it means is our policy."""

    PENDING = "pending"
    PROCESSING = "processing"
    SETTLED = "settled"
    EXPIRED = "expired"
    INVALID = "invalid"
    UNKNOWN = "unknown"  # a word we do not know: never changes an order


@dataclass(frozen=True, slots=True)
class Capabilities:
    rails: frozenset[Rail]
    prices_fiat_itself: bool  # False: it is sent sats, converted by us
    fiat_exponents: Mapping[str, int] = field(default_factory=dict[str, int])  # where it differs from ISO 4217
    networks: frozenset[Network] = frozenset(Network)
    saved_profiles: bool = False  # keeps cards for later: `InvoiceRequest.may_save_card` and what follows from it


@dataclass(frozen=True, slots=True)
class Connection:
    """One account at one provider, with its credentials in the clear: lives in memory only (sealed at rest)."""

    id: str  # our connection's public id, part of the webhook's path
    provider: str
    base_url: str  # where we reach it
    public_url: str | None  # where the buyer reaches it; checkout links are rewritten to this host
    account_id: str  # BTCPay's store id
    label: str
    secrets: Mapping[str, str]  # "api_key", "webhook_secret"
    network: Network = Network.UNKNOWN
    webhook_id: str | None = None
    webhook_url: str | None = None  # where our webhook is to send to, as it was registered

    def __repr__(self) -> str:
        return f"Connection({self.provider} {self.id} {self.base_url})"


@dataclass(frozen=True, slots=True)
class InvoiceRequest:
    attempt_id: str  # ours, unique per try; the provider echoes it, and we search by it after a time-out
    price: Money  # fiat where the provider prices fiat itself, else SAT
    description: str
    item_code: str  # "product/tier", for the provider's own lists
    expires_in_seconds: int
    monitor_seconds: int
    return_url: str  # where the provider sends the buyer back to; proves nothing
    rails: frozenset[Rail]  # empty: all that the account has
    asked_at: datetime  # now, for a provider that is told moments and not spans
    may_save_card: bool = False  # offer the buyer to keep a card; only where the capability is
    customer_ref: str | None = None  # whose card: as an earlier snapshot named them, None for a first purchase
    buyer_email: str | None = None  # only with `may_save_card`: some keep a card for an address alone


@dataclass(frozen=True, slots=True)
class InvoiceSnapshot:
    """The provider's invoice as its API showed it to *our* credential at one moment."""

    invoice_id: str
    account_id: str
    attempt_id: str | None  # as echoed
    price: Money
    state: PayState
    raw_status: str  # "Expired/PaidLate": kept for people
    paid: Money | None  # in the price's currency; None where the provider does not say
    paid_late: bool = False
    partial: bool = False
    over: bool = False
    marked_by_hand: bool = False
    all_confirmed: bool = False  # every payment seen is confirmed, and there is at least one
    created_at: datetime | None = None
    expires_at: datetime | None = None
    monitor_until: datetime | None = None
    last_payment_at: datetime | None = None
    checkout_url: str | None = None
    network: Network = Network.UNKNOWN
    due_sats: int | None = None  # what remains to be paid by Bitcoin, when the provider tells
    customer_ref: str | None = None  # the provider's id of who may save a card with this invoice


@dataclass(frozen=True, slots=True)
class SavedProfile:
    """A card that the buyer lets the shop charge again. The provider has its number; we never do."""

    id: str
    rail: Rail
    label: str  # "card •••• 4242", for people
    expires_at: datetime | None  # no charge succeeds from then on
    source_attempt_id: str | None  # the attempt that was paid with it when it was saved


@dataclass(frozen=True, slots=True)
class Nudge:
    """A provider's message: a hint to look, nothing more."""

    invoice_id: str | None  # None: look at everything open
    event: str
    delivery_id: str  # unique per connection; a redelivery carries the first one's
    is_redelivery: bool = False


@dataclass(frozen=True, slots=True)
class Health:
    """What a look at the account found. `missing` and `excess` are permission names.

    `webhook_ok` None: nobody can tell, or there is none. `webhook_faults` says what is wrong with it.
    """

    reachable: bool
    authorized: bool
    synced: bool | None = None
    version: str | None = None
    missing: frozenset[str] = frozenset()
    excess: frozenset[str] = frozenset()
    webhook_ok: bool | None = None
    webhook_faults: tuple[str, ...] = ()
    last_delivery_at: datetime | None = None
    last_delivery_ok: bool | None = None
    warnings: tuple[str, ...] = ()


class ProviderError(Exception):
    """Base of what a provider may raise. The type says what the caller may do next; the text is for the operator."""


class Transient(ProviderError):
    """Network, 5xx, 408, 429: the same call may be repeated later."""

    def __init__(self, message: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class OutcomeUnknown(Transient):
    """The request may have been carried out: search by attempt before repeating it. A charge is never repeated."""


class CredentialGone(ProviderError):
    """The credential is gone: the connection needs attention."""


class PermissionMissing(ProviderError):
    """The credential lacks a permission."""

    def __init__(self, message: str, missing: str | None = None) -> None:
        super().__init__(message)
        self.missing = missing


class Rejected(ProviderError):
    """The provider refuses the request as it stands; repeating it is useless."""


class Declined(Rejected):
    """The card was not charged, and will not be for this invoice: the buyer pays by its link."""


class Unsupported(ProviderError):
    """The provider lacks the capability; a caller that asks `Capabilities` first never sees this."""


class NoSuchId(ProviderError):
    """The provider has no such invoice, store, webhook, customer or saved card."""


class BadSignature(ProviderError):
    """A webhook whose signature does not hold."""


class Malformed(ProviderError):
    """An answer or webhook that does not fit the contract: change nothing, look again."""


class Till(Protocol):
    """One open connection. Every method may raise ProviderError; none touches our database."""

    async def health(self) -> Health: ...

    async def ensure_webhook(self, url: str) -> Connection:
        """Register (or mend) our webhook at `url`; idempotent. Returns the connection with webhook id and secret.

        Raises Unsupported, with what the operator has to do, where webhooks are set up by hand.
        """
        ...

    async def create_invoice(self, request: InvoiceRequest) -> InvoiceSnapshot: ...

    async def find_by_attempt(self, attempt_id: str) -> Sequence[InvoiceSnapshot]: ...

    async def get_invoice(self, invoice_id: str) -> InvoiceSnapshot: ...

    def changed_since(self, since: datetime) -> AsyncIterator[InvoiceSnapshot]:
        """All invoices created since; for the sweep that finds what webhooks and crashes lost."""
        ...

    async def btc_rate(self, currency: str) -> Decimal | None:
        """Price of one BTC in the currency's major unit by the provider's own rates; None where it has no opinion."""
        ...

    async def list_profiles(self, customer_ref: str) -> Sequence[SavedProfile]:
        """The customer's saved cards, the newest first.

        The one an invoice was paid with is found by its `source_attempt_id`. It may show up later than the webhook
        that tells of the payment: nothing found means "not yet", or that the buyer did not want it.
        Raises NoSuchId, Unsupported.
        """
        ...

    async def charge_saved(self, invoice_id: str, profile_id: str) -> InvoiceSnapshot:
        """Charge the card for the invoice, once: providers do not guard against a second charge, the caller does.

        An answer is not yet money: what follows for the order comes from `get_invoice`, as for every payment.
        Raises Declined; NoSuchId; OutcomeUnknown, after which nobody charges this invoice again; Unsupported.
        """
        ...

    def parse_webhook(self, headers: Mapping[str, str], raw_body: bytes) -> Nudge | None:
        """Pure. Header names in lower case. None: authentic, and of no interest. Raises BadSignature, Malformed."""
        ...


class Provider(Protocol):
    """What the entry point holds: opens tills and makes connections."""

    @property
    def name(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    def open(self, connection: Connection, http: HttpClient) -> Till: ...

    async def connect_with(self, fields: Mapping[str, str], connection_id: str, http: HttpClient) -> Connection:
        """Check the operator's fields (such as `url`, `api_key`, `store`) against the account: least privilege.

        Returns the connection with its network.
        Raises CredentialGone, PermissionMissing, Rejected (with what to do), Transient.
        """
        ...


@runtime_checkable
class Revocable(Protocol):
    """A till of a provider that lets us take back what we were given there."""

    async def revoke(self) -> Sequence[str]:
        """Remove our webhook, then our key, after which the till opens nothing. What is gone already is no error.

        Returns what was left behind, in words for the operator. Raises Transient when the server did not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    """What an account can be paid by, in the provider's own words: `BTC-CHAIN`, `BTC-LN`."""

    id: str
    is_enabled: bool


@runtime_checkable
class ListsMethods(Protocol):
    async def payment_methods(self) -> Sequence[PaymentMethod]:
        """Raises ProviderError."""
        ...


@runtime_checkable
class Authorizing(Protocol):
    """A provider on whose own page the operator lets us in: it sends a key that was made for us back to `redirect`."""

    def authorize_url(self, base_url: str, redirect: str) -> str:
        """Where the operator's browser goes. `base_url`: where browsers reach the server. Raises Rejected."""
        ...

    async def revoke_key(self, base_url: str, api_key: str, http: HttpClient) -> None:
        """A key that is not to be kept is no key any more. Raises ProviderError."""
        ...
