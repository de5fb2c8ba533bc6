"""A subscriber before the doors: `team` is $12.00 a month with 7 days of grace, `max` above it $30.00."""

import re
from html import unescape

import httpx

from keysat.checkout.pay_link import pay_token
from keysat.checkout.tables import Order
from keysat.subscriptions.read import subscription_of
from keysat.subscriptions.tables import Subscription
from tests.catalog.shelf import MONTHLY, a_tier
from tests.web.selling import FORM, Front


async def subscribed(front: Front) -> tuple[Order, str]:
    """The paid order, and its key."""
    await a_tier(front.shop.store, "team", price_value=1200, max_machines=3, tier_rank=1, **MONTHLY)
    await a_tier(front.shop.store, "max", price_value=3000, max_machines=9, tier_rank=2, **MONTHLY)
    return await paid(front, await front.bought("team"))


async def paid(front: Front, order: Order) -> tuple[Order, str]:
    await front.counter.pay(order)
    key = await front.counter.key(order)
    return await front.counter.order(order.id), key


async def shown(front: Front, key: str, **fields: str) -> httpx.Response:
    """The license's page, with a button pressed."""
    return await front.http.post("/license", data={"license_key": key, **fields}, headers=FORM)


def plain(answer: httpx.Response) -> str:
    """As it is read."""
    words = " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())
    return re.sub(r" ([.,;:)])", r"\1", words)


async def subscription(front: Front, order: Order) -> Subscription:
    async with front.shop.read() as read:
        assert order.license_id is not None
        found = await subscription_of(read, order.license_id)
    assert found is not None
    return found


async def pay_link(front: Front, order: Order) -> str:
    return f"/pay/{pay_token(front.shop.vault, (await subscription(front, order)).id)}"
