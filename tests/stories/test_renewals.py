"""Subscriptions that renew, as buyers, the provider and the clock make them: over HTTP and by the job runner."""

from collections.abc import Sequence
from datetime import timedelta


from keysat.checkout.tables import Order, OrderStatus, Purpose
from keysat.subscriptions.tables import Subscription, SubscriptionStatus
from tests.fakes.btcpay import Accident
from tests.stories.conftest import Story

S = SubscriptionStatus
MINUTE = timedelta(minutes=1)


async def until_due(story: Story) -> Subscription:
    """To the very moment at which the next period begins, before any job has seen it."""
    paid_through = (await story.subscription()).paid_through
    story.counter.clock.move(paid_through)
    return await story.subscription()


async def written(story: Story) -> tuple[int, Sequence[Order], Subscription]:
    """All that a pass could have changed."""
    return await story.last_event(), await story.orders(Purpose.RENEWAL), await story.subscription()


def same(one: Subscription, other: Subscription) -> bool:
    columns = Subscription.__table__.columns.keys()
    return all(getattr(one, name) == getattr(other, name) for name in columns)


# The seven of the plan


async def test_renewal_worker_creates_invoice_for_sat_priced_due_sub(story: Story) -> None:
    await story.admin("POST", "/products", slug="sats", name="Sats", price_sats=40_000)
    await story.tier("monthly", 21_000, product="sats")
    await story.buy("monthly", product="sats")
    before = await until_due(story)
    assert before.status is S.ACTIVE
    await story.run("renew")
    after, order = await story.subscription(), await story.renewal()
    assert (after.status, after.next_attempt_at) == (S.PAST_DUE, None)
    assert (order.status, order.amount_sats, order.listed_currency) == (OrderStatus.AWAITING, 21_000, "SAT")
    assert (order.exchange_rate_centibps, order.exchange_rate_source, order.exchange_rate_evidence) == (None,) * 3
    (cycle,) = [cycle for cycle in await story.cycles() if cycle.paid_at is None]
    assert (cycle.number, cycle.order_id, cycle.starts_at) == (2, order.id, before.paid_through)


async def test_renewal_worker_requotes_rate_for_fiat_priced_sub(story: Story) -> None:
    await story.tier("monthly", 2500)
    await story.admin("PUT", "/rates/USD/pin", price="100000")
    await story.buy("monthly")
    await story.admin("PUT", "/rates/USD/pin", price="50000")
    await until_due(story)
    await story.run("renew")
    order = await story.renewal()
    assert (order.amount_sats, order.exchange_rate_centibps, order.exchange_rate_source) == (50_000, 500_000_000, "pin")
    assert (order.listed_value, order.purpose, order.license_id) == (2500, Purpose.RENEWAL, (await story.license()).id)


async def test_renewal_worker_backs_off_on_failure(story: Story) -> None:
    await story.tier("monthly", 2500)
    await story.buy("monthly")
    invoices = len(story.counter.fake.invoices)
    await until_due(story)
    story.counter.fake.fail_next(Accident.LOST_BEFORE, method="POST")
    await story.run("renew")
    row = await story.subscription()
    assert (row.consecutive_failures, row.status) == (1, S.PAST_DUE)
    assert row.next_attempt_at == story.now + 5 * MINUTE
    assert len(story.counter.fake.invoices) == invoices
    assert (await story.validate(await _key(story)))["ok"]
    await story.travel(minutes=5)
    assert ((await story.subscription()).consecutive_failures, len(story.counter.fake.invoices)) == (0, invoices + 1)


async def test_renewal_worker_stops_retrying_at_max_failures(story: Story) -> None:
    await story.tier("monthly", 2500)
    await story.buy("monthly")
    story.counter.fake.fail_next(Accident.LOST_BEFORE, method="POST", times=6)
    await until_due(story)
    await story.travel(hours=9)
    row = await story.subscription()
    assert (row.consecutive_failures, row.next_attempt_at) == (5, None)
    assert row.parked_at is not None
    (call,) = [one for one in (await story.admin("GET", "/attention"))["attention"] if one["kind"] == "subscription_parked"]
    assert call["subject"] == str(row.id)
    before = await written(story)
    for _ in range(3):
        story.counter.clock.move(story.now + timedelta(days=10))
        await story.run("renew")
    after = await written(story)
    assert (before[0], len(before[1])) == (after[0], len(after[1]))
    assert same(before[2], after[2])
    assert len(story.counter.fake.mishaps) == 1
    story.counter.fake.mishaps.clear()
    await story.run("health", "renew")  # the provider answers again
    assert ((await story.subscription()).parked_at, (await story.renewal()).status) == (None, OrderStatus.AWAITING)


async def test_lapse_sweep_flips_past_due_after_grace(story: Story) -> None:
    await story.tier("monthly", 2500, grace_period_days=7)
    await story.buy("monthly")
    key = await _key(story)
    await until_due(story)
    await story.run("renew")
    told = await story.last_event()
    story.counter.clock.move(story.now + timedelta(days=15))
    await story.run("renew")
    assert (await story.subscription()).status is S.LAPSED
    assert await story.events(since=told) == ["lapsed"]
    assert (await story.renewal()).status is OrderStatus.EXPIRED
    verdict = await story.validate(key)
    assert (verdict["ok"], verdict["reason"]) == (False, "expired")
    before = await written(story)
    await story.run("renew")
    after = await written(story)
    assert before[0] == after[0]
    assert same(before[2], after[2])


async def test_settle_webhook_flips_sub_back_to_active(story: Story) -> None:
    await story.tier("monthly", 2500)
    await story.buy("monthly")
    due = (await until_due(story)).paid_through
    story.counter.fake.fail_next(Accident.LOST_BEFORE, method="POST")
    await story.run("renew")
    await story.travel(minutes=5)
    told = await story.last_event()
    await story.pay(await story.renewal())
    row, license = await story.subscription(), await story.license()
    assert (row.status, row.consecutive_failures) == (S.ACTIVE, 0)
    assert await story.events(since=told) == ["renewed"]
    assert row.paid_through > due
    assert license.expires_at == row.paid_through
    assert await story.license_count() == 1
    assert await story.events("license.") == ["issued"]


async def test_tick_is_no_op_when_nothing_due(story: Story) -> None:
    before = await story.last_event()
    await story.run("renew")
    await story.tier("monthly", 2500)
    await story.buy("monthly")
    quiet = await written(story)
    await story.run("renew")
    after = await written(story)
    assert (quiet[0], before < quiet[0]) == (after[0], True)
    assert same(quiet[2], after[2])


async def _key(story: Story) -> str:
    first = (await story.orders(Purpose.PURCHASE))[0]
    return await story.key(first.invoice_id)
