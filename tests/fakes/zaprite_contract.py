"""What is known of Zaprite's API (`payment-rails.md` 3), written down as shapes: the judge of the fake and of us.

There is no specification to have. What the page marks as seen by others, and what it does not know, is not made up
here: a field that stands in neither list is a violation, whoever sends it.
"""

import re
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Text = Annotated[str, Meta(min_length=1)]
Moment = Annotated[datetime, Meta(tz=True)]
Minor = Annotated[int, Meta(ge=0)]
Url = Annotated[str, Meta(pattern=r"^https?://[^\s]+$")]

STATUSES = ("PENDING", "PROCESSING", "PAID", "COMPLETE", "OVERPAID", "UNDERPAID", "ABANDONED")


class Shape(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True, kw_only=True):
    pass


class NewOrder(Shape, frozen=True):
    """Create: `POST /v1/orders`."""

    amount: Annotated[int, Meta(ge=1)]
    currency: Annotated[str, Meta(pattern="^[A-Z]{3,4}$")]
    external_uniq_id: Text | UnsetType = UNSET
    label: Text | UnsetType = UNSET
    redirect_url: Url | UnsetType = UNSET
    redirect_if_pending: bool | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType = UNSET
    tags: list[str] | UnsetType = UNSET
    custom_checkout_id: Text | UnsetType = UNSET
    expires_at: Moment | UnsetType = UNSET
    customer_data: dict[str, str] | UnsetType = UNSET
    send_receipt_to_customer: bool | UnsetType = UNSET
    disable_payment_notifs: bool | UnsetType = UNSET
    contact_id: Text | UnsetType = UNSET
    allow_save_payment_profile: bool | UnsetType = UNSET


class Transaction(Shape, frozen=True):
    id: Text
    method: Literal["BITCOIN", "LIGHTNING", "LIQUID", "CARD", "CASH"]
    status: Literal["PENDING", "CONFIRMED", "CANCELED"]
    amount: Minor
    currency: Text
    amount_in_order_currency: Minor
    order_currency: Text
    external_ref: str | None
    plugin_slug: Text


class Reference(Shape, frozen=True):
    id: Text


class Order(Shape, frozen=True):
    id: Text
    checkout_url: Url
    status: Text  # a later Zaprite may have another word; the fake checks its own against STATUSES
    total_amount: Minor
    currency: Text
    external_uniq_id: str | None
    expires_at: Moment | None
    org_id: Text
    contact: Reference | None
    custom_checkout_id: str | None
    paid_at: Moment | None
    receipt_pdf_url: Url | None
    order_type: Text
    metadata: dict[str, str] | None
    transactions: list[Transaction]


class Meters(Shape, frozen=True):
    pages_count: Minor
    items_count: Minor


class Listed(Shape, frozen=True):
    items: list[Order]
    meta: Meters


class NewContact(Shape, frozen=True):
    email: Annotated[str, Meta(pattern="@")]
    legal_name: Text


class Source(Shape, frozen=True):
    external_uniq_id: str | None


class Profile(Shape, frozen=True):
    id: Text
    method: Text
    expires_at: Moment | None
    source_order: Source | None


class Contact(Shape, frozen=True):
    id: Text
    payment_profiles: list[Profile]


class NewCharge(Shape, frozen=True):
    order_id: Text
    payment_profile_id: Text


class Problem(Shape, frozen=True):
    code: Literal["BAD_REQUEST", "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND", "TOO_MANY_REQUESTS", "INTERNAL_SERVER_ERROR"]
    message: str
    issues: list[dict[str, str]]


LIST_QUERY = frozenset({"page", "status[]", "search", "includePending", "sortBy", "sortOrder", "limit"})
OPERATIONS: tuple[tuple[str, str, frozenset[str], type | None, type], ...] = (
    ("POST", r"/v1/orders", frozenset(), NewOrder, Order),
    ("GET", r"/v1/orders", LIST_QUERY, None, Listed),
    ("POST", r"/v1/orders/charge", frozenset(), NewCharge, Order),
    ("GET", r"/v1/orders/[^/]+", frozenset(), None, Order),
    ("POST", r"/v1/contacts", frozenset(), NewContact, Contact),
    ("GET", r"/v1/contacts/[^/]+", frozenset(), None, Contact),
)


def faults_of_request(method: str, path: str, query: list[str], body: bytes) -> list[str]:
    found = _operation(method, path)
    if found is None:
        return [f"{method} {path} is not known"]
    names, wants, _ = found
    return [f"unknown query {name}" for name in query if name not in names] + (_misfits(body, wants) if wants else [])


def faults_of_answer(method: str, path: str, status: int, body: bytes) -> list[str]:
    found = _operation(method, path)
    return _misfits(body, found[2] if found is not None and status < 400 else Problem)


def _operation(method: str, path: str) -> tuple[frozenset[str], type | None, type] | None:
    for known, pattern, names, wants, gives in OPERATIONS:
        if known == method and re.fullmatch(pattern, path):
            return names, wants, gives
    return None


def _misfits(body: bytes, shape: type) -> list[str]:
    try:
        msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return [f"{shape.__name__}: {error}"]
    return []
