"""What ends or changes a subscription at the very moment in which its renewal is settled."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import select

from keysat.checkout.change.draft import Asker
from keysat.checkout.change.operator import When, by_operator
from keysat.checkout.change.plan import plan
from keysat.checkout.change.quote import Wanted
from keysat.checkout.change.tables import ChangedBy
from keysat.checkout.collect import collect
from keysat.checkout.renew import pay
from keysat.checkout.subscribed import cancel, lapse, pause, revoke
from keysat.checkout.tables import OrderId, Purpose
from keysat.infra.store import Store
from keysat.infra.work import Work
from keysat.kit.errors import KeysatError, Unavailable
from keysat.kit.states import IllegalStep
from keysat.payments.tables import Attempt
from keysat.subscriptions.tables import Subscription
from tests.conftest import TESTER
from tests.postgres import Cluster
from tests.stories.conftest import Story, open_story
from tests.stories.ladder import policy_path, with_ladder

ROUNDS = 20
OPERATOR = Asker(ChangedBy.ADMIN, "a race")


async def test_nothing_deadlocks_with_the_renewal_that_is_settled(postgres: Cluster, tmp_path: Path) -> None:
    """On PostgreSQL, where rows are locked one by one. A deadlock would be an Unavailable; ends with the doctor."""
    with postgres.database() as url:
        store = Store(url)
        try:
            async with open_story(store, tmp_path) as story:
                await race(await with_ladder(story))
        finally:
            await store.close()


async def race(story: Story) -> None:
    await story.admin("PATCH", await policy_path(story, "team"), renewal_lead_days=5)
    for _ in range(ROUNDS):
        await story.admin("POST", "/licenses", product_slug="app", policy_slug="team")
    story.counter.clock.move(story.now + timedelta(days=26))
    await story.run("renew")
    orders = await story.orders(Purpose.RENEWAL)
    assert len(orders) == ROUNDS
    async with story.shop.read() as read:
        rows = {row.license_id: row for row in await read.session.scalars(select(Subscription))}
        invoices = {
            attempt.order_id: attempt.provider_invoice_id for attempt in await read.session.scalars(select(Attempt))
        }
    for order in orders:
        await story.counter.fake.pay(invoices[order.id] or "")
    errands: list[Awaitable[object]] = []
    for number, order in enumerate(orders):
        assert order.license_id is not None
        row = rows[order.license_id]
        rivals = rivals_of(story, row)
        errands += [collect(story.shop.desk(story.now, TESTER), OrderId(order.id))]
        errands += [rivals[number % len(rivals)](), rivals[(number + 1) % len(rivals)]()]
    ends = await asyncio.gather(*errands, return_exceptions=True)
    raised = [end for end in ends if isinstance(end, BaseException)]
    refusals = [end for end in raised if isinstance(end, KeysatError | IllegalStep)]
    assert (len(raised) - len(refusals), [one for one in refusals if isinstance(one, Unavailable)]) == (0, []), raised
    await story.travel(minutes=10)


def rivals_of(story: Story, row: Subscription) -> list[Callable[[], Awaitable[object]]]:
    async def in_work(act: Callable[[Work], Awaitable[object]]) -> None:
        async with story.shop.store.work(story.now, TESTER) as work:
            await act(work)

    desk, license_id, key = story.shop.desk(story.now, TESTER), row.license_id, UUID(str(row.id))
    given = Wanted("plus")
    return [
        lambda: in_work(lambda work: cancel(work, key, reason=None)),
        lambda: by_operator(desk, license_id, given, When.AT_ONCE, "a race"),
        lambda: in_work(lambda work: lapse(work, key)),
        lambda: in_work(lambda work: plan(work, license_id, given, OPERATOR)),
        lambda: in_work(lambda work: pause(work, key)),
        lambda: in_work(lambda work: revoke(work, license_id, "a race")),
        lambda: pay(desk, key),
    ]
