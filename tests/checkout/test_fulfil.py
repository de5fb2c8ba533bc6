"""What a paid order brings: the tier whose price was asked, with all that belongs to it, or nothing yet."""

from typing import Any

import pytest
from sqlalchemy import select, text

from keysat.catalog.read import policy, product_by_slug
from keysat.checkout.operate import Gift, give
from keysat.checkout.tables import OrderStatus
from keysat.licenses.tables import License
from keysat.subscriptions.tables import Subscription
from tests.catalog.shelf import a_tier
from tests.checkout.counter import Counter
from tests.conftest import TESTER

MONTHLY: dict[str, Any] = {"price_value": 1200, "is_recurring": True, "renewal_period_days": 30}


async def sold(counter: Counter) -> tuple[list[License], list[Subscription]]:
    async with counter.store.read() as read:
        licenses = (await read.session.scalars(select(License))).all()
        return list(licenses), list((await read.session.scalars(select(Subscription))).all())


async def rename(counter: Counter, table: str, to: str) -> None:
    async with counter.store.work(counter.now, TESTER) as work:
        await work.session.execute(text(f"ALTER TABLE {table} RENAME TO {to}"))


@pytest.mark.parametrize(("slug", "price"), [("basic", 900), ("default", 9900)])
async def test_without_a_tier_the_one_that_was_priced_is_the_one_that_is_issued(  # W-04
    counter: Counter, slug: str, price: int
) -> None:
    made = await a_tier(counter.store, slug, price_value=price, entitlements=["mine"])
    await a_tier(counter.store, "aaa", price_value=1, public=False, entitlements=["private"])
    order = await counter.buy(None)
    assert (order.policy_id, order.listed_value) == (made.id, price)
    await counter.pay(order)
    [license], _ = await sold(counter)
    assert (license.policy_id, license.entitlements) == (made.id, ["mine"])


async def test_license_and_subscription_come_together_or_not_at_all(counter: Counter) -> None:  # W-29
    await a_tier(counter.store, "club", **MONTHLY)
    order = await counter.buy("club")
    await rename(counter, "subscriptions", "elsewhere")
    await counter.pay(order)
    assert (await counter.order(order.id)).status == OrderStatus.PAID
    assert await counter.licenses() == 0
    assert await counter.attention() == ["order_unfulfilled"]
    await rename(counter, "elsewhere", "subscriptions")
    await counter.travel(minutes=2)
    assert (await counter.order(order.id)).status == OrderStatus.FULFILLED
    [license], [subscription] = await sold(counter)
    assert subscription.license_id == license.id


async def test_a_subscription_that_was_given_away_renews_at_the_list_price(counter: Counter) -> None:  # D-2
    made = await a_tier(counter.store, "club", public=False, **MONTHLY)
    async with counter.store.work(counter.now, TESTER) as work:
        order = await give(work, Gift(await product_by_slug(work, "app"), await policy(work, made.id)))
    _, [subscription] = await sold(counter)
    assert (order.listed_value, order.amount_sats, order.paid_how) == (0, 0, "free")
    assert (subscription.listed_currency, subscription.listed_value) == ("USD", 1200)
