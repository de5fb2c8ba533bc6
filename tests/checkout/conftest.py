from collections.abc import AsyncGenerator

import pytest

from keysat.infra.store import Store
from tests.checkout.counter import Counter, open_counter, see_the_doctor


@pytest.fixture
async def counter(store: Store) -> AsyncGenerator[Counter, None]:
    async with open_counter(store) as counter:
        yield counter
        await see_the_doctor(counter)
