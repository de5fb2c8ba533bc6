from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from keysat.infra.store import Store
from tests.catalog.shelf import MONTHLY, a_tier
from tests.web.conftest import ADMIN
from tests.web.selling import Front, open_front


@pytest.fixture
async def front(store: Store, tmp_path: Path) -> AsyncGenerator[Front, None]:
    """A program before the doors."""
    async with open_front(store, tmp_path) as front:
        front.http.headers["Accept"] = "application/json"
        yield front


@pytest.fixture
def as_operator(front: Front) -> None:
    """The program is the operator's."""
    front.http.headers.update(ADMIN)


@pytest.fixture
async def team(front: Front) -> None:
    """A tier by the month."""
    await a_tier(front.shop.store, "team", price_sats_override=1200, **MONTHLY)
