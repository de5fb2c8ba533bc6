from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from keysat.infra.store import Store
from tests.licenses.seller import Seller


@pytest.fixture
async def seller(store: Store, database_url: str, database_kind: str, tmp_path: Path) -> AsyncGenerator[Seller, None]:
    seller = Seller(
        store, f"sqlite+aiosqlite:///{tmp_path / 'telemetry.db'}" if database_kind == "sqlite" else database_url
    )
    await seller.open()
    yield seller
    await seller.close()
