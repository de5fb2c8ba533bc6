"""Subscriptions that renew, as buyers, the provider and the clock make them: over HTTP and by the job runner."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import select

from keysat.checkout.next_order import is_being_paid
from keysat.checkout.pay_link import pay_token
from keysat.checkout.tables import Order, OrderStatus, Purpose
from keysat.payments.tables import Attempt
from keysat.subscriptions.tables import Subscription, SubscriptionStatus
from tests.fakes.btcpay import Accident
from tests.payments.test_connections import connected, disconnected
from tests.providers.worlds import PlayCard
from tests.stories.conftest import Story, WalletStory
from tests.web.conftest import ADMIN

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
    key = await story.buy("monthly")
    invoices = len(story.counter.fake.invoices)
    await until_due(story)
    story.counter.fake.fail_next(Accident.LOST_BEFORE, method="POST")
    await story.run("renew")
    row = await story.subscription()
    assert (row.consecutive_failures, row.status) == (1, S.PAST_DUE)
    assert row.next_attempt_at == story.now + 5 * MINUTE
    assert len(story.counter.fake.invoices) == invoices
    assert (await story.validate(key))["ok"]
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
    (call,) = [
        one for one in (await story.admin("GET", "/attention"))["attention"] if one["kind"] == "subscription_parked"
    ]
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
    key = await story.buy("monthly")
    await until_due(story)
    await story.run("renew")
    told = await story.last_event()
    story.counter.clock.move(story.now + timedelta(days=15))
    await story.counter.fake.tick()
    await story.run("look", "renew")
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


# Time and price


async def test_years_of_late_payments_do_not_move_the_calendar(story: Story) -> None:
    """The 31st comes back after each shorter month, whether a payment was early, late in grace, or after it."""
    await story.tier("monthly", 2500, renewal_lead_days=3)
    story.counter.clock.move(datetime(2027, 1, 31, 12, tzinfo=UTC))
    key = await story.buy("monthly")
    ends = [(await story.subscription()).paid_through]
    for days_late in (-2, 0, 5):
        await story.travel(days=(ends[-1] - story.now).days + days_late, hours=1)
        assert (await story.orders(Purpose.RENEWAL))[-1].created_at == ends[-1] - timedelta(days=3)
        assert (await story.validate(key))["ok"]
        await pay_the_link(story)
        ends.append((await story.subscription()).paid_through)
    assert [(end.month, end.day) for end in ends] == [(2, 28), (3, 31), (4, 30), (5, 31)]
    assert {cycle.worth for cycle in await story.cycles()} == {2500}
    await story.travel(days=40)
    assert (await story.subscription()).status is S.LAPSED
    await pay_the_link(story)
    row = await story.subscription()
    assert (row.status, row.paid_through.date()) == (S.ACTIVE, date(2027, 7, 13))
    assert (await story.validate(key))["ok"]
    assert (await story.events()).count("renewed") == 4


async def test_a_code_holds_for_as_many_cycles_as_it_says(story: Story) -> None:
    await story.tier("monthly", 2500)
    paid: dict[str, list[int]] = {}
    for duration, more in (("once", {}), ("cycles", {"duration_cycles": 2}), ("forever", {})):
        body = {"code": duration.upper(), "kind": "percent", "amount": 2000, "duration": duration, **more}
        await story.admin("POST", "/discount-codes", **body)
        await story.buy("monthly", code=duration.upper(), takes_trial=False)
        async with story.shop.read() as read:
            newest = await read.session.scalar(select(Subscription).order_by(Subscription.id.desc()).limit(1))
        assert newest is not None
        for _ in range(2):
            async with story.shop.read() as read:
                story.counter.clock.move((await read.get(Subscription, newest.id)).paid_through)
            await story.run("renew")
            for order in await story.orders(Purpose.RENEWAL):
                if order.license_id == newest.license_id and order.status is OrderStatus.AWAITING:
                    await story.pay(order)
        orders = [order for order in await story.orders(Purpose.RENEWAL) if order.license_id == newest.license_id]
        paid[duration] = [order.listed_value for order in orders if order.status is OrderStatus.FULFILLED]
    assert paid == {"once": [2500, 2500], "cycles": [2000, 2500], "forever": [2000, 2000]}
    assert {order.base_value for order in await story.orders(Purpose.RENEWAL)} == {2500}


async def test_a_trial_becomes_a_paid_subscription_or_ends(story: Story) -> None:
    await story.tier("monthly", 2500, trial_days=14, trial_needs="nothing")
    key = await story.buy("monthly")
    ends = (await story.subscription()).paid_through
    assert ends == story.now + timedelta(days=14)
    await until_due(story)
    await story.run()
    assert await story.events() == ["started", "renewal_pending", "past_due"]
    await story.pay(await story.renewal())
    assert ((await story.subscription()).cycle_number, (await story.license()).is_trial) == (1, False)
    assert (await story.validate(key))["ok"]


async def test_a_free_cycle_renews_without_an_invoice(story: Story) -> None:
    await story.tier("monthly", 2500)
    code = {"code": "FREE", "kind": "percent", "amount": 10_000, "duration": "cycles", "duration_cycles": 2}
    await story.admin("POST", "/discount-codes", **code)
    invoices = len(story.counter.fake.invoices)
    await story.buy("monthly", code="FREE")
    await until_due(story)
    await story.run("renew")
    row = await story.subscription()
    assert (row.status, row.cycle_number, (await story.renewal()).status) == (S.ACTIVE, 2, OrderStatus.FULFILLED)
    assert len(story.counter.fake.invoices) == invoices


# Money that comes at the wrong time


async def test_money_that_is_on_its_way_keeps_it_from_lapsing(story: Story) -> None:
    await story.tier("monthly", 2500, grace_period_days=3)
    await story.buy("monthly")
    await until_due(story)
    await story.run("renew")
    order = await story.renewal()
    await story.pay(order, confirmed=False)
    story.counter.clock.move(story.now + timedelta(days=4))
    await story.run("renew")
    assert (await story.subscription()).status is S.PAST_DUE
    await story.counter.fake.confirm(await story.provider_invoice(order))
    await story.run()
    assert (await story.subscription()).status is S.ACTIVE


@pytest.mark.once
@pytest.mark.parametrize("minutes", [-1, 0, 1], ids=["just before", "at", "just after"])
async def test_who_asks_for_the_page_to_pay_around_the_end_of_grace_is_not_overtaken_by_the_lapse(
    story: Story, minutes: int
) -> None:
    await story.tier("monthly", 2500, grace_period_days=3)
    key = await story.buy("monthly")
    over = (await until_due(story)).paid_through + timedelta(days=3)
    await story.run("renew")
    story.counter.clock.move(over + minutes * MINUTE)
    order = await quoted_anew(story)
    for _ in range(2):
        story.counter.clock.move(over + 2 * MINUTE)
        await story.run("renew")
        assert (await story.order_of(order.invoice_id)).status is OrderStatus.AWAITING
        assert (await story.validate(key))["reason"] == "expired"
    await story.pay(order)
    row = await story.subscription()
    assert (row.status, row.cycle_number, row.anchor_at) == (S.ACTIVE, 2, story.now)
    assert ((await story.validate(key))["ok"], await story.counter.attention()) == (True, [])


async def test_an_offer_that_was_open_at_the_end_of_grace_puts_the_lapse_off_until_it_runs_out(story: Story) -> None:
    await story.tier("monthly", 2500, grace_period_days=3)
    await story.buy("monthly")
    over = (await until_due(story)).paid_through + timedelta(days=3)
    await story.run("renew")
    story.counter.clock.move(over - MINUTE)
    order = await quoted_anew(story)
    await story.run("renew")
    story.counter.clock.move(over)
    await story.run("renew")
    assert (await story.subscription()).status is S.PAST_DUE
    story.counter.clock.move(order.expires_at)
    await story.counter.fake.tick()
    await story.run("renew")
    assert (await story.subscription()).status is S.PAST_DUE  # it may have been paid in time
    await story.run("look", "renew")
    assert (await story.subscription()).status is S.LAPSED


async def test_a_period_whose_money_is_on_its_way_is_kept_by_who_cancels_or_pauses(story: Story) -> None:
    await story.tier("monthly", 2500)
    key = await story.buy("monthly")
    for outcome in ("paid", "never came"):
        due = (await until_due(story)).paid_through
        await story.run("renew")
        order = await story.renewal()
        await story.pay(order, confirmed=False)
        row = await story.subscription()
        paused = await story.front.http.post(f"/v1/admin/subscriptions/{row.id}/pause", headers=ADMIN)
        assert (paused.status_code, "on its way" in paused.text) == (409, True)
        cancelled = await story.post("/v1/subscriptions/cancel", license_key=key)
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "past_due")
        await story.run("renew")
        assert ((await story.order_of(order.invoice_id)).status, row.status) == (OrderStatus.PROCESSING, S.PAST_DUE)
        invoice_id = await story.provider_invoice(order)
        if outcome == "paid":
            await story.counter.fake.confirm(invoice_id)
            await story.run()
            row = await story.subscription()
            assert (row.status, row.paid_through > due, row.cancel_at_period_end) == (S.ACTIVE, True, True)
            assert row.next_attempt_at is None
            await story.admin("POST", f"/subscriptions/{row.id}/keep-on")
        else:
            await story.counter.fake.mark(invoice_id, "Invalid")
            await story.run()
            row = await story.subscription()
            assert (row.status, row.paid_through) == (S.CANCELLED, due)
            again = await story.post("/v1/subscriptions/cancel", license_key=key)
            assert again.json()["already"] == "cancelled"


async def test_a_suspended_license_is_not_billed_and_a_revoked_one_never_again(story: Story) -> None:
    await story.tier("monthly", 2500)
    await story.buy("monthly")
    license = await story.license()
    await story.admin("POST", f"/licenses/{license.id}/suspend")
    await until_due(story)
    await story.run("renew")
    story.counter.clock.move(story.now + timedelta(days=1))
    await story.run("renew")
    assert await story.orders(Purpose.RENEWAL) == []
    assert (await story.events()).count("renewal_skipped") == 1
    await story.admin("POST", f"/licenses/{license.id}/unsuspend")
    await story.travel(days=1)
    order = await story.renewal()
    assert order.status is OrderStatus.AWAITING
    await story.admin("POST", f"/licenses/{license.id}/suspend")
    refused = await story.front.http.post(f"/pay/{pay_token(story.shop.vault, (await story.subscription()).id)}")
    assert (refused.status_code, "not billed" in refused.text) == (409, True)
    await story.admin("POST", f"/licenses/{license.id}/revoke")
    assert (await story.subscription()).status is S.CANCELLED
    assert (await story.order_of(order.invoice_id)).status is OrderStatus.EXPIRED
    await story.pay(order)
    assert (await story.order_of(order.invoice_id)).status is OrderStatus.REVIEW


async def test_an_invoice_whose_answer_was_lost_is_found_again(story: Story) -> None:
    """As after a crash between the order and its invoice: the reconciler finds it, and the subscription knows."""
    await story.tier("monthly", 2500)
    await story.buy("monthly")
    await until_due(story)
    story.counter.fake.fail_next(Accident.LOST_AFTER, method="POST")
    story.counter.fake.fail_next(Accident.LOST_BEFORE, method="GET")
    await story.run("renew")
    lost, row = await story.renewal(), await story.subscription()
    assert (lost.status, row.consecutive_failures) == (OrderStatus.DRAFT, 1)
    story.counter.clock.move(story.now + timedelta(seconds=31))
    await story.run("look")
    found, row = await story.renewal(), await story.subscription()
    assert (found.id, found.status) == (lost.id, OrderStatus.AWAITING)
    assert (row.consecutive_failures, row.next_attempt_at) == (0, None)
    await story.pay(found)
    assert (await story.subscription()).cycle_number == 2


async def test_two_daemons_open_each_order_once(story: Story) -> None:
    await story.tier("monthly", 2500)
    for _ in range(30):
        await story.admin("POST", "/licenses", product_slug="app", policy_slug="monthly")
    story.counter.clock.move(story.now + timedelta(days=31))
    story.counter.fake.judge_every = 50
    invoices = len(story.counter.fake.invoices)
    daemons = [Story(story.front, story.shop) for _ in range(2)]
    await asyncio.gather(*(daemon.run("renew") for daemon in daemons))
    orders = await story.orders(Purpose.RENEWAL)
    assert len(orders) == len({order.license_id for order in orders}) == 30
    assert {order.status for order in orders} == {OrderStatus.AWAITING}
    assert len(story.counter.fake.invoices) == invoices + 30


# Cards


@pytest.mark.parametrize("card", [PlayCard.WORKS, PlayCard.SLOW])
async def test_a_saved_card_is_charged_once(cards: WalletStory, card: PlayCard) -> None:
    story = cards.story
    await story.tier("monthly", 2500)
    key = await cards.subscribe(card)
    for number in (2, 3):
        due = (await story.subscription()).paid_through
        await cards.pass_by(seconds=(due - story.now).total_seconds())
        await cards.pass_by(seconds=40)
        row = await story.subscription()
        assert (row.cycle_number, row.status, row.profile_id is not None) == (number, S.ACTIVE, True)
        shown = cards.wallet.wallet.invoice(await cards.invoice_id())
        assert len(shown.payments) == 1
    assert (await story.events()).count("auto_charge_initiated") == 2
    assert (await story.validate(key))["ok"]


@pytest.mark.parametrize("card", [PlayCard.DECLINES, PlayCard.WORKS])
async def test_a_card_that_does_not_pay_leaves_the_link(cards: WalletStory, card: PlayCard) -> None:
    """It is declined; or the answer is lost, and nobody charges twice."""
    story = cards.story
    await story.tier("monthly", 2500)
    await cards.subscribe(card)
    due = (await story.subscription()).paid_through
    story.counter.clock.move(due)
    cards.wallet.clock.at = due
    await story.run("renew")
    told = await story.events()
    assert told.count("auto_charge_initiated") == 1
    assert told.count("auto_charge_failed") == (card is PlayCard.DECLINES)
    async with story.shop.read() as read:
        assert await is_being_paid(read, await story.renewal(), story.now) is (card is PlayCard.WORKS)
    if card is PlayCard.DECLINES:
        assert (await story.subscription()).status is S.PAST_DUE
        await cards.wallet.pay(await cards.invoice_id())
    await cards.pass_by(seconds=40)
    assert (await story.subscription()).cycle_number == 2


async def pay_the_link(story: Story) -> None:
    await story.pay(await quoted_anew(story))


async def quoted_anew(story: Story) -> Order:
    """What the button of the buyer's page to pay leads to, however often it is pressed."""
    link = f"/pay/{pay_token(story.shop.vault, (await story.subscription()).id)}"
    first, again = [await story.front.pay(link) for _ in range(2)]
    assert (first.status_code, again.headers["location"]) == (303, first.headers["location"]), first.text
    async with story.shop.read() as read:
        query = select(Order).join(Attempt, Attempt.order_id == Order.id)
        return (await read.session.scalars(query.where(Attempt.checkout_url == first.headers["location"]))).one()


