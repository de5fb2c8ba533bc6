"""A daemon that is killed over and over, in a storm of purchases whose webhooks go astray, sells each of them once."""

from pathlib import Path

from tests.crash.__main__ import crash_test
from tests.postgres import Cluster

SEED = 20261121


async def test_every_paid_order_has_exactly_one_license_on_sqlite(tmp_path: Path) -> None:
    assert await crash_test(tmp_path, SEED, 200) == []


async def test_every_paid_order_has_exactly_one_license_on_postgresql(tmp_path: Path, postgres: Cluster) -> None:
    with postgres.empty_database() as url:
        named = url.replace("@/", "@localhost/")  # a setting names a host, even where a socket is what counts
        assert await crash_test(tmp_path, SEED, 40, named) == []
