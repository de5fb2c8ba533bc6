"""The database of the published server, read: its tables as they are, in our types. Nothing here writes.

Source: `published-server.md` 1. Ids are UUIDs with or without hyphens; moments are RFC 3339 with nanoseconds, or
SQLite's own text without a zone, which means UTC; flags are 0 or 1; lists and objects are JSON in text.
"""

import re
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec

from keysat.catalog.tables import DiscountKind
from keysat.kit.errors import BadRequest
from keysat.licenses.tables import LicenseStatus
from keysat.operators.scopes import Role

Row = TypeVar("Row", bound=msgspec.Struct)

MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,6})\d*)?(Z|[+-]\d\d:\d\d)?")


class Profile(msgspec.Struct, frozen=True):
    id: UUID
    name: str
    is_default: int
    created_at: str
    legal_name: str | None = None
    support_url: str | None = None
    support_email: str | None = None
    post_purchase_redirect_url: str | None = None


class Product(msgspec.Struct, frozen=True):
    id: UUID
    slug: str
    name: str
    description: str
    price_sats: int
    price_currency: str
    price_value: int
    active: int
    metadata_json: str
    created_at: str
    updated_at: str
    entitlements_catalog_json: str | None = None
    merchant_profile_id: UUID | None = None


class Policy(msgspec.Struct, frozen=True):
    id: UUID
    product_id: UUID
    name: str
    slug: str
    duration_seconds: int
    grace_seconds: int
    max_machines: int
    is_trial: int
    entitlements_json: str
    metadata_json: str
    active: int
    public: int
    is_recurring: int
    grace_period_days: int
    trial_days: int
    tip_pct_bps: int
    created_at: str
    updated_at: str
    price_sats_override: int | None = None
    renewal_period_days: int | None = None
    tier_rank: int | None = None
    archived_at: str | None = None


class Code(msgspec.Struct, frozen=True):
    id: UUID
    code: str
    kind: DiscountKind
    amount: int
    discount_currency: str
    description: str
    active: int
    featured: int
    created_at: str
    updated_at: str
    max_uses: int | None = None
    expires_at: str | None = None
    applies_to_product_id: UUID | None = None
    applies_to_policy_id: UUID | None = None
    applies_to_policy_ids_json: str | None = None
    referrer_label: str | None = None


class Redemption(msgspec.Struct, frozen=True):
    id: UUID
    code_id: UUID
    invoice_id: UUID
    status: str
    created_at: str
    updated_at: str


class Invoice(msgspec.Struct, frozen=True):
    id: UUID
    invoice_id: str
    """The id as its buyer knows it."""
    btcpay_invoice_id: str
    product_id: UUID
    status: str
    amount_sats: int
    created_at: str
    updated_at: str
    policy_id: UUID | None = None
    buyer_email: str | None = None
    buyer_note: str | None = None
    listed_currency: str | None = None
    listed_value: int | None = None
    exchange_rate_centibps: int | None = None
    exchange_rate_source: str | None = None


class License(msgspec.Struct, frozen=True):
    id: UUID
    product_id: UUID
    status: LicenseStatus
    issued_at: str
    grace_seconds: int
    max_machines: int
    is_trial: int
    entitlements_json: str
    metadata_json: str
    invoice_id: UUID | None = None
    policy_id: UUID | None = None
    fingerprint: str | None = None
    expires_at: str | None = None
    suspended_at: str | None = None
    suspension_reason: str | None = None
    revoked_at: str | None = None
    revocation_reason: str | None = None
    buyer_email: str | None = None


class Machine(msgspec.Struct, frozen=True):
    id: UUID
    license_id: UUID
    fingerprint_hash: str
    activated_at: str
    hostname: str | None = None
    platform: str | None = None
    last_heartbeat_at: str | None = None
    deactivated_at: str | None = None
    deactivation_reason: str | None = None


class Subscription(msgspec.Struct, frozen=True):
    id: UUID
    license_id: UUID
    policy_id: UUID
    product_id: UUID
    period_days: int
    listed_currency: str
    listed_value: int
    status: str
    started_at: str
    updated_at: str
    cancelled_at: str | None = None
    zaprite_payment_profile_id: str | None = None


class Cycle(msgspec.Struct, frozen=True):
    """`invoice_status` is joined."""

    subscription_id: UUID
    invoice_id: UUID
    cycle_number: int
    cycle_end_at: str
    invoice_status: str


class Endpoint(msgspec.Struct, frozen=True):
    id: UUID
    url: str
    secret: str
    event_types: str
    active: int
    description: str


class ApiKey(msgspec.Struct, frozen=True):
    id: UUID
    label: str
    token_hash: str
    role: Role
    created_at: str
    last_used_at: str | None = None
    revoked_at: str | None = None
    extra_scopes: str | None = None


