"""Webhooks out, from a sale to a receiver, by the jobs of the house alone."""

import asyncio
from dataclasses import replace

import pytest

from keysat.infra.public_http import LOOPBACK
from keysat.jobs.runner import Runner
from keysat.jobs.schedule import jobs
from keysat.upkeep.shop import Shop
from keysat.webhooks.endpoints import NewEndpoint, create
from tests.checkout.counter import Counter
from tests.conftest import TESTER
from tests.webhooks.receiver import receiving

pytestmark = pytest.mark.once


async def test_a_sale_is_told_while_it_happens(shop: Shop, counter: Counter) -> None:
    order = await counter.buy()
    here = replace(shop, settings=replace(shop.settings, webhook_networks=LOOPBACK))
    names = {"seal", "look", "webhooks", "webhooks-forget"}
    async with receiving() as receiver:
        async with here.work(TESTER) as work:
            await create(work, here.vault, NewEndpoint(url=receiver.url, event_types=["order.*", "license.issued"]))
        runner = Runner(here, [job for job in jobs() if job.name in names])
        async with runner.running():
            await counter.fake.pay(await counter.invoice_of(order))
            async with asyncio.timeout(60):
                await receiver.has_taken(3)
            await asyncio.sleep(0.1)  # the last one is written down
        assert {one.error for one in runner.health()} == {None}
    told = {one.event_type: one.json["data"] for one in receiver.taken}
    assert told.keys() >= {"order.paid", "order.fulfilled", "license.issued"}
    assert told["order.paid"]["order_id"] == str(order.id)
    assert told["order.paid"]["product_id"] == told["license.issued"]["product_id"] == str(order.product_id)
    assert "buyer_email" not in repr(told)
