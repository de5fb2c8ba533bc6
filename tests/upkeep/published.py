"""A database of the published server, built by its description (`published-server.md` 1), and a shop's years in it.

The tables are what the description says after its last migration; what is in them is what its defects leave behind:
renewals that made second licenses and subscriptions (D-1), a settled invoice without a license (D-9), fingerprints that
were kept in the clear, dates in two formats, and rows with ids without hyphens (its migration 20).
"""

import base64
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from nacl.signing import SigningKey

from keysat.kit.licensekey import BOUND, UNBOUND_HASH, Payload, assemble, encode

SEED = bytes(range(1, 33))
ISSUER = SigningKey(SEED)
SCHEMA = """
CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL);
CREATE TABLE merchant_profiles (id TEXT PRIMARY KEY, name TEXT NOT NULL, legal_name TEXT, support_url TEXT,
  support_email TEXT, brand_color TEXT, post_purchase_redirect_url TEXT,
  is_default INTEGER NOT NULL DEFAULT 0 CHECK (is_default IN (0, 1)), smtp_host TEXT, smtp_port INTEGER,
  smtp_username TEXT, smtp_password TEXT, smtp_from_address TEXT, smtp_from_name TEXT,
  smtp_use_starttls INTEGER NOT NULL DEFAULT 1, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE UNIQUE INDEX one_default ON merchant_profiles (is_default) WHERE is_default = 1;
CREATE TABLE payment_providers (id TEXT PRIMARY KEY, merchant_profile_id TEXT NOT NULL REFERENCES merchant_profiles,
  kind TEXT NOT NULL CHECK (kind IN ('btcpay', 'zaprite')), label TEXT NOT NULL, api_key TEXT NOT NULL,
  base_url TEXT NOT NULL, webhook_id TEXT, webhook_secret TEXT, store_id TEXT, connected_at TEXT NOT NULL,
  updated_at TEXT NOT NULL, UNIQUE (merchant_profile_id, kind));
CREATE TABLE merchant_profile_rail_preferences (merchant_profile_id TEXT NOT NULL, rail TEXT NOT NULL,
  payment_provider_id TEXT NOT NULL REFERENCES payment_providers, PRIMARY KEY (merchant_profile_id, rail));
CREATE TABLE products (id TEXT PRIMARY KEY, slug TEXT NOT NULL UNIQUE, name TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '', price_sats INTEGER NOT NULL, active INTEGER NOT NULL DEFAULT 1,
  metadata_json TEXT NOT NULL DEFAULT '{}', created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
  price_currency TEXT NOT NULL DEFAULT 'SAT', price_value INTEGER NOT NULL DEFAULT 0, entitlements_catalog_json TEXT,
  merchant_profile_id TEXT REFERENCES merchant_profiles);
CREATE TABLE policies (id TEXT PRIMARY KEY, product_id TEXT NOT NULL REFERENCES products, name TEXT NOT NULL,
  slug TEXT NOT NULL, duration_seconds INTEGER NOT NULL DEFAULT 0, grace_seconds INTEGER NOT NULL DEFAULT 0,
  max_machines INTEGER NOT NULL DEFAULT 1, is_trial INTEGER NOT NULL DEFAULT 0, price_sats_override INTEGER,
  entitlements_json TEXT NOT NULL DEFAULT '[]', metadata_json TEXT NOT NULL DEFAULT '{}',
  active INTEGER NOT NULL DEFAULT 1, created_at TEXT NOT NULL, updated_at TEXT NOT NULL, tip_recipient TEXT,
  tip_pct_bps INTEGER NOT NULL DEFAULT 0, tip_label TEXT, public INTEGER NOT NULL DEFAULT 1,
  price_currency_override TEXT, price_value_override INTEGER, is_recurring INTEGER NOT NULL DEFAULT 0,
  renewal_period_days INTEGER, grace_period_days INTEGER NOT NULL DEFAULT 7, trial_days INTEGER NOT NULL DEFAULT 0,
  tier_rank INTEGER, archived_at TEXT, UNIQUE (product_id, slug));
CREATE TABLE invoices (id TEXT PRIMARY KEY, btcpay_invoice_id TEXT NOT NULL UNIQUE,
  product_id TEXT NOT NULL REFERENCES products, status TEXT NOT NULL, buyer_email TEXT, buyer_note TEXT,
  amount_sats INTEGER NOT NULL, checkout_url TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
  policy_id TEXT REFERENCES policies, listed_currency TEXT, listed_value INTEGER, exchange_rate_centibps INTEGER,
  exchange_rate_source TEXT, payment_provider_id TEXT REFERENCES payment_providers);
CREATE TABLE licenses (id TEXT PRIMARY KEY, product_id TEXT NOT NULL REFERENCES products,
  invoice_id TEXT UNIQUE REFERENCES invoices, status TEXT NOT NULL, fingerprint TEXT, bound_identity TEXT,
  issued_at TEXT NOT NULL, revoked_at TEXT, revocation_reason TEXT, metadata_json TEXT NOT NULL DEFAULT '{}',
  policy_id TEXT REFERENCES policies, expires_at TEXT, grace_seconds INTEGER NOT NULL DEFAULT 0,
  max_machines INTEGER NOT NULL DEFAULT 1, suspended_at TEXT, suspension_reason TEXT,
  entitlements_json TEXT NOT NULL DEFAULT '[]', is_trial INTEGER NOT NULL DEFAULT 0, nostr_npub TEXT,
  buyer_email TEXT);
CREATE TABLE machines (id TEXT PRIMARY KEY, license_id TEXT NOT NULL REFERENCES licenses, fingerprint TEXT NOT NULL,
  fingerprint_hash TEXT NOT NULL, hostname TEXT, platform TEXT, ip_last_seen TEXT, activated_at TEXT NOT NULL,
  last_heartbeat_at TEXT, deactivated_at TEXT, deactivation_reason TEXT);
CREATE TABLE validation_log (id INTEGER PRIMARY KEY AUTOINCREMENT, license_id TEXT, product_id TEXT, fingerprint TEXT,
  machine_id TEXT, result TEXT NOT NULL, reason_detail TEXT, client_ip TEXT, user_agent TEXT,
  occurred_at TEXT NOT NULL);
CREATE TABLE server_keys (id INTEGER PRIMARY KEY CHECK (id = 1), algorithm TEXT NOT NULL, public_key_pem TEXT NOT NULL,
  private_key_pem TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE btcpay_authorize_state (state_token TEXT PRIMARY KEY, created_at TEXT NOT NULL,
  merchant_profile_id TEXT REFERENCES merchant_profiles, scoped_initiator INTEGER NOT NULL DEFAULT 0,
  initiator_actor_hash TEXT);
CREATE TABLE discount_codes (id TEXT PRIMARY KEY, code TEXT NOT NULL UNIQUE, kind TEXT NOT NULL
  CHECK (kind IN ('percent', 'fixed_sats', 'set_price', 'free_license')), amount INTEGER NOT NULL CHECK (amount >= 0),
  max_uses INTEGER, used_count INTEGER NOT NULL DEFAULT 0 CHECK (used_count >= 0), expires_at TEXT,
  applies_to_product_id TEXT REFERENCES products, applies_to_policy_id TEXT REFERENCES policies, referrer_label TEXT,
  description TEXT NOT NULL DEFAULT '', active INTEGER NOT NULL DEFAULT 1, created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL, discount_currency TEXT NOT NULL DEFAULT 'SAT', featured INTEGER NOT NULL DEFAULT 0,
  applies_to_policy_ids_json TEXT);
CREATE TABLE discount_redemptions (id TEXT PRIMARY KEY, code_id TEXT NOT NULL REFERENCES discount_codes,
  invoice_id TEXT NOT NULL UNIQUE REFERENCES invoices, license_id TEXT REFERENCES licenses,
  status TEXT NOT NULL CHECK (status IN ('pending', 'redeemed', 'cancelled')), discount_applied_sats INTEGER NOT NULL,
  base_price_sats INTEGER NOT NULL, final_price_sats INTEGER NOT NULL, created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL);
CREATE TABLE subscriptions (id TEXT PRIMARY KEY, license_id TEXT NOT NULL UNIQUE REFERENCES licenses,
  policy_id TEXT NOT NULL REFERENCES policies, product_id TEXT NOT NULL REFERENCES products,
  period_days INTEGER NOT NULL CHECK (period_days > 0), listed_currency TEXT NOT NULL, listed_value INTEGER NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'past_due', 'cancelled', 'lapsed')), started_at TEXT NOT NULL,
  next_renewal_at TEXT, cancelled_at TEXT, cancellation_reason TEXT, last_renewal_attempt_at TEXT,
  consecutive_failures INTEGER NOT NULL DEFAULT 0, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
  zaprite_contact_id TEXT, zaprite_payment_profile_id TEXT, zaprite_payment_profile_method TEXT,
  zaprite_payment_profile_expires_at TEXT, merchant_profile_id TEXT, payment_provider_id TEXT);
CREATE TABLE subscription_invoices (id TEXT PRIMARY KEY, subscription_id TEXT NOT NULL REFERENCES subscriptions,
  invoice_id TEXT NOT NULL REFERENCES invoices, cycle_number INTEGER NOT NULL CHECK (cycle_number >= 1),
  cycle_start_at TEXT NOT NULL, cycle_end_at TEXT NOT NULL, created_at TEXT NOT NULL,
  UNIQUE (subscription_id, cycle_number));
CREATE TABLE tier_changes (id TEXT PRIMARY KEY, license_id TEXT NOT NULL, from_policy_id TEXT NOT NULL,
  to_policy_id TEXT NOT NULL, direction TEXT NOT NULL, listed_currency TEXT NOT NULL,
  proration_charge_value INTEGER NOT NULL, invoice_id TEXT, effective_at TEXT NOT NULL, actor TEXT NOT NULL,
  reason TEXT, created_at TEXT NOT NULL);
CREATE TABLE webhook_endpoints (id TEXT PRIMARY KEY, url TEXT NOT NULL, secret TEXT NOT NULL,
  event_types TEXT NOT NULL DEFAULT '["*"]', active INTEGER NOT NULL DEFAULT 1, description TEXT NOT NULL DEFAULT '',
  created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE webhook_deliveries (id TEXT PRIMARY KEY, endpoint_id TEXT NOT NULL REFERENCES webhook_endpoints,
  event_type TEXT NOT NULL, payload_json TEXT NOT NULL, attempt_count INTEGER NOT NULL DEFAULT 0, next_attempt_at TEXT,
  last_status_code INTEGER, last_error TEXT, delivered_at TEXT, created_at TEXT NOT NULL);
CREATE TABLE audit_log (id INTEGER PRIMARY KEY AUTOINCREMENT, actor_kind TEXT NOT NULL, actor_hash TEXT,
  action TEXT NOT NULL, target_kind TEXT, target_id TEXT, request_ip TEXT, user_agent TEXT, details_json TEXT NOT NULL,
  occurred_at TEXT NOT NULL);
CREATE TABLE sessions (token TEXT PRIMARY KEY, created_at TEXT NOT NULL, expires_at TEXT NOT NULL,
  last_seen_at TEXT NOT NULL, ip TEXT, user_agent TEXT);
CREATE TABLE scoped_api_keys (id TEXT PRIMARY KEY, label TEXT NOT NULL, token_hash TEXT NOT NULL UNIQUE,
  role TEXT NOT NULL, created_at TEXT NOT NULL, last_used_at TEXT, revoked_at TEXT, extra_scopes TEXT);
CREATE TABLE rate_buckets (bucket_kind TEXT, bucket_key TEXT, tokens_remaining REAL, capacity REAL,
  refill_per_second REAL, last_refill_at TEXT, PRIMARY KEY (bucket_kind, bucket_key));
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT, updated_at TEXT NOT NULL);
CREATE TABLE tip_attempts (id TEXT PRIMARY KEY, license_id TEXT NOT NULL, policy_id TEXT NOT NULL,
  recipient TEXT NOT NULL, amount_sats INTEGER NOT NULL, pct_bps INTEGER NOT NULL, label TEXT, status TEXT NOT NULL,
  detail TEXT, payment_hash TEXT, created_at TEXT NOT NULL);
"""


