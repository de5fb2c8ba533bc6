"""The wallet's SQLite file: invoices, who is to be told, and what is yet to be said. Plain SQL, one thread."""

import sqlite3
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from providers.sandbox.cards import SavedCard
from providers.sandbox.invoice import Event, Invoice
from providers.sandbox.wire import Webhook

_SCHEMA = """
CREATE TABLE IF NOT EXISTS wallet (id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS invoices (
  id TEXT PRIMARY KEY,
  checkout_id TEXT NOT NULL UNIQUE,
  attempt_id TEXT NOT NULL,
  created_at TEXT NOT NULL,
  watched INTEGER NOT NULL,  -- 1: time alone may still change it
  body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS invoices_attempt ON invoices (attempt_id);
CREATE INDEX IF NOT EXISTS invoices_created ON invoices (created_at);
CREATE INDEX IF NOT EXISTS invoices_watched ON invoices (watched) WHERE watched;
CREATE TABLE IF NOT EXISTS webhooks (id TEXT PRIMARY KEY, url TEXT NOT NULL UNIQUE, secret TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
  position INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL,
  webhook_id TEXT NOT NULL REFERENCES webhooks (id),
  invoice_id TEXT NOT NULL,
  event TEXT NOT NULL,
  happened_at TEXT NOT NULL,
  tries INTEGER NOT NULL DEFAULT 0,
  next_at TEXT,   -- NULL: delivered, or given up
  answer TEXT     -- what came of the last try, for people
);
CREATE INDEX IF NOT EXISTS deliveries_waiting ON deliveries (webhook_id, position) WHERE next_at IS NOT NULL;
CREATE TABLE IF NOT EXISTS cards (id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS cards_customer ON cards (customer_id);
"""


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery to be tried now, with where it goes."""

    position: int
    id: str
    url: str
    secret: str
    invoice_id: str
    event: Event
    happened_at: datetime
    tries: int


class Book:
    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; {_SCHEMA}")

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def transaction(self) -> Generator[None, None, None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def wallet_id(self, fresh: str) -> str:
        """The wallet's name for itself; `fresh` when the file is new."""
        self._connection.execute("INSERT INTO wallet SELECT ? WHERE NOT EXISTS (SELECT 1 FROM wallet)", (fresh,))
        return str(self._connection.execute("SELECT id FROM wallet").fetchone()["id"])

    def save(self, invoice: Invoice) -> None:
        self._connection.execute(
            "INSERT INTO invoices (id, checkout_id, attempt_id, created_at, watched, body) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET watched = excluded.watched, body = excluded.body",
            (
                invoice.id,
                invoice.checkout_id,
                invoice.attempt_id,
                _text(invoice.created_at),
                invoice.may_change_by_time,
                msgspec.json.encode(invoice).decode(),
            ),
        )

    def by_id(self, invoice_id: str) -> Invoice | None:
        return next(iter(self._invoices("WHERE id = ?", invoice_id)), None)

    def by_checkout(self, checkout_id: str) -> Invoice | None:
        return next(iter(self._invoices("WHERE checkout_id = ?", checkout_id)), None)

    def by_attempt(self, attempt_id: str, skip: int, take: int) -> list[Invoice]:
        return self._invoices("WHERE attempt_id = ? ORDER BY created_at, id LIMIT ? OFFSET ?", attempt_id, take, skip)

    def created_since(self, since: datetime, skip: int, take: int) -> list[Invoice]:
        return self._invoices(
            "WHERE created_at >= ? ORDER BY created_at, id LIMIT ? OFFSET ?", _text(since), take, skip
        )

    def watched(self) -> list[Invoice]:
        return self._invoices("WHERE watched ORDER BY created_at, id")

    def save_card(self, saved: SavedCard) -> None:
        self._connection.execute(
            "INSERT INTO cards (id, customer_id, body) VALUES (?, ?, ?)",
            (saved.id, saved.customer_id, msgspec.json.encode(saved).decode()),
        )

    def card(self, card_id: str) -> SavedCard | None:
        return next(iter(self._cards("WHERE id = ?", card_id)), None)

    def cards_of(self, customer_id: str) -> list[SavedCard]:
        return self._cards("WHERE customer_id = ? ORDER BY rowid DESC", customer_id)

    def webhooks(self) -> list[Webhook]:
        rows = self._connection.execute("SELECT id, url, secret FROM webhooks ORDER BY id")
        return [Webhook(row["id"], row["url"], row["secret"]) for row in rows]

    def add_webhook(self, webhook: Webhook) -> Webhook:
        """Returns what holds for the URL: an older entry keeps its id and secret."""
        self._connection.execute(
            "INSERT INTO webhooks (id, url, secret) VALUES (?, ?, ?) ON CONFLICT (url) DO NOTHING",
            (webhook.id, webhook.url, webhook.secret),
        )
        row = self._connection.execute("SELECT id, url, secret FROM webhooks WHERE url = ?", (webhook.url,)).fetchone()
        return Webhook(row["id"], row["url"], row["secret"])

    def tell(self, delivery_id: str, webhook_id: str, invoice_id: str, event: Event, now: datetime) -> None:
        self._connection.execute(
            "INSERT INTO deliveries (id, webhook_id, invoice_id, event, happened_at, next_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (delivery_id, webhook_id, invoice_id, msgspec.json.encode(event).decode(), _text(now), _text(now)),
        )

    def due(self, now: datetime) -> Sequence[Waiting]:
        """The first waiting delivery of each webhook, where its time has come: never a later one before an earlier."""
        rows = self._connection.execute(
            "SELECT d.position, d.id, w.url, w.secret, d.invoice_id, d.event, d.happened_at, d.tries"
            " FROM deliveries AS d JOIN webhooks AS w ON w.id = d.webhook_id WHERE d.position IN"
            " (SELECT MIN(position) FROM deliveries WHERE next_at IS NOT NULL GROUP BY webhook_id)"
            " AND d.next_at <= ? ORDER BY d.position",
            (_text(now),),
        )
        return [_waiting(row) for row in rows]

    def tried(self, position: int, answer: str, next_at: datetime | None) -> None:
        self._connection.execute(
            "UPDATE deliveries SET tries = tries + 1, answer = ?, next_at = ? WHERE position = ?",
            (answer, None if next_at is None else _text(next_at), position),
        )

    def _invoices(self, where: str, *values: str | int) -> list[Invoice]:
        rows = self._connection.execute(f"SELECT body FROM invoices {where}", values)  # noqa: S608 - constants of this file
        return [msgspec.json.decode(row["body"], type=Invoice) for row in rows]

    def _cards(self, where: str, value: str) -> list[SavedCard]:
        rows = self._connection.execute(f"SELECT body FROM cards {where}", (value,))  # noqa: S608 - constants of this file
        return [msgspec.json.decode(row["body"], type=SavedCard) for row in rows]


def _waiting(row: sqlite3.Row) -> Waiting:
    return Waiting(
        position=row["position"],
        id=row["id"],
        url=row["url"],
        secret=row["secret"],
        invoice_id=row["invoice_id"],
        event=msgspec.json.decode(row["event"], type=Event),
        happened_at=datetime.fromisoformat(row["happened_at"]),
        tries=row["tries"],
    )


def _text(at: datetime) -> str:
    """Of one length, so that text sorts as time does."""
    return at.isoformat(timespec="microseconds")