# What keeps an order from being opened, and is mended


async def test_without_a_rate_it_is_parked_and_opened_when_one_is_known_again(story: Story) -> None:
    await story.tier("monthly", 2500)
    await story.buy("monthly")
    await until_due(story)
    await story.admin("DELETE", "/rates/USD/pin")
    await story.travel(hours=9)
    row = await story.subscription()
    assert (row.parked_reason, row.next_attempt_at, await story.orders(Purpose.RENEWAL)) == ("no_rate", None, [])
    await story.run("health", "renew")  # a provider that is well mends no rate
    assert (await story.subscription()).parked_at == row.parked_at
    await story.admin("PUT", "/rates/USD/pin", price="50000")
    await story.run("renew")
    row = await story.subscription()
    assert (row.parked_at, row.parked_reason, (await story.renewal()).status) == (None, None, OrderStatus.AWAITING)


async def test_without_a_connection_it_is_parked_and_opened_when_there_is_one(story: Story) -> None:
    await story.tier("monthly", 2500)
    await story.buy("monthly")
    await until_due(story)
    await disconnected(story.counter)
    await story.travel(hours=9)
    row = await story.subscription()
    assert (row.parked_reason, await story.orders(Purpose.RENEWAL)) == ("no_provider", [])
    await connected(story.counter)
    await story.counter.tills.refresh()
    await story.run("health", "renew")
    row = await story.subscription()
    assert (row.parked_at, row.parked_reason, (await story.renewal()).status) == (None, None, OrderStatus.AWAITING)
