from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from keysat.infra.store import Store
from tests.web.selling import Front, open_front


@pytest.fixture
async def front(store: Store, tmp_path: Path) -> AsyncGenerator[Front, None]:
    async with open_front(store, tmp_path) as front:
        yield front
