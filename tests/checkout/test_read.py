"""What opens an order: its secret id, and nothing that is told to others."""

import asyncio

import pytest

from keysat.checkout.read import order_by_invoice
from keysat.kit.errors import NotFound
from keysat.kit.licensekey import parse
from keysat.licenses.issuers import rotate
from tests.checkout.counter import Counter
from tests.conftest import TESTER


async def test_neither_support_reference_nor_ids_of_others_open_an_order(counter: Counter) -> None:  # W-07
    order = await counter.buy()
    at_the_provider = await counter.invoice_of(order)
    async with counter.store.read() as read:
        assert (await order_by_invoice(read, order.invoice_id)).id == order.id
        for known in (order.support_reference, str(order.id), at_the_provider, order.invoice_id.upper(), ""):
            with pytest.raises(NotFound):
                await order_by_invoice(read, known)


async def test_many_polls_at_once_show_a_key_that_another_process_issued_under_a_new_issuer_key(
    counter: Counter,
) -> None:
    async with counter.store.work(counter.now, TESTER) as work:
        await rotate(work, counter.vault)  # without a word to this process' ring
    order = await counter.buy()
    await counter.pay(order)
    async with asyncio.timeout(25):  # a read that waits for another read's connection waits 30 s
        polls = await asyncio.gather(*(counter.poll(order) for _ in range(40)))
    assert len({seen.license_key for seen in polls}) == 1
    assert parse(polls[0].license_key or "").payload.license_id == polls[0].license_id
