"""A daemon that dies at any statement of a renewal or a change of tier leaves nothing half-done.

One shop has two daemons on one database. The first is killed at its k-th statement, for every k, each time at the
errand of another subscription; the second one then does the rest by its jobs alone.
"""

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import event, func, select

from keysat.checkout.change.tables import ChangeStatus, TierChange
from keysat.checkout.collect import collect
from keysat.checkout.desk import Desk
from keysat.checkout.operate import gift, give
from keysat.checkout.renew import work_off
from keysat.checkout.tables import Order, OrderId, OrderStatus, Purpose
from keysat.infra.store import Store
from keysat.infra.tables import AttentionRow, EventRow
from keysat.kit.ids import SeededChance
from keysat.licenses.tables import License
from keysat.payments.tables import Attempt
from keysat.subscriptions.tables import Cycle, Subscription, SubscriptionStatus
from tests.conftest import TESTER
from tests.providers.worlds import PlayCard
from tests.stories.conftest import Story, WalletStory

MANY = 63
"""More subscriptions than any of the errands has statements."""

SAMPLED = 14
"""On PostgreSQL only each so-many-th statement is the last."""

MINUTE = timedelta(minutes=1)

Act = Callable[[Desk, UUID], Awaitable[None]]


class Killed(BaseException):
    """Not an Exception: nothing of the program may catch it and go on."""


class Doomed:
    """A daemon's store that dies before its k-th statement or commit, and is dead from then on."""

    def __init__(self, story: Story) -> None:
        self._url = story.shop.store.url.render_as_string(hide_password=False)
        self._story = story
        self.statements = 0

    async def runs(self, act: Act, subject: UUID, last: int) -> bool:
        """True: it was killed. False: it was through before."""
        store = Store(self._url, SeededChance(last + 1000))
        self.statements = 0

        def count(*_: object) -> None:
            self.statements += 1
            if self.statements > last:
                raise Killed

        engine = store.engine.sync_engine
        event.listen(engine, "before_cursor_execute", count)
        event.listen(engine, "commit", count)
        try:
            await act(replace(self._story.shop.desk(self._story.now, TESTER), store=store), subject)
        except Killed:
            return True
        finally:
            await store.close()
        return False


@dataclass
class Shop:
    story: Story
    step: int = 1

    async def subscribe(self, count: int) -> None:
        """So many at once, given for nothing; they renew at the list price."""
        async with self.story.shop.work(TESTER) as work:
            present = await gift(work, "app", "monthly")
            for _ in range(count):
                await give(work, present)

    async def kill_at_each(self, act: Act, subjects: Sequence[UUID]) -> None:
        """The first subject's errand dies before its first statement, and so on until one is through."""
        doomed = Doomed(self.story)
        for number, subject in enumerate(subjects):
            if not await doomed.runs(act, subject, number * self.step):
                assert number * self.step > 10, "so few statements do nothing"
                return
        raise AssertionError(f"more than {len(subjects) * self.step} statements")

    async def all(self, column: Any, *where: Any) -> list[Any]:
        async with self.story.shop.read() as read:
            return list(await read.session.scalars(select(column).where(*where).order_by(column)))

    async def survive(self) -> None:
        """The other daemon's jobs, until every lease and every doubt about a draft is over."""
        for _ in range(2):
            self.story.counter.clock.move(self.story.now + 6 * MINUTE)
            await self.story.run("look", "renew")

    async def values(self, column: Any, *where: Any) -> set[Any]:
        return set(await self.all(column, *where))

    async def told(self, name: str, since: int, key: str = "subscription_id") -> Counter[str]:
        """How often of each."""
        bodies = await self.all(EventRow.body, EventRow.name == name, EventRow.id > since)
        return Counter(json.loads(body)[key] for body in bodies)

    async def each_once(self, name: str, since: int, ids: Sequence[UUID], key: str = "subscription_id") -> None:
        assert await self.told(name, since, key) == Counter(str(one) for one in ids), name

    async def pay_all(self, purpose: Purpose) -> list[OrderId]:
        """Whoever can pay does, and no webhook comes. The orders."""
        orders = await self.all(Order.id, Order.status == OrderStatus.AWAITING, Order.purpose == purpose)
        invoices = await self.all(Attempt.provider_invoice_id, Attempt.order_id.in_(orders))
        self.story.counter.deaf = True
        for invoice_id in invoices:
            await self.story.counter.fake.pay(invoice_id)
        assert len(invoices) == len(orders)
        return orders


async def _settle(desk: Desk, order_id: UUID) -> None:
    await collect(desk, OrderId(order_id))


