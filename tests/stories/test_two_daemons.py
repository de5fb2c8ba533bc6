"""Two daemons on one database share what is due: each order is opened once. Ten thousand of them: `make bench`."""

import asyncio
from pathlib import Path

from tests.bench.renewals import all_due, faults, with_host, work_off
from tests.postgres import Cluster

COUNT = 150


def test_two_daemons_open_each_order_once(tmp_path: Path, postgres: Cluster) -> None:
    with postgres.empty_database() as url, all_due(tmp_path, COUNT, with_host(url)) as due:
        work_off(due, daemons=2)
        assert asyncio.run(faults(due)) == []
