"""Subscriptions that were sold before anything renewed begin to renew, and know their first cycle."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect, select, text

from keysat.infra.migrate import SCRIPTS, migrate
from keysat.infra.store import Store
from keysat.subscriptions.invariants import broken
from keysat.subscriptions.tables import Cycle, Subscription
from tests.conftest import NOON

ONE = "0" * 31 + "1"
SOME = {"UUID": ONE, "CHAR": ONE, "JSON": "[]", "BOOLEAN": "0", "BLOB": "", "BYTEA": ""}
SOLD = {"issued_at": "2026-01-15 12:00:00.000000", "expires_at": "2026-02-15 12:00:00.000000"}
ROWS: dict[str, dict[str, str]] = {  # in both databases' own words; what is not named is filled with something
    "products": {"slug": "app", "price_currency": "USD"},
    "policies": {"slug": "team", "renewal_lead_days": "5"},
    "customers": {},
    "orders": {"purpose": "purchase", "status": "fulfilled", "listed_value": "900", "listed_currency": "USD"},
    "issuer_keys": {"status": "signing"},
    "licenses": {"status": "active", "customer_id": ONE, "order_id": ONE, "is_subscribed": "1", **SOLD},
    "subscriptions": {
        "status": "active", "anchor_at": SOLD["issued_at"], "zone": "UTC", "period_count": "1", "period_unit": "month",
        "listed_currency": "USD", "listed_value": "1200", "cycle_number": "1", "paid_through": SOLD["expires_at"],
        "started_at": SOLD["issued_at"],
    },
}  # fmt: skip


def before(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "1_0005")
    for table, named in ROWS.items():
        values: dict[str, str] = {}
        for column in inspect(connection).get_columns(table):
            kind = str(column["type"]).partition("(")[0]
            if column["name"] in named:
                values[column["name"]] = named[column["name"]]
            elif not column["nullable"] and column["default"] is None:
                is_time = kind in ("DATETIME", "TIMESTAMP")
                values[column["name"]] = SOLD["issued_at"] if is_time else SOME.get(kind, "0")
        literals = ", ".join(f"'{value}'" for value in values.values())
        connection.execute(text(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({literals})"))


async def test_a_subscription_of_the_release_before_renews(empty_database_url: str) -> None:
    store = Store(empty_database_url)
    try:
        async with store.engine.begin() as connection:
            await connection.run_sync(before)
        await migrate(store)
        async with store.read() as read:
            row = (await read.session.scalars(select(Subscription))).one()
            cycle = (await read.session.scalars(select(Cycle))).one()
            assert await broken(read, NOON) == []
    finally:
        await store.close()
    assert (row.next_attempt_at, row.lead_days, row.customer_id) == (row.paid_through, 5, cycle.order_id)
    assert (cycle.number, cycle.starts_at, cycle.ends_at) == (1, row.anchor_at, row.paid_through)
    assert (cycle.listed_value, cycle.worth, cycle.paid, cycle.paid_at) == (1200, 900, 900, row.started_at)
