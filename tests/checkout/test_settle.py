"""Settling what costs nothing: where no money came in, a fault leaves nothing behind."""

import pytest
from sqlalchemy import func, select, update

from keysat.checkout.tables import Order, OrderStatus
from keysat.infra.store import Store
from keysat.infra.tables import AttentionRow, EventRow
from keysat.kit.errors import KeysatError
from keysat.licenses.tables import IssuerKey, IssuerStatus
from tests.catalog.shelf import a_tier
from tests.checkout.counter import Counter
from tests.conftest import TESTER


async def break_the_signing(counter: Counter) -> None:
    """No key signs any more, so that no license can be made."""
    async with counter.store.work(counter.now, TESTER) as work:
        await work.session.execute(update(IssuerKey).values(status=IssuerStatus.VERIFYING))


async def counted(store: Store) -> list[int]:
    async with store.read() as read:
        tables = (Order, EventRow, AttentionRow)
        return [await read.session.scalar(select(func.count()).select_from(table)) or 0 for table in tables]


async def test_a_free_order_that_cannot_be_fulfilled_fails_with_the_reason_and_is_not_there(counter: Counter) -> None:
    await a_tier(counter.store, "gratis", price_sats_override=0)
    await break_the_signing(counter)
    before = await counted(counter.store)
    with pytest.raises(KeysatError):
        await counter.buy("gratis")
    assert await counted(counter.store) == before


async def test_a_paid_order_that_cannot_be_fulfilled_stays_paid(counter: Counter) -> None:
    order = await counter.buy()
    await break_the_signing(counter)
    await counter.pay(order)
    assert (await counter.order(order.id)).status == OrderStatus.PAID
    assert await counter.attention() == ["order_unfulfilled"]
