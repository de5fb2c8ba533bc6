from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from keysat.infra.store import Store
from tests.licenses.seller import Seller
from tests.subscriptions.subscriber import Subscriber


@pytest.fixture
async def subscriber(store: Store, tmp_path: Path) -> AsyncGenerator[Subscriber, None]:
    """Every story ends with the doctor."""
    seller = Seller(store, f"sqlite+aiosqlite:///{tmp_path / 'telemetry.db'}")
    await seller.open()
    subscriber = Subscriber(seller)
    yield subscriber
    assert await subscriber.broken() == []
    assert await seller.broken() == []
    await seller.close()