async def test_killed_at_any_statement_nothing_is_half_done(story: Story, database_kind: str) -> None:
    shop = Shop(story, 1 if database_kind == "sqlite" else SAMPLED)
    await story.tier("monthly", 2500, tier_rank=1)
    await story.tier("club", 4000, tier_rank=2)
    many = MANY // shop.step + 1
    await shop.subscribe(many)
    ids = await shop.all(Subscription.id)

    # The errand that opens the order of a renewal
    since, end = await story.last_event(), (await shop.all(Subscription.paid_through))[0]
    story.counter.clock.move(end)
    await shop.kill_at_each(work_off, ids)
    await shop.survive()
    await shop.each_once("subscription.renewal_pending", since, ids)
    await shop.each_once("subscription.past_due", since, ids)
    assert await shop.all(func.count(Cycle.number), Cycle.paid_at.is_(None)) == [many]

    # Settling it
    orders = await shop.pay_all(Purpose.RENEWAL)
    assert len(orders) == many
    await shop.kill_at_each(_settle, orders)
    await shop.survive()
    await shop.each_once("subscription.renewed", since, ids)
    assert await shop.values(Subscription.cycle_number) == {2}
    assert await shop.values(License.expires_at) == await shop.values(Subscription.paid_through)

    # Settling a change of tier
    story.counter.deaf = False
    for license_id in await shop.all(License.id):
        await story.admin("POST", f"/licenses/{license_id}/change-tier", to_policy_slug="club", when="by_invoice")
    changes = await shop.pay_all(Purpose.TIER_CHANGE)
    assert len(changes) == many
    await shop.kill_at_each(_settle, changes)
    await shop.survive()
    licenses = await shop.all(License.id)
    await shop.each_once("license.tier_changed", since, licenses, "license_id")
    assert await shop.values(Subscription.listed_value) == {4000}
    assert await shop.values(Cycle.worth, Cycle.number == 2) == {4000}

    # One that was planned, and the renewal that comes with it
    since = await story.last_event()
    for license_id in licenses:
        await story.admin("POST", f"/licenses/{license_id}/change-tier", to_policy_slug="monthly", when="at_renewal")
    story.counter.clock.move((await shop.all(Subscription.paid_through))[0])
    await shop.kill_at_each(work_off, ids)
    await shop.survive()
    await shop.each_once("license.tier_changed", since, licenses, "license_id")
    await shop.each_once("subscription.renewal_pending", since, ids)
    assert await shop.values(Cycle.listed_value, Cycle.paid_at.is_(None)) == {2500}
    assert await shop.values(TierChange.status) == {ChangeStatus.APPLIED}

    # The end of grace, and nobody has paid
    story.counter.clock.move((await shop.all(Subscription.lapses_at))[0])
    await story.counter.fake.tick()
    await story.run("look")
    await shop.kill_at_each(work_off, ids)
    await story.run()
    await shop.each_once("subscription.lapsed", since, ids)
    assert await shop.values(Subscription.status) == {SubscriptionStatus.LAPSED}
    assert await shop.all(Cycle.number, Cycle.paid_at.is_(None)) == []

    # Nobody was called, nothing was paid twice, and each order that counts is one
    assert await shop.values(AttentionRow.kind) == set()
    sold = await shop.all(Order.id, Order.status == OrderStatus.FULFILLED, Order.listed_value > 0)
    assert len(sold) == 2 * many
    assert await shop.all(Order.id, Order.status.in_((OrderStatus.PAID, OrderStatus.PROCESSING))) == []


async def test_killed_at_any_statement_a_saved_card_is_charged_once(cards: WalletStory, database_kind: str) -> None:
    shop = Shop(cards.story, 5 if database_kind == "sqlite" else 20)
    await cards.story.tier("monthly", 2500)
    for _ in range(100 // shop.step):
        await cards.subscribe(PlayCard.WORKS)
    ids, since = await shop.all(Subscription.id), await cards.story.last_event()

    end = (await shop.all(Subscription.paid_through))[-1]
    cards.wallet.clock.at = end
    cards.story.counter.clock.move(end)
    await shop.kill_at_each(work_off, ids)
    for _ in range(4):
        await cards.pass_by(minutes=3)
    assert await shop.values(Subscription.cycle_number) == {2}
    await shop.each_once("subscription.auto_charge_initiated", since, ids)
    for invoice_id in await shop.all(Attempt.provider_invoice_id, Attempt.provider_invoice_id.is_not(None)):
        assert len(cards.wallet.wallet.invoice(invoice_id).payments) == 1
