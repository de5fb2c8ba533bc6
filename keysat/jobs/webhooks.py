"""Webhooks out: what is owed is written down and sent; what is done with is forgotten after a while."""

from datetime import datetime

from keysat.upkeep.shop import Shop
from keysat.webhooks.deliver import work_off
from keysat.webhooks.dispatch import DISPATCHER
from keysat.webhooks.forget import forget


async def send_webhooks(shop: Shop, _now: datetime) -> None:
    await work_off(shop.exchange)


async def forget_deliveries(shop: Shop, now: datetime) -> None:
    has_more = True
    while has_more:
        async with shop.store.work(now, DISPATCHER) as work:
            has_more = await forget(work)
