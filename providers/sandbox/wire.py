"""What goes over the wire between wallet and provider: JSON in camel case, times in RFC 3339, whole minor units."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field

SIGNATURE_HEADER = "sandbox-signature"

PAGE = 100
"""Most invoices in one answer; the caller asks on with `skip`."""

_Text = Annotated[str, Meta(max_length=500)]
_Key = Annotated[str, Meta(min_length=1, max_length=200)]
_Url = Annotated[str, Meta(max_length=2000, pattern=r"^https?://[A-Za-z0-9.:\[\]-]+([/?#][!-~]*)?\Z")]


class NewInvoice(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    attempt_id: _Key
    currency: Annotated[str, Meta(max_length=3)]
    price_minor: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    description: _Text
    item_code: _Text
    expires_in_seconds: Annotated[int, Meta(ge=1, le=2**31)]
    monitor_seconds: Annotated[int, Meta(ge=0, le=2**31)]
    return_url: _Url
    may_save_card: bool = False
    customer_id: _Key | None = None
    """Whose card may be saved; None makes a new customer. Nothing without `may_save_card`."""


class InvoiceView(Struct, frozen=True, kw_only=True, rename="camel"):
    id: str
    wallet_id: str
    attempt_id: str
    currency: str
    price_minor: int
    paid_minor: int
    """All that was seen and not replaced, confirmed or not."""
    due_sats: int
    status: str
    additional_status: str
    all_confirmed: bool
    created_at: datetime
    expires_at: datetime
    monitor_until: datetime
    last_payment_at: datetime | None
    checkout_url: str
    customer_id: str | None


class Profile(Struct, frozen=True, kw_only=True, rename="camel"):
    """A saved card, as the shop sees it."""

    id: str
    method: str
    expires_at: datetime
    source_attempt_id: str


class Profiles(Struct, frozen=True, rename="camel"):
    profiles: list[Profile]


class NewCharge(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    profile_id: _Key


class InvoicePage(Struct, frozen=True, rename="camel"):
    invoices: list[InvoiceView]
    more: bool


class NewWebhook(Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    url: _Url


class Webhook(Struct, frozen=True, rename="camel"):
    id: str
    url: str
    secret: str


class WalletHealth(Struct, frozen=True, kw_only=True, rename="camel"):
    wallet_id: str
    network: str
    version: str
    webhook_ids: list[str]


class Delivery(Struct, frozen=True, kw_only=True, rename="camel"):
    """The body of a webhook. A repeated one has its own `delivery_id` and the first one's `original_delivery_id`."""

    delivery_id: _Key
    original_delivery_id: _Key
    is_redelivery: bool
    type: _Key
    timestamp: int
    """Seconds since 1970 when it happened, by the wallet's clock."""
    invoice_id: _Key
    detail: Mapping[str, bool] = field(default_factory=dict[str, bool])
    """BTCPay's flags of the event: `afterExpiration`, `overPaid`, `partiallyPaid`, `manuallyMarked`."""


def signature(secret: str, body: bytes) -> str:
    """`sha256=<lower-case hex HMAC-SHA256(key = UTF-8 secret, message = raw body)>`, as BTCPay signs."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
