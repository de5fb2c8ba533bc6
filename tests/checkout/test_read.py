"""What opens an order: its secret id, and nothing that is told to others."""

import pytest

from keysat.checkout.read import order_by_invoice
from keysat.kit.errors import NotFound
from tests.checkout.counter import Counter


async def test_neither_support_reference_nor_ids_of_others_open_an_order(counter: Counter) -> None:  # W-07
    order = await counter.buy()
    at_the_provider = await counter.invoice_of(order)
    async with counter.store.read() as read:
        assert (await order_by_invoice(read, order.invoice_id)).id == order.id
        for known in (order.support_reference, str(order.id), at_the_provider, order.invoice_id.upper(), ""):
            with pytest.raises(NotFound):
                await order_by_invoice(read, known)
