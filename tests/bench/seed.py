"""A sandbox shop with as many licenses as wanted, each with one machine, and the requests to ask about some of them.

The first license is sold by the verbs; the others are copies of its row under random ids, made inside the database.
"""

import random
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from uuid import UUID

import msgspec

from keysat.catalog.policies import NewPolicy
from keysat.catalog.policies import create as create_policy
from keysat.catalog.products import NewProduct
from keysat.catalog.products import create as create_product
from keysat.infra.events import Actor
from keysat.infra.house import Mode
from keysat.infra.settings import Settings, load
from keysat.kit.clock import SystemClock
from keysat.kit.ids import SystemChance
from keysat.kit.licensekey import fingerprint_hash
from keysat.licenses.issue import Terms, issue, key_text
from keysat.licenses.seats import Device, bind
from keysat.licenses.tables import License, LicenseId
from keysat.upkeep.opening import Founding, open_shop
from tests.running import ADMIN_KEY

SEEDER = Actor("bench")
PRODUCT = "aurora"
FINGERPRINT = "the machine of the bench"
PROGRESS = 100_000  # rows in one statement


def settings_of(data_dir: Path, port: int) -> Settings:
    return load(environ_of(data_dir, port))


def environ_of(data_dir: Path, port: int) -> dict[str, str]:
    return {
        "KEYSAT_DATA_DIR": str(data_dir),
        "KEYSAT_BIND": f"127.0.0.1:{port}",
        "KEYSAT_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "KEYSAT_ADMIN_API_KEY": ADMIN_KEY,
        "KEYSAT_LIMITS": "off",
        "KEYSAT_LOG_LEVEL": "warning",
    }


async def found(data_dir: Path) -> None:
    """A sandbox shop that sells one tier and has sold one license, with one machine."""
    async with open_shop(
        settings_of(data_dir, 1), clock=SystemClock(), chance=SystemChance(), founding=Founding(Mode.SANDBOX, print)
    ) as shop:
        async with shop.work(SEEDER) as work:
            product = await create_product(
                work, NewProduct(slug=PRODUCT, name="Aurora", price_currency="USD", price_value=2500)
            )
            policy = await create_policy(work, NewPolicy(product_slug=PRODUCT, slug="pro", name="Pro", max_machines=3))
        terms = Terms(product.id, policy.id, max_machines=3, entitlements=("export", "sync"))
        async with shop.work(SEEDER) as work:
            license = await issue(work, terms, order_id=None, customer_id=None, source="manual")
        async with shop.work(SEEDER) as work:
            held = await work.hold(License, license.id)
            assert await bind(work, held, Device(fingerprint_hash(FINGERPRINT).hex(), None, None))


def multiply(data_dir: Path, size: int) -> None:
    """Copies of the one license and its machine until there are `size`."""
    with closing(sqlite3.connect(data_dir / "keysat.db", isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA cache_size=-400000")
        [there] = database.execute("SELECT count(*) FROM licenses").fetchone()
        for start in range(there, size, PROGRESS):
            count = min(PROGRESS, size - start)
            database.execute("BEGIN IMMEDIATE")
            database.execute(
                "CREATE TEMP TABLE more AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                f"WHERE i < {count}) SELECT lower(hex(randomblob(16))) AS id, "
                "lower(hex(randomblob(16))) AS machine FROM n"
            )
            _copy(database, "licenses", {"id": "m.id"})
            _copy(database, "machines", {"id": "m.machine", "license_id": "m.id"})
            database.execute("DROP TABLE more")
            database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _copy(database: sqlite3.Connection, table: str, changed: Mapping[str, str]) -> None:
    """The first row of the table, once for each row of `more`, in the order of the new ids."""
    names = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
    values = ", ".join(changed.get(name, f"t.{name}") for name in names)
    database.execute(
        f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM more m, "
        f"(SELECT * FROM {table} ORDER BY rowid LIMIT 1) t ORDER BY {changed['id']}"
    )


async def requests(data_dir: Path, count: int) -> list[bytes]:
    """Bodies of `/v1/validate` for `count` licenses, drawn at random from all."""
    with closing(sqlite3.connect(data_dir / "keysat.db")) as database:
        ids = [UUID(row[0]) for row in database.execute("SELECT id FROM licenses")]
    drawn = random.Random(1).sample(ids, min(count, len(ids)))
    found: list[bytes] = []
    async with (
        open_shop(settings_of(data_dir, 1), clock=SystemClock(), chance=SystemChance()) as shop,
        shop.read() as read,
    ):
        template = await read.session.get_one(License, drawn[0])
        read.session.expunge(template)
        for license_id in drawn:
            template.id = LicenseId(license_id)
            key = await key_text(read, template, shop.ring)
            found.append(msgspec.json.encode({"key": key, "product_slug": PRODUCT, "fingerprint": FINGERPRINT}))
    return found
