"""A second daemon on the same database."""

from collections.abc import AsyncGenerator

import pytest

from keysat.infra.store import Store
from keysat.kit.ids import SeededChance
from tests.infra.errands import make_table


@pytest.fixture
async def other_store(database_url: str, store: Store) -> AsyncGenerator[Store, None]:
    """A second daemon, started when the first is up (a new SQLite file is switched to WAL by one at a time)."""
    async with store.engine.connect():
        pass
    other = Store(database_url, SeededChance(2))
    yield other
    await other.close()


@pytest.fixture
async def errands(store: Store) -> Store:
    """The store, with the tests' own table of errands in it."""
    await make_table(store)
    return store
