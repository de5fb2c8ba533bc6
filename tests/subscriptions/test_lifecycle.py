"""A subscription begins with its license, in one transaction, and the two never disagree about the end."""

from datetime import UTC, datetime

from sqlalchemy import select, update

from keysat.infra.store import Store
from keysat.licenses.tables import License
from keysat.subscriptions.invariants import broken
from keysat.subscriptions.tables import Subscription, SubscriptionStatus
from tests.catalog.shelf import a_tier
from tests.checkout.counter import Counter, open_counter
from tests.conftest import TESTER


async def sold(counter: Counter) -> Subscription:
    await a_tier(
        counter.store, "team", price_sats_override=1200, is_recurring=True,
        renewal_period={"count": 1, "unit": "month"},
    )  # fmt: skip
    await counter.pay(await counter.buy("team"))
    async with counter.store.read() as read:
        return (await read.session.scalars(select(Subscription))).one()


async def test_the_calendar_is_anchored_on_the_sale_and_the_first_cycle_is_paid(store: Store) -> None:
    async with open_counter(store) as counter:
        counter.clock.move(datetime(2027, 1, 31, 9, 30, tzinfo=UTC))
        subscription = await sold(counter)
    assert subscription.anchor_at == datetime(2027, 1, 31, 9, 30, tzinfo=UTC)
    assert subscription.paid_through == datetime(2027, 2, 28, 9, 30, tzinfo=UTC)  # month ends clamp
    assert (subscription.cycle_number, subscription.status) == (1, SubscriptionStatus.ACTIVE)
    assert (subscription.period_count, subscription.period_unit) == (1, "month")


async def test_a_license_that_drifts_from_its_subscription_is_found(store: Store) -> None:
    async with open_counter(store) as counter:
        subscription = await sold(counter)
        async with store.read() as read:
            assert await broken(read) == []
        async with store.work(counter.now, TESTER) as work:
            await work.session.execute(update(License).values(expires_at=counter.now))
        async with store.read() as read:
            [line] = await broken(read)
    assert str(subscription.id) in line
