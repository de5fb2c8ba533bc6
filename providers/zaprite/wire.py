"""Zaprite's JSON as far as we read or write it (`payment-rails.md` 3: documents and what others saw).

Words are plain text here: one that we do not know must not break the rest. Amounts are read as Decimal, so that no
number is ever a float; `orders` refuses what is no whole number of the smallest unit.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

Moment = Annotated[datetime, Meta(tz=True)]


class Wire(msgspec.Struct, frozen=True, rename="camel"):
    pass


class Issue(Wire, frozen=True):
    message: str = ""


class Problem(Wire, frozen=True):
    code: str = ""
    message: str = ""
    issues: tuple[Issue, ...] = ()


class Reference(Wire, frozen=True):
    id: str


class Transaction(Wire, frozen=True):
    status: str
    method: str = ""
    amount: Decimal | None = None
    currency: str | None = None
    amount_in_order_currency: Decimal | None = None
    order_currency: str | None = None
    plugin_slug: str | None = None


class Order(Wire, frozen=True):
    id: str
    status: str
    total_amount: Decimal
    currency: str
    org_id: str = ""
    external_uniq_id: str | None = None
    checkout_url: str | None = None
    expires_at: Moment | None = None
    paid_at: Moment | None = None
    contact: Reference | None = None
    metadata: dict[str, object] | None = None
    transactions: tuple[Transaction, ...] | None = None


class Meters(Wire, frozen=True):
    pages_count: int


class Listed(Wire, frozen=True):
    items: tuple[msgspec.Raw, ...]  # one by one: another tool's order must not hide our own
    meta: Meters


class Metadata(Wire, frozen=True):
    """Ours, on each order that we make: Zaprite says neither when one was made nor how long it is watched."""

    item_code: str
    asked_at: datetime
    monitor_until: datetime


class NewOrder(Wire, frozen=True, kw_only=True):
    amount: int  # of the currency's smallest unit; sats where it is BTC
    currency: str
    external_uniq_id: str
    label: str
    redirect_url: str | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    expires_at: datetime | UnsetType = UNSET
    contact_id: str | UnsetType = UNSET
    allow_save_payment_profile: bool | UnsetType = UNSET  # without a contact it is refused
    send_receipt_to_customer: bool = False  # the shop's own letter brings the key


class NewContact(Wire, frozen=True):
    email: str
    legal_name: str


class Source(Wire, frozen=True):
    external_uniq_id: str | None = None


class Profile(Wire, frozen=True):
    id: str
    method: str = ""
    expires_at: Moment | None = None
    source_order: Source | None = None


class Contact(Wire, frozen=True):
    id: str
    payment_profiles: tuple[Profile, ...] = ()


class NewCharge(Wire, frozen=True):
    order_id: str
    payment_profile_id: str
