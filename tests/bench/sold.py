"""A shop that has sold a million times: copies of one sale that the verbs made, under other ids, moments and buyers.

Written past the ORM, with the indices built afterwards.
"""

import random
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import make_url

from keysat.catalog.policies import NewPolicy
from keysat.catalog.policies import create as create_policy
from keysat.catalog.products import NewProduct
from keysat.catalog.products import create as create_product
from keysat.checkout.operate import gift, give
from keysat.infra.house import Mode
from keysat.infra.settings import load
from keysat.kit.clock import SystemClock
from keysat.kit.ids import SystemChance
from keysat.kit.licensekey import fingerprint_hash
from keysat.licenses.seats import Device, bind
from keysat.licenses.tables import License
from keysat.upkeep.opening import Founding, open_shop
from tests.bench.seed import SEEDER

SHARES = (0.6, 0.25, 0.1, 0.0498, 0.0002)
"""Of the products: a large one, some others, and one that hardly ever sells."""
SPAN = timedelta(days=730)
AT_ONCE = 20_000
SAMPLES = 30
FIRST = ("ann", "bob", "cleo", "dora", "eve", "finn", "gus", "hal", "ida", "joe", "kim", "leo", "mia", "ned", "ola")
LAST = ("ames", "bell", "cole", "dunn", "ellis", "ford", "gray", "hart", "irwin", "jones", "kent", "lane", "moss")
TABLES = ("customers", "orders", "licenses", "machines")

Row = dict[str, Any]


@dataclass(frozen=True)
class Sold:
    """One license and what belongs to it."""

    customer: UUID | None
    email: str
    name: str
    order: UUID
    license: UUID
    machine: UUID
    product: int
    at: datetime
    chance: float

    @property
    def reference(self) -> str:
        return "KS-" + self.license.hex[:10].upper()


@dataclass(frozen=True)
class Found:
    """What is there to ask for."""

    products: Sequence[UUID]
    policies: Sequence[UUID]
    samples: Sequence[Sold]
    middle: datetime
    end: datetime


def sales(size: int, end: datetime, seed: int = 1) -> Generator[Sold, None, None]:
    draw = random.Random(seed)
    for number in range(size):
        at = end - SPAN * (1 - number / size)
        stamp = int(at.timestamp() * 1000) << 80
        low = [stamp | 7 << 76 | draw.getrandbits(12) << 64 | 2 << 62 | draw.getrandbits(62) for _ in range(3)]
        first, last = draw.choice(FIRST), draw.choice(LAST)
        yield Sold(
            customer=UUID(int=low[0]) if draw.random() < 0.8 else None,
            email=f"{first}.{last}{number}@example.org",
            name=f"{first} {last}".title() if draw.random() < 0.5 else "",
            order=UUID(int=low[1]),
            license=UUID(int=draw.getrandbits(128), version=4),
            machine=UUID(int=low[2]),
            product=draw.choices(range(len(SHARES)), SHARES)[0],
            at=at,
            chance=draw.random(),
        )


def rows_of(sold: Sold, found: Found) -> Mapping[str, Row]:
    """What is other than in the first row of each table."""
    price = 2500 + 100 * sold.product
    what = {"product_id": found.products[sold.product], "policy_id": found.policies[sold.product]}
    ended = "suspended" if sold.chance < 0.01 else "revoked" if sold.chance < 0.03 else "active"
    return {
        "customers": {
            "id": sold.customer,
            "email": sold.email,
            "email_normal": sold.email,
            "name": sold.name or None,
            "created_at": sold.at,
        },
        "orders": {
            **what,
            "id": sold.order,
            "invoice_id": sold.order.hex[::-1],
            "support_reference": sold.reference,
            "purpose": "purchase",
            "customer_id": sold.customer,
            "license_id": sold.license,
            "listed_currency": "USD",
            "listed_value": price,
            "amount_sats": price * 20,
            "created_at": sold.at,
            "status_at": sold.at,
            "paid_at": sold.at,
            "paid_how": "in_time",
        },
        "licenses": {
            **what,
            "id": sold.license,
            "order_id": sold.order,
            "customer_id": sold.customer,
            "status": ended,
            "issued_at": sold.at,
            "key_issued_at": sold.at,
            "created_at": sold.at,
            "revoked_at": sold.at if ended == "revoked" else None,
            "suspended_at": sold.at if ended == "suspended" else None,
            "is_trial": 0.5 < sold.chance < 0.52,
            "expires_at": sold.at + timedelta(days=365) if sold.chance > 0.6 else None,
        },
        "machines": {
            "id": sold.machine,
            "license_id": sold.license,
            "activated_at": sold.at,
            "last_seen_at": sold.at,
            "deactivated_at": sold.at if sold.chance > 0.9 else None,
        },
    }