class IssuerKey(msgspec.Struct, frozen=True):
    private_key_pem: str

    def __repr__(self) -> str:
        return "IssuerKey(...)"


class Source:
    """One open file. `rows(Product, "products")` reads a table in the order in which it was written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, kind: type[Row], table: str) -> Iterator[Row]:
        return self.select(kind, table, f"SELECT * FROM {table} ORDER BY rowid")  # noqa: S608  names of ours

    def select(self, kind: type[Row], table: str, statement: str) -> Iterator[Row]:
        """Raises BadRequest that names the row which is not what the published server writes."""
        for row in self._connection.execute(statement):
            try:
                yield msgspec.convert(_without_nul(row), kind, strict=False)
            except msgspec.ValidationError as error:
                raise BadRequest(f"The row {str(row[0])[:40]!r} of {table} cannot be read: {error}.") from error

    def count(self, table: str) -> int:
        [(count,)] = self._connection.execute(f"SELECT count(*) FROM {table}")  # noqa: S608  names of ours
        return int(count)

    def settings(self) -> dict[str, str]:
        return {name: value for name, value in self._connection.execute("SELECT key, value FROM settings") if value}


INVOICES = "SELECT *, id AS invoice_id FROM invoices ORDER BY rowid"
CYCLES = """
    SELECT c.subscription_id, c.invoice_id, c.cycle_number, c.cycle_end_at, i.status AS invoice_status
    FROM subscription_invoices AS c JOIN invoices AS i ON i.id = c.invoice_id ORDER BY c.rowid
"""
NEEDED = {
    "merchant_profiles": "is_default",
    "payment_providers": "webhook_secret",
    "invoices": "payment_provider_id",
    "policies": "archived_at",
    "scoped_api_keys": "extra_scopes",
    "subscriptions": "zaprite_payment_profile_id",
    "server_keys": "private_key_pem",
}
"""A column of each table that only the last releases have."""
WHOLE = ("products", "policies", "discount_codes", "invoices", "licenses", "subscriptions")
"""Tables in which nothing may hang in the air."""
LEFT_THERE = frozenset({"payment_providers"})


@contextmanager
def opened(path: Path) -> Generator[Source]:
    """Reads one snapshot, without writing to the file. Raises BadRequest where it is not a database that we know."""
    if not path.is_file():
        raise BadRequest(f"There is no file {path}.")
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        try:
            connection.execute("BEGIN")
            _check(connection)
            yield Source(connection)
        except sqlite3.DatabaseError as error:
            raise BadRequest(f"{path.name} cannot be read as a SQLite database: {error}.") from error


def _check(connection: sqlite3.Connection) -> None:
    for table, column in NEEDED.items():
        known = {row["name"] for row in connection.execute(f"PRAGMA table_info({table})")}
        if column not in known:
            raise BadRequest(
                f"This is no database of the published server's last releases: {table}.{column} is missing. "
                "Start its newest release once, so that it brings the file up to date, stop it, and import then."
            )
    for table in WHOLE:
        for _, row, gone, _ in connection.execute(f"PRAGMA foreign_key_check({table})"):
            if gone not in LEFT_THERE:
                [(id_,)] = connection.execute(f"SELECT id FROM {table} WHERE rowid = ?", (row,))  # noqa: S608  names of ours
                raise BadRequest(f"The row {id_!r} of {table} belongs to a row of {gone} that is gone: mend it there.")


def _without_nul(row: sqlite3.Row) -> dict[str, Any]:
    """PostgreSQL holds no NUL in a text, and nobody meant one."""
    found = dict(row)
    return {name: value.replace("\0", "") if isinstance(value, str) else value for name, value in found.items()}


def moment(text: str | None) -> datetime | None:
    """In UTC, to the microsecond. None for what is no moment."""
    found = MOMENT.fullmatch((text or "").strip())
    if found is None:
        return None
    day, time, fraction, zone = found.groups()
    try:
        read = datetime.fromisoformat(f"{day}T{time}.{(fraction or '').ljust(6, '0')}")
        read = read.replace(tzinfo=datetime.fromisoformat(f"{day}T{time}{zone}").tzinfo if zone else UTC)
        return read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def listed(text: str | None) -> list[Any]:
    """A JSON list; nothing for what is none."""
    found = _json(text)
    return cast("list[Any]", found) if isinstance(found, list) else []


def mapped(text: str | None) -> dict[str, Any]:
    found = _json(text)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _json(text: str | None) -> Any:
    try:
        return msgspec.json.decode(text or "null")
    except msgspec.DecodeError:
        return None
