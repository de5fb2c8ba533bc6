"""What the operator's hand does to an order: once, told, and with the list of open questions kept true."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import select, update

from keysat.catalog.read import choose, policy, product_by_slug
from keysat.checkout.collect import collect
from keysat.checkout.operate import Gift, accept, give, refuse
from keysat.checkout.tables import Order, OrderId, OrderStatus, Purpose
from keysat.infra.attention import attention
from keysat.infra.work import Work
from keysat.kit.errors import Conflict
from keysat.licenses.tables import IssuerKey, IssuerStatus
from keysat.subscriptions.tables import Subscription
from tests.catalog.shelf import a_tier
from tests.checkout.counter import LOOKER, Counter
from tests.conftest import TESTER

S = OrderStatus


async def by_hand(counter: Counter, verb: Callable[[Work, OrderId], Awaitable[Order]], order: Order) -> Order:
    async with counter.store.work(counter.now, TESTER) as work:
        await verb(work, order.id)
    return await counter.order(order.id)


async def open_calls(counter: Counter) -> list[str]:
    async with counter.store.read() as read:
        return [view.kind for view in (await attention(read)).items]


async def paid_without_license(counter: Counter) -> Order:
    order = await counter.buy()
    await issuers(counter, IssuerStatus.VERIFYING)
    await counter.pay(order)
    return await counter.order(order.id)


async def issuers(counter: Counter, status: IssuerStatus) -> None:
    async with counter.store.work(counter.now, TESTER) as work:
        await work.session.execute(update(IssuerKey).values(status=status))


async def test_cash_is_taken_for_paid_once(counter: Counter) -> None:
    order = await by_hand(counter, accept, await counter.buy())
    assert (order.status, order.paid_how) == (S.FULFILLED, "by_operator")
    with pytest.raises(Conflict, match="fulfilled"):
        await by_hand(counter, accept, order)
    assert await counter.licenses() == 1
    assert await counter.events() == ["order.opened", "order.paid", "order.fulfilled"]


async def test_what_is_paid_is_not_paid_again_by_hand(counter: Counter) -> None:
    order = await paid_without_license(counter)
    assert order.status == S.PAID
    with pytest.raises(Conflict, match="paid"):
        await by_hand(counter, accept, order)
    assert (await counter.events()).count("order.paid") == 1
    assert (await counter.order(order.id)).paid_how == "in_time"


async def test_a_retry_fulfils_what_was_paid(counter: Counter) -> None:
    order = await paid_without_license(counter)
    await issuers(counter, IssuerStatus.SIGNING)
    await collect(counter.desk(LOOKER), order.id)
    assert (await counter.order(order.id)).status == S.FULFILLED


async def test_a_decision_answers_what_was_asked_about_the_order(counter: Counter) -> None:
    order = await counter.buy()
    async with counter.store.work(counter.now, TESTER) as work:
        await work.attend("order_review", order.id, "Paid in an odd way.")
        await work.attend("order_review", "another", "Something else.")
    order = await by_hand(counter, refuse, order)
    assert order.status == S.INVALID
    async with counter.store.read() as read:
        assert [view.subject for view in (await attention(read)).items] == ["another"]
    with pytest.raises(Conflict, match="nothing to refuse"):
        await by_hand(counter, refuse, order)
    assert (await by_hand(counter, accept, order)).status == S.FULFILLED


async def test_a_review_that_was_refused_is_not_opened_again_by_the_same_finding(counter: Counter) -> None:
    order = await counter.buy()
    await counter.travel(hours=30)
    await counter.pay(order)
    assert (await counter.order(order.id)).status == S.REVIEW
    await by_hand(counter, refuse, order)
    await counter.travel(days=3)
    assert (await counter.order(order.id)).status == S.INVALID
    assert await open_calls(counter) == []


async def test_a_gift_goes_the_road_of_a_sale(counter: Counter) -> None:
    await a_tier(counter.store, "inner", public=False, is_recurring=True, renewal_period_days=30)
    async with counter.store.work(counter.now, TESTER) as work:
        product = await product_by_slug(work, "app")
        tier = (await choose(work, "app", "pro")).policy
        assert tier is not None
        order = await give(work, Gift(product, tier, email="ann@example.org"))
    assert (order.status, order.purpose, order.amount_sats) == (S.FULFILLED, Purpose.MANUAL, 0)
    assert order.customer_id is not None
    assert await counter.licenses() == 1


async def test_a_recurring_tier_is_given_with_its_calendar(counter: Counter) -> None:
    made = await a_tier(counter.store, "inner", public=False, is_recurring=True, renewal_period_days=30)
    async with counter.store.work(counter.now, TESTER) as work:
        order = await give(work, Gift(await product_by_slug(work, "app"), await policy(work, made.id)))
    async with counter.store.read() as read:
        subscription = (await read.session.scalars(select(Subscription))).one()
    assert subscription.license_id == order.license_id