class Writer:
    """Into one of the databases, in its own words."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)

    async def fill(self, size: int, found: Found) -> None:
        if self.url.get_backend_name() == "sqlite":
            with closing(sqlite3.connect(str(self.url.database), isolation_level=None)) as database:
                self._fill_sqlite(database, size, found)
            return
        database = await asyncpg.connect(
            host=self.url.query["host"], user=self.url.username, database=self.url.database
        )
        await self._fill_postgres(database, size, found)
        await database.close()

    def _fill_sqlite(self, database: sqlite3.Connection, size: int, found: Found) -> None:
        for pragma in ("synchronous=OFF", "cache_size=-400000", "foreign_keys=OFF"):
            database.execute(f"PRAGMA {pragma}")
        template = {table: _first(database, table) for table in TABLES}
        indices = database.execute(
            f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN {TABLES}"
        ).fetchall()
        database.execute("BEGIN IMMEDIATE")
        for name, _ in indices:
            database.execute(f"DROP INDEX {name}")
        for table, names, rows in _batches(size, template, found):
            database.executemany(
                f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
                ([_in_sqlite(value) for value in row] for row in rows),
            )
        for _, sql in indices:
            database.execute(sql)
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    async def _fill_postgres(self, database: asyncpg.Connection, size: int, found: Found) -> None:
        template: dict[str, Row] = {}
        for table in TABLES:
            [first] = await database.fetch(f"SELECT * FROM {table} LIMIT 1")
            template[table] = {str(name): value for name, value in first.items()}
        await database.execute("SET session_replication_role = replica")
        free = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = ANY($1) AND indexname NOT IN " + (
            "(SELECT conname FROM pg_constraint)"
        )
        indices = await database.fetch(free, list(TABLES))
        await database.execute(";".join(f"DROP INDEX {name}" for name, _ in indices))
        for table, names, rows in _batches(size, template, found):
            await database.copy_records_to_table(table, columns=names, records=rows)
        await database.execute(";".join(f"{text}" for _, text in indices))
        await database.execute("VACUUM ANALYZE")


Batch = tuple[str, list[str], list[list[Any]]]


def _batches(size: int, template: Mapping[str, Row], found: Found) -> Generator[Batch, None, None]:
    """For each table some rows at a time, with the names of their columns."""
    rest = sales(size, found.end)
    places: dict[str, list[int]] = {}
    while some := list(islice(rest, AT_ONCE)):
        rows: dict[str, list[list[Any]]] = {table: [] for table in TABLES}
        for sold in some:
            for table, changed in rows_of(sold, found).items():
                if changed["id"] is None:
                    continue
                at = places.get(table) or places.setdefault(table, [[*template[table]].index(name) for name in changed])
                row = [*template[table].values()]
                for place, value in zip(at, changed.values(), strict=True):
                    row[place] = value
                rows[table].append(row)
        yield from ((table, [*template[table]], of_table) for table, of_table in rows.items())


def _first(database: sqlite3.Connection, table: str) -> Row:
    told = database.execute(f"SELECT * FROM {table} LIMIT 1")
    return {str(column[0]): value for column, value in zip(told.description, told.fetchone(), strict=True)}


def _in_sqlite(value: object) -> object:
    if isinstance(value, UUID):
        return value.hex
    return value.isoformat(" ", "microseconds")[:26] if isinstance(value, datetime) else value


async def founded(environ: Mapping[str, str], size: int) -> Found:
    """A shop of five products, each with a tier, that has given one license to somebody with a machine."""
    async with open_shop(
        load(environ), clock=SystemClock(), chance=SystemChance(), founding=Founding(Mode.SANDBOX, print)
    ) as shop:
        products: list[UUID] = []
        policies: list[UUID] = []
        for number in range(len(SHARES)):
            slug = f"p{number}"
            async with shop.work(SEEDER) as work:
                new = NewProduct(slug=slug, name=slug, price_currency="USD", price_value=2500)
                products.append((await create_product(work, new)).id)
                policies.append((await create_policy(work, NewPolicy(product_slug=slug, slug="pro", name="Pro"))).id)
        async with shop.work(SEEDER) as work:
            order = await give(work, await gift(work, "p0", "pro", "first@example.org"))
        async with shop.work(SEEDER) as work:
            held = await work.hold(License, order.license_id)
            assert await bind(work, held, Device(fingerprint_hash("one").hex(), None, None))
        end = shop.now().astimezone(UTC)
    step = max(1, size // SAMPLES)
    samples = [sold for number, sold in enumerate(sales(size, end)) if number % step == 0 and sold.customer]
    return Found(products, policies, samples, end - SPAN / 2, end)