def at(moment: datetime) -> str:
    """With nanoseconds and an offset, as the published server writes."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "789+00:00"


def an_id(number: int) -> str:
    return str(UUID(int=number, version=4))


@dataclass
class Published:
    path: Path
    now: datetime
    keys: dict[str, str] = field(default_factory=dict[str, str])
    """License keys as their buyers hold them, by what the license is in the story."""
    ids: dict[str, str] = field(default_factory=dict[str, str])
    _made: int = 0

    def add(self, table: str, name: str = "", /, **values: Any) -> str:
        """A row with an id of its own, unless it has one; the id is known by the name."""
        self._made += 1
        row = {"id": an_id(self._made), **values}
        names = ", ".join(row)
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(
                f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})",
                [json.dumps(value) if isinstance(value, list | dict) else value for value in row.values()],
            )
        self.ids[name or f"{table} {self._made}"] = str(row["id"])
        return str(row["id"])

    def license(self, name: str, *, days_ago: int = 100, bound_to: str | None = None, **values: Any) -> str:
        """With the key that its buyer was given."""
        issued = self.now - timedelta(days=days_ago)
        row: dict[str, Any] = {
            "product_id": self.ids["app"],
            "status": "active",
            "issued_at": at(issued),
            "entitlements_json": [],
            **values,
        }
        license_id = self.add("licenses", name, **row)
        ends = values.get("expires_at")
        payload = encode(
            Payload(
                version=2,
                flags=BOUND if bound_to else 0,
                product_id=UUID(row["product_id"]),
                license_id=UUID(license_id),
                issued_at=int(issued.timestamp()),
                expires_at=int(datetime.fromisoformat(ends[:19]).replace(tzinfo=UTC).timestamp()) if ends else 0,
                fingerprint_hash=sha256(bound_to.encode()).digest() if bound_to else UNBOUND_HASH,
                entitlements=tuple(row["entitlements_json"]),
            )
        )
        self.keys[name] = assemble(payload, ISSUER.sign(payload).signature)
        return license_id

    def invoice(self, name: str, *, days_ago: int = 100, status: str = "settled", **values: Any) -> str:
        made = at(self.now - timedelta(days=days_ago))
        row: dict[str, Any] = {
            "btcpay_invoice_id": f"btcpay-{name}",
            "product_id": self.ids["app"],
            "status": status,
            "amount_sats": 50_000,
            "checkout_url": "https://pay.example/i/1",
            "created_at": made,
            "updated_at": made,
            "listed_currency": "USD",
            "listed_value": 2500,
            "exchange_rate_centibps": 500_000_000,
            "exchange_rate_source": "kraken",
            **values,
        }
        return self.add("invoices", name, **row)

    def sold(self, name: str, *, days_ago: int = 100, email: str | None = None, **values: Any) -> str:
        policy = values.get("policy_id", self.ids["pro"])
        invoice = self.invoice(f"invoice of {name}", days_ago=days_ago, policy_id=policy, buyer_email=email)
        return self.license(
            name, days_ago=days_ago, **{"policy_id": policy, "invoice_id": invoice, "buyer_email": email, **values}
        )

    def subscription(
        self, name: str, license_name: str, *, days_ago: int, status: str = "active", **values: Any
    ) -> str:
        started = at(self.now - timedelta(days=days_ago))
        return self.add(
            "subscriptions",
            name,
            **{
                "license_id": self.ids[license_name],
                "policy_id": self.ids["team"],
                "product_id": self.ids["app"],
                "period_days": 30,
                "listed_currency": "USD",
                "listed_value": 1200,
                "status": status,
                "started_at": started,
                "created_at": started,
                "updated_at": started,
                **values,
            },
        )

    def cycle(self, subscription: str, invoice: str, number: int, ends_in_days: int) -> None:
        ends = self.now + timedelta(days=ends_in_days)
        self.add(
            "subscription_invoices",
            subscription_id=self.ids[subscription],
            invoice_id=self.ids[invoice],
            cycle_number=number,
            cycle_start_at=at(ends - timedelta(days=30)),
            cycle_end_at=at(ends),
            created_at=at(ends - timedelta(days=30)),
        )


def an_empty_one(path: Path, now: datetime) -> Published:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript(SCHEMA)
        connection.executemany("INSERT INTO _sqlx_migrations VALUES (?, '')", [(number,) for number in range(1, 26)])
    shop = Published(path, now)
    der = bytes.fromhex("302e020100300506032b657004220420") + SEED
    spki = bytes.fromhex("302a300506032b6570032100") + bytes(ISSUER.verify_key)
    shop.add(
        "server_keys",
        id=1,
        algorithm="ed25519",
        public_key_pem=_pem("PUBLIC KEY", spki),
        private_key_pem=_pem("PRIVATE KEY", der),
        created_at=at(now - timedelta(days=400)),
    )
    return shop


def _pem(label: str, der: bytes) -> str:
    return f"-----BEGIN {label}-----\n{base64.b64encode(der).decode()}\n-----END {label}-----\n"


def a_shop_of_years(path: Path, now: datetime) -> Published:
    shop = an_empty_one(path, now)
    made = {"created_at": at(now - timedelta(days=400)), "updated_at": at(now - timedelta(days=400))}
    shop.add(  # as migration 20 made it: an id without hyphens, times without a zone
        "merchant_profiles",
        "default",
        id="0" * 31 + "a",
        name="Ada & Sons",
        support_email="help@ada.example",
        is_default=1,
        created_at="2025-06-01 08:00:00",
        updated_at="2025-06-01 08:00:00",
    )
    shop.add("merchant_profiles", "second", name="Bea's Tools", is_default=0, **made)
    shop.add(
        "payment_providers",
        merchant_profile_id=shop.ids["default"],
        kind="btcpay",
        label="BTCPay",
        api_key="a-secret-api-key-of-btcpay",
        base_url="https://pay.example",
        store_id="store",
        connected_at=made["created_at"],
        updated_at=made["created_at"],
    )
    _catalog(shop, made)
    _licenses(shop)
    _codes(shop, made)
    _subscriptions(shop)
    _house(shop, made)
    return shop


def _catalog(shop: Published, made: dict[str, str]) -> None:
    shop.add(
        "products",
        "app",
        slug="app",
        name="App",
        price_sats=0,
        price_currency="USD",
        price_value=2500,
        merchant_profile_id=shop.ids["default"],
        entitlements_catalog_json=[{"slug": "sync", "name": "Sync", "description": "Everywhere"}],
        **made,
    )
    shop.add("products", "old", slug="old", name="Old", price_sats=9000, active=0, **made)
    shop.add(
        "policies",
        "pro",
        product_id=shop.ids["app"],
        name="Pro",
        slug="pro",
        price_sats_override=7500,
        max_machines=3,
        entitlements_json=["sync"],
        metadata_json={"description": "For many", "highlight": True, "marketing_bullets": ["Three machines"], "x": 1},
        tier_rank=2,
        tip_recipient="tips@ada.example",
        tip_pct_bps=500,
        **made,
    )
    shop.add(
        "policies",
        "team",
        product_id=shop.ids["app"],
        name="Team",
        slug="team",
        price_sats_override=1200,
        is_recurring=1,
        renewal_period_days=30,
        grace_period_days=5,
        **made,
    )


def _house(shop: Published, made: dict[str, str]) -> None:
    shop.add("webhook_endpoints", "hook", url="https://hooks.example/keysat", secret="5ec2e7" * 8, **made)
    shop.add("webhook_endpoints", "inside", url="ftp://10.0.0.1/", secret="x" * 48, **made)
    shop.add(
        "scoped_api_keys",
        "ci",
        label="ci",
        token_hash=sha256(b"ks_" + b"a" * 43).hexdigest(),
        role="support",
        created_at=made["created_at"],
        extra_scopes=["payment_providers:write"],
    )
    for name, value in (
        ("operator_name", "Ada & Sons"),
        ("manual_rate_pin_EUR", "60000.5"),
        ("web_ui_password_hash", "x"),
    ):
        with closing(sqlite3.connect(shop.path)) as connection, connection:
            connection.execute("INSERT INTO settings VALUES (?, ?, ?)", (name, value, made["created_at"]))


def _licenses(shop: Published) -> None:
    now = shop.now
    shop.sold("sold", email=" Ann@Example.org", entitlements_json=["sync"], max_machines=3)
    for number, days in enumerate((3, 2, 1, 90)):
        seen = at(now - timedelta(days=days))
        shop.add(
            "machines",
            f"machine {number}",
            license_id=shop.ids["sold"],
            fingerprint=f"fp-{number}",
            fingerprint_hash=sha256(f"fp-{number}".encode()).hexdigest(),
            hostname="box",
            activated_at=seen,
            last_heartbeat_at=seen,
        )
    shop.sold("bound", email="ann@example.org", fingerprint="the-one-machine")
    shop.license("given", metadata_json={"source": "admin_issue", "note": "For a review"}, policy_id=shop.ids["pro"])
    shop.license("unreadable end", expires_at=None)
    with closing(sqlite3.connect(shop.path)) as connection, connection:
        connection.execute("UPDATE licenses SET expires_at = 'soon' WHERE id = ?", (shop.ids["unreadable end"],))
    shop.sold("revoked", status="revoked", revoked_at=at(now), revocation_reason="Refunded", email="bob@example.org")
    shop.sold("suspended", status="suspended", suspended_at=at(now), suspension_reason="A question")
    shop.sold("over", expires_at=at(now - timedelta(days=1)))
    shop.invoice("paid in vain", policy_id=shop.ids["pro"], buyer_email="cy@example.org")  # D-9
    shop.invoice("still open", status="pending", days_ago=0)
    shop.invoice("expired", status="expired", buyer_email="ann@example.org", buyer_note="I will\0 pay later")


def _codes(shop: Published, made: dict[str, str]) -> None:
    shop.add("discount_codes", "SPRING", code="SPRING", kind="percent", amount=2000, used_count=7, max_uses=9, **made)
    shop.add("discount_codes", "TEN", code="TEN", kind="fixed_sats", amount=1000, discount_currency="USD", **made)
    shop.add(
        "discount_codes",
        "TIERS",
        code="TIERS",
        kind="set_price",
        amount=4000,
        applies_to_product_id=shop.ids["app"],
        applies_to_policy_ids_json=[shop.ids["pro"], an_id(999_999)],
        **made,
    )
    for invoice, status in (("invoice of sold", "redeemed"), ("expired", "cancelled")):
        shop.add(
            "discount_redemptions",
            code_id=shop.ids["SPRING"],
            invoice_id=shop.ids[invoice],
            status=status,
            discount_applied_sats=12_500,
            base_price_sats=62_500,
            final_price_sats=50_000,
            **made,
        )


def _subscriptions(shop: Published) -> None:
    """Dora has renewed twice, so that she has three licenses and three subscriptions."""
    team = {"policy_id": shop.ids["team"], "email": "dora@example.org"}
    for number, days in enumerate((75, 45, 15)):
        shop.sold(f"dora {number}", days_ago=days, **team)
        shop.subscription(f"of dora {number}", f"dora {number}", days_ago=days)
    shop.cycle("of dora 0", "invoice of dora 1", 2, -15)
    shop.cycle("of dora 0", "invoice of dora 2", 3, 15)
    shop.sold("eve", days_ago=200, policy_id=shop.ids["team"], email="eve@example.org")
    shop.subscription("of eve", "eve", days_ago=200, status="past_due", listed_value=0)
    shop.sold("fay", days_ago=300, policy_id=shop.ids["team"], email="fay@example.org")
    shop.subscription("of fay", "fay", days_ago=300, status="lapsed")
    shop.sold("gus", days_ago=10, policy_id=shop.ids["team"], expires_at=at(shop.now + timedelta(days=20)))
    shop.subscription("of gus", "gus", days_ago=10, zaprite_contact_id="contact", zaprite_payment_profile_id="profile")
