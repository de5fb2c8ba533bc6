"""A database with nothing in it, of the kind that a test is run for. Import the fixture where it is used."""

from collections.abc import Generator
from pathlib import Path

import pytest

from tests.postgres import Cluster


@pytest.fixture
def empty_database_url(
    database_kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Generator[str, None, None]:
    if database_kind == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'keysat.db'}"
    else:
        cluster: Cluster = request.getfixturevalue("postgres")
        with cluster.empty_database() as url:
            yield url
