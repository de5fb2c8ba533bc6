"""A subscription's life, verb by verb: what it is, what its license says meanwhile, and what is told."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from keysat.infra.store import Store
from keysat.kit.errors import Conflict
from keysat.kit.states import IllegalStep
from keysat.licenses.issue import revoke
from keysat.licenses.tables import License
from keysat.subscriptions import lifecycle
from keysat.subscriptions.invariants import broken
from keysat.subscriptions.read import SubscriptionFilter, lapsing, list_subscriptions, paid_now, unpaid
from keysat.subscriptions.tables import Subscription, SubscriptionStatus
from tests.catalog.shelf import a_code, a_tier
from tests.checkout.counter import Counter, open_counter
from tests.conftest import NOON, TESTER
from tests.subscriptions.subscriber import DAY, TEAM, Subscriber

S = SubscriptionStatus
LAST = datetime(2027, 1, 31, 9, 30, tzinfo=UTC)


async def sold(counter: Counter, **wish: str) -> Subscription:
    await a_tier(counter.store, "team", **TEAM)
    await counter.pay(await counter.buy("team", **wish))
    async with counter.store.read() as read:
        return (await read.session.scalars(select(Subscription))).one()


async def test_a_sale_anchors_the_calendar_pays_the_first_cycle_and_keeps_the_code(store: Store) -> None:
    async with open_counter(store) as counter:
        counter.clock.move(LAST)
        await a_code(store, "HALF", amount=5000, duration="cycles", duration_cycles=3)
        row = await sold(counter, code="HALF")
        async with store.read() as read:
            [paid] = await paid_now(read, row.id, counter.now)
        async with store.work(counter.now, TESTER) as work:
            await work.session.execute(update(License).values(expires_at=counter.now))
        async with store.read() as read:
            assert await broken(read, NOON) == [f"subscription {row.id}: its license does not end with what is paid"]
        counter.breaks = ("its license does not end",)
    assert (row.anchor_at, row.paid_through) == (LAST, datetime(2027, 2, 28, 9, 30, tzinfo=UTC))  # month ends clamp
    assert (row.cycle_number, row.status, row.listed_value) == (1, S.ACTIVE, 1200)
    assert (row.discount_kind, row.discount_amount, row.discount_until) == ("percent", 5000, 3)
    assert row.next_attempt_at == row.paid_through - 3 * DAY
    assert (paid.worth, paid.starts_at, paid.ends_at) == (600, LAST, row.paid_through)


async def test_paid_in_grace_the_calendar_goes_on_as_if_on_time(subscriber: Subscriber) -> None:
    subscriber.now = LAST
    row = await subscriber.subscribe()
    subscriber.now = row.paid_through - 3 * DAY
    order = await subscriber.open()
    subscriber.now = row.paid_through
    async with subscriber.work() as work:
        assert await unpaid(work, subscriber.now) == [row.id]
        assert await lifecycle.fall_due(work, row.id)
        assert not await lifecycle.fall_due(work, row.id)
        with pytest.raises(IllegalStep):
            await lifecycle.resume(work, row.id)
        assert (await work.get(Subscription, row.id)).lapses_at == row.paid_through + 7 * DAY
    assert await subscriber.state() == "grace"
    subscriber.now += 6 * DAY
    row = await subscriber.pay(order)
    assert (row.status, row.cycle_number, row.consecutive_failures, row.lapses_at) == (S.ACTIVE, 2, 0, None)
    assert row.paid_through == (await subscriber.license()).expires_at == datetime(2027, 3, 31, 9, 30, tzinfo=UTC)
    assert await subscriber.state() == "ok"
    assert await subscriber.told() == ["started", "renewal_pending", "past_due", "renewed"]


async def test_unpaid_at_the_end_of_grace_it_lapses_and_what_is_paid_then_begins_anew(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    old = await subscriber.open()
    subscriber.now = row.paid_through
    async with subscriber.work() as work:
        assert await lifecycle.fall_due(work, row.id)
    subscriber.now += 7 * DAY - timedelta(seconds=1)
    async with subscriber.work() as work:
        assert await lapsing(work, subscriber.now) == []
        assert await lifecycle.lapse(work, row.id) == (False, None)
    subscriber.now += timedelta(seconds=1)
    async with subscriber.work() as work:
        assert await lapsing(work, subscriber.now) == [row.id]
        assert await lifecycle.lapse(work, row.id) == (True, old)
        assert await lifecycle.lapse(work, row.id) == (False, None)
    assert await subscriber.state() == "expired"
    with pytest.raises(Conflict):  # money on the closed order goes to a person (D-44)
        await subscriber.pay(old)
    subscriber.now += 40 * DAY
    new = await subscriber.open()
    subscriber.now += DAY
    row = await subscriber.pay(new)
    assert (row.status, row.anchor_at, row.anchor_cycle, row.cycle_number) == (S.ACTIVE, subscriber.now, 1, 2)
    assert row.paid_through == (await subscriber.license()).expires_at
    assert await subscriber.state() == "ok"
    assert [cycle.starts_at for cycle in await subscriber.cycles()] == [NOON, subscriber.now]
    assert (await subscriber.told())[2:] == ["past_due", "lapsed", "renewal_pending", "renewed"]


async def test_after_our_outage_it_lapses_and_is_then_offered_an_order(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    subscriber.now = row.paid_through + 30 * DAY
    async with subscriber.work() as work:
        assert await lifecycle.fall_due(work, row.id)
        assert await lifecycle.lapse(work, row.id) == (True, None)
    row = await subscriber.row()
    assert (row.status, row.next_attempt_at) == (S.LAPSED, subscriber.now)


async def test_a_longer_grace_holds_although_it_was_given_later(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    subscriber.now = row.paid_through
    async with subscriber.work() as work:
        assert await lifecycle.fall_due(work, row.id)
    await subscriber.seller.change(subscriber.license_id, grace_seconds=10 * 86_400)
    subscriber.now += 8 * DAY
    async with subscriber.work() as work:
        assert await lifecycle.lapse(work, row.id) == (False, None)
    assert (await subscriber.row()).lapses_at == row.paid_through + 10 * DAY


async def test_a_trial_is_paid_for_from_its_end_on(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe(trial_days=14)
    end = NOON + 14 * DAY
    assert (row.cycle_number, row.paid_through, row.next_attempt_at) == (0, end, end - 3 * DAY)
    assert (await subscriber.license()).is_trial
    async with subscriber.store.read() as read:
        assert await paid_now(read, row.id, NOON) == []
    subscriber.now = end - DAY
    row = await subscriber.pay()
    assert (row.cycle_number, row.anchor_at, row.paid_through) == (1, end, datetime(2026, 2, 28, 12, tzinfo=UTC))
    license = await subscriber.license()
    assert (license.is_trial, license.expires_at) == (False, row.paid_through)


async def test_cancelled_at_once_or_at_the_periods_end_the_license_keeps_its_end(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    order = await subscriber.open()
    async with subscriber.work() as work:
        assert await lifecycle.cancel(work, row.id, reason="too dear", at_period_end=True) == order
        assert await lifecycle.cancel(work, row.id, reason=None, at_period_end=True) is None
        assert not await lifecycle.end_period(work, row.id)
        await lifecycle.keep_on(work, row.id)
        with pytest.raises(Conflict):
            await lifecycle.keep_on(work, row.id)
    assert (await subscriber.row()).next_attempt_at == row.paid_through - 3 * DAY
    async with subscriber.work() as work:
        await lifecycle.cancel(work, row.id, reason="too dear", at_period_end=True)
    subscriber.now = row.paid_through
    async with subscriber.work() as work:
        assert await unpaid(work, subscriber.now) == [row.id]
        assert not await lifecycle.fall_due(work, row.id)
        assert await lifecycle.end_period(work, row.id)
    row = await subscriber.row()
    assert (row.status, row.cancellation_reason, row.cancelled_at) == (S.CANCELLED, "too dear", subscriber.now)
    assert await subscriber.state() == "grace"
    with pytest.raises(IllegalStep):
        async with subscriber.work() as work:
            await lifecycle.cancel(work, row.id, reason=None)
    assert (await subscriber.told())[-4:] == ["cancel_scheduled", "cancel_withdrawn", "cancel_scheduled", "cancelled"]
    async with subscriber.store.read() as read:
        found = await list_subscriptions(read, SubscriptionFilter(status=S.CANCELLED), 10)
        assert [item.id for item in found.items] == [row.id]
        assert (await list_subscriptions(read, SubscriptionFilter(status=S.ACTIVE), 10)).items == []


async def test_revoking_cancels_whatever_it_is(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    async with subscriber.work() as work:
        await lifecycle.pause(work, row.id)
        await revoke(work, subscriber.license_id, "refunded")
        await lifecycle.end_for_license(work, subscriber.license_id)
        await lifecycle.end_for_license(work, subscriber.license_id)
    assert (await subscriber.row()).status is S.CANCELLED
    assert (await subscriber.told()).count("cancelled") == 1


async def test_a_pause_within_paid_time_changes_nothing_but_the_grace(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    order = await subscriber.open()
    async with subscriber.work() as work:
        assert await lifecycle.pause(work, row.id) == order
    assert await subscriber.state() == "ok"
    assert await subscriber.state(row.paid_through) == "expired"
    async with subscriber.work() as work:
        assert await lifecycle.resume(work, row.id)
    assert await subscriber.state(row.paid_through) == "grace"
    back = await subscriber.row()
    assert (back.status, back.paused_at, back.next_attempt_at) == (S.ACTIVE, None, row.paid_through - 3 * DAY)


async def test_resumed_when_nothing_is_paid_the_day_that_is_paid_is_the_new_anchor(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    async with subscriber.work() as work:
        await lifecycle.pause(work, row.id)
    subscriber.now = row.paid_through + DAY
    async with subscriber.work() as work:
        assert await unpaid(work, subscriber.now) == []
        assert not await lifecycle.resume(work, row.id)
    assert (await subscriber.row()).next_attempt_at == subscriber.now
    assert await subscriber.state() == "expired"  # the grace stays put aside until it is paid
    subscriber.now += DAY
    row = await subscriber.pay()
    assert (row.status, row.anchor_at) == (S.ACTIVE, subscriber.now)
    assert await subscriber.state(row.paid_through) == "grace"
    with pytest.raises(IllegalStep):
        async with subscriber.work() as work:
            await lifecycle.resume(work, row.id)
