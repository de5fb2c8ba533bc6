"""`keysat import` as a real process: killed in the middle it has brought nothing, and is repeated."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tests.cli.conftest import Run
from tests.conftest import NOON
from tests.running import Program
from tests.upkeep.published import Published, a_shop_of_years

MANY = 8_000


def grown(old: Published) -> None:
    """As many licenses more, given by hand."""
    columns = "id, product_id, status, issued_at, max_machines, entitlements_json, metadata_json"
    copied = "product_id, status, issued_at, max_machines, entitlements_json, metadata_json"
    with closing(sqlite3.connect(old.path)) as connection, connection:
        connection.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY}) "
            f"INSERT INTO licenses ({columns}) "
            f"SELECT printf('0b2f9c1e-0000-4000-8000-%012d', i), {copied} FROM n, licenses WHERE licenses.id = ?",
            (old.ids["given"],),
        )


def licenses_in(data_dir: Path) -> int:
    with closing(sqlite3.connect(data_dir / "keysat.db")) as shop:
        [(count,)] = shop.execute("SELECT count(*) FROM licenses")
        return int(count)


def test_an_import_that_is_killed_has_brought_nothing_and_is_repeated(house: Run, nowhere: Path):
    old = a_shop_of_years(nowhere / "licensing.db", NOON)
    grown(old)
    data_dir = nowhere / "data"
    killed = Program("keysat", "import", str(old.path), "--data-dir", str(data_dir), log=nowhere / "log")
    killed.start()
    log = data_dir / "keysat.db-wal"
    while not (log.exists() and log.stat().st_size > 1_000_000):
        assert killed.ended() is None, killed.output()
        time.sleep(0.005)
    killed.kill()
    assert licenses_in(data_dir) == 0

    again = house("import", str(old.path))
    assert again.code == 3, again.out + again.err  # a webhook endpoint that nobody may send to stays behind
    assert again.out.endswith("1 rows were left behind: mend them in the old shop, and import again.\n")
    assert "licenses: 5000\n" in again.err
    assert licenses_in(data_dir) == MANY + len(old.keys)
    assert house("audit", "verify").code == 0
