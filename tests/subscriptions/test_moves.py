"""A subscription moves to another tier with its whole price tuple, and its license with it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from keysat.kit.errors import BadRequest, Conflict
from keysat.kit.periods import Period, Unit, cycle_end
from keysat.licenses.change import OwnValues, set_own
from keysat.subscriptions import lifecycle
from keysat.subscriptions.moves import change_price
from keysat.subscriptions.read import the_subscription_of
from keysat.subscriptions.tables import SubscriptionStatus
from tests.catalog.shelf import MONTHLY
from tests.conftest import NOON
from tests.subscriptions.subscriber import DAY, MONTH, Subscriber

S = SubscriptionStatus
YEAR = Period(1, Unit.YEAR)
PRO: dict[str, Any] = {**MONTHLY, "entitlements": ["pro"]}
YEARLY: dict[str, Any] = {**PRO, "renewal_period": {"count": 1, "unit": "year"}}


async def test_in_the_same_period_the_calendar_stays_and_the_open_order_is_superseded(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe(max_machines=3)
    key = await subscriber.seller.key(subscriber.license_id)
    for machine in ("a", "b"):
        await subscriber.seller.activate(key, machine)
    async with subscriber.work() as work:
        await set_own(work, subscriber.license_id, OwnValues(grace_seconds=86_400), "asked nicely")
    order = await subscriber.open()
    subscriber.now = NOON + 10 * DAY
    moved = await subscriber.move("pro", 2400, MONTH, worth=1200, max_machines=1, grace_period_days=9, **PRO)
    assert (moved.dropped, moved.changed.released, moved.changed.kept) == (order, 1, {"grace_seconds"})
    after, license = await subscriber.row(), await subscriber.license()
    assert (after.listed_value, after.anchor_at, after.cycle_number, after.paid_through) == (
        2400, NOON, 1, row.paid_through,
    )  # fmt: skip
    assert (license.policy_id, license.entitlements, license.max_machines) == (after.policy_id, ["pro"], 1)
    assert (license.expires_at, license.grace_seconds) == (row.paid_through, 86_400)
    assert (await subscriber.cycles())[0].worth == 2400
    assert (await subscriber.seller.wire(key))["entitlements"] == ["pro"]
    with pytest.raises(Conflict):
        await subscriber.pay(order)
    renewed = await subscriber.pay()
    assert renewed.paid_through == cycle_end(NOON, MONTH, 2, "UTC")


async def test_another_period_begins_anew_and_cuts_the_cycle_that_ran(subscriber: Subscriber) -> None:
    await subscriber.subscribe()
    subscriber.now = NOON + 10 * DAY
    await subscriber.move("year", 10_000, YEAR, is_anew=True, worth=10_000, **YEARLY)
    row = await subscriber.row()
    assert (row.anchor_at, row.anchor_cycle, row.cycle_number) == (subscriber.now, 1, 2)
    assert row.paid_through == datetime(2027, 1, 25, 12, tzinfo=UTC) == (await subscriber.license()).expires_at
    assert [(cycle.starts_at, cycle.ends_at, cycle.worth) for cycle in await subscriber.cycles()] == [
        (NOON, subscriber.now, 1200),
        (subscriber.now, row.paid_through, 10_000),
    ]


async def test_at_the_boundary_another_period_goes_on_from_what_is_paid(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    subscriber.now = row.paid_through
    await subscriber.move("year", 10_000, YEAR, **YEARLY)
    moved = await subscriber.pay()
    assert moved.paid_through == cycle_end(row.paid_through, YEAR, 1, "UTC")
    assert [cycle.worth for cycle in await subscriber.cycles()] == [1200, 1200]


async def test_what_an_upgrade_has_cost_is_paid_for_the_cycles_that_run_by_what_is_left_of_them(
    subscriber: Subscriber,
) -> None:
    row = await subscriber.subscribe()
    await subscriber.pay()  # ahead
    subscriber.now = NOON + (row.paid_through - NOON) / 2
    await subscriber.move("pro", 2400, MONTH, worth=1200, paid=1801, **PRO)
    assert [(cycle.worth, cycle.paid) for cycle in await subscriber.cycles()] == [(2400, 1800), (2400, 2401)]
    subscriber.now += DAY
    await subscriber.move("gift", 7000, MONTH, **PRO)
    assert [cycle.paid for cycle in await subscriber.cycles()] == [1800, 2401]
    await subscriber.move("year", 10_000, YEAR, is_anew=True, worth=10_000, paid=10_000, **YEARLY)
    assert [(cycle.number, cycle.paid) for cycle in await subscriber.cycles()][2:] == [(3, 10_000)]


async def test_to_a_tier_for_good_and_back_to_a_subscription(subscriber: Subscriber) -> None:
    await subscriber.subscribe()
    await subscriber.move("ever", 9000, None, worth=None)
    row, license = await subscriber.row(), await subscriber.license()
    assert (row.status, license.expires_at, license.is_subscribed) == (S.CANCELLED, None, False)
    subscriber.now += 90 * DAY
    await subscriber.move("pro", 2400, MONTH, is_anew=True, worth=2400, **PRO)
    row, license = await subscriber.row(), await subscriber.license()
    assert (row.status, row.anchor_at, row.cancelled_at) == (S.ACTIVE, subscriber.now, None)
    assert (license.expires_at, license.is_subscribed) == (row.paid_through, True)
    assert row.paid_through == cycle_end(subscriber.now, MONTH, 1, "UTC")


async def test_a_license_that_was_for_good_gets_a_subscription(subscriber: Subscriber) -> None:
    license = await subscriber.seller.sell()
    subscriber.license_id = license.id
    await subscriber.move("pro", 2400, MONTH, is_anew=True, worth=2400, **PRO)
    async with subscriber.work() as work:
        row = await the_subscription_of(work, license.id)
    assert (await subscriber.license()).expires_at == row.paid_through
    assert [(cycle.number, cycle.worth) for cycle in await subscriber.cycles()] == [(1, 2400)]


async def test_given_to_one_that_is_paused_its_grace_stays_put_aside(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    async with subscriber.work() as work:
        await lifecycle.pause(work, row.id)
    await subscriber.move("pro", 2400, MONTH, grace_period_days=2, **PRO)
    assert await subscriber.state(row.paid_through) == "expired"
    async with subscriber.work() as work:
        assert await lifecycle.resume(work, row.id)
    assert (await subscriber.license()).grace_seconds == 2 * 86_400


async def test_what_has_lapsed_does_not_come_back_by_a_tier_with_a_longer_grace(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    subscriber.now = row.paid_through + 7 * DAY
    async with subscriber.work() as work:
        assert await lifecycle.fall_due(work, row.id)
        assert (await lifecycle.lapse(work, row.id))[0]
    await subscriber.move("pro", 2400, MONTH, grace_period_days=30, **PRO)
    assert await subscriber.state() == "expired"
    paid = await subscriber.pay(value=2400)
    assert paid.anchor_at == subscriber.now
    assert (await subscriber.license()).grace_seconds == 30 * 86_400


async def test_a_new_price_is_announced_ahead_and_never_touches_an_open_order(subscriber: Subscriber) -> None:
    row = await subscriber.subscribe()
    subscriber.now = row.paid_through - 2 * DAY
    await subscriber.open()
    async with subscriber.work() as work:
        with pytest.raises(BadRequest, match="from cycle 3 on"):
            await change_price(work, row.id, 1500, reason="Costs.", from_cycle=2)
        assert await change_price(work, row.id, 1500, reason="Costs.") == cycle_end(NOON, MONTH, 2, "UTC")
    await subscriber.pay((await subscriber.cycles())[1].order_id)
    assert (await subscriber.row()).listed_value == 1200
    order = await subscriber.open()
    assert [cycle.listed_value for cycle in await subscriber.cycles()] == [1200, 1200, 1500]
    renewed = await subscriber.pay(order, 1500)
    assert renewed.listed_value == 1500
    assert (renewed.next_value, renewed.next_value_from, renewed.next_value_reason) == (None, None, None)
    async with subscriber.work() as work:
        await change_price(work, row.id, 1600, reason="More still.")
    await subscriber.move("pro", 2400, MONTH, **PRO)
    moved = await subscriber.row()
    assert (moved.next_value, moved.next_value_from, moved.next_value_reason) == (None, None, None)
    async with subscriber.work() as work:
        await lifecycle.cancel(work, row.id, reason=None)
        with pytest.raises(Conflict):
            await change_price(work, row.id, 1, reason="Costs.")
