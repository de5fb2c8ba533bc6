"""Who stands at the checkout while time moves on: no job takes from him what he was shown, and has paid in time."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from keysat.checkout.pay_link import pay_token
from keysat.checkout.tables import Order, OrderStatus, Purpose
from keysat.subscriptions.tables import Subscription, SubscriptionStatus
from tests.providers.worlds import PlayCard
from tests.stories.conftest import Story, WalletStory
from tests.stories.ladder import UPGRADE, ask, policy_path, tier_of, with_ladder
from tests.stories.test_renewals import quoted_anew, until_due

S = SubscriptionStatus
MINUTE = timedelta(minutes=1)


async def at(story: Story, moment_minutes: float, *jobs: str) -> None:
    """So many minutes from the end of what is paid; then the jobs, in that order."""
    story.counter.clock.move((await story.subscription()).paid_through + moment_minutes * MINUTE)
    await story.counter.fake.tick()
    if jobs:
        await story.run(*jobs)


async def status(story: Story, order: Order) -> OrderStatus:
    return (await story.order_of(order.invoice_id)).status


async def test_what_was_paid_in_time_while_the_daemon_slept_renews_whichever_job_wakes_first(story: Story) -> None:
    """Everything is due at once: it falls due, grace is over, and nobody has looked at the order yet."""
    await story.tier("monthly", 2500, renewal_lead_days=3)
    key = await story.buy("monthly")
    await at(story, -3 * 24 * 60, "renew")
    order = await story.renewal()
    story.counter.deaf = True
    await story.counter.fake.pay(await story.provider_invoice(order))
    await at(story, 10 * 24 * 60, "renew")
    assert ((await story.subscription()).status, await status(story, order)) == (S.PAST_DUE, OrderStatus.AWAITING)
    await story.run("look", "renew")
    row = await story.subscription()
    assert (row.status, row.cycle_number, row.anchor_at) == (S.ACTIVE, 2, story.now)
    assert ((await story.validate(key))["ok"], await story.counter.attention()) == (True, [])


async def test_late_money_that_is_seen_is_not_asked_for_again_nor_overtaken_by_time(story: Story) -> None:
    await story.tier("monthly", 2500, grace_period_days=1)
    await story.buy("monthly")
    await until_due(story)
    await story.run("renew")
    over = 24 * 60
    await at(story, over - 60)
    order = await quoted_anew(story)
    await at(story, over - 30, "look")
    assert await status(story, order) is OrderStatus.EXPIRED
    await story.pay(order, confirmed=False)
    row, orders = await story.subscription(), len(await story.orders(Purpose.RENEWAL))
    link = f"/pay/{pay_token(story.shop.vault, row.id)}"
    for minutes in (over - 20, over + 1):
        await at(story, minutes, "renew")
        assert (await story.front.http.post(link)).status_code == 200
        assert ((await story.subscription()).status, len(await story.orders(Purpose.RENEWAL))) == (S.PAST_DUE, orders)
    paused = story.admin("POST", f"/subscriptions/{row.id}/pause")
    with pytest.raises(AssertionError, match="on its way"):
        await paused
    await story.counter.fake.confirm(await story.provider_invoice(order))
    await story.run()
    assert ((await story.subscription()).status, await status(story, order)) == (S.ACTIVE, OrderStatus.FULFILLED)
    assert await story.counter.attention() == []


@pytest.mark.parametrize(
    ("target", "grace_days", "ends"),
    [("team", 7, False), ("team", 0, False), ("max", 0, True)],
    ids=["falls due", "would lapse", "was to end"],
)
async def test_an_upgrade_that_is_paid_in_its_time_holds_whatever_time_has_done(
    story: Story, target: str, grace_days: int, ends: bool
) -> None:
    """Paid by the second of its quote, or seen then and confirmed later: no renewal comes between."""
    await with_ladder(story)
    await story.admin("PATCH", await policy_path(story, "plus"), grace_period_days=grace_days)
    await story.admin("PATCH", await policy_path(story, "team"), grace_period_days=grace_days)
    key = await story.buy("plus")
    if ends:
        await story.admin("PATCH", await policy_path(story, "max"), tier_rank=9)
        await story.post("/v1/subscriptions/cancel", license_key=key, at_period_end=True)
    await at(story, -5)
    order = await story.order_of((await ask(story, UPGRADE, key, target))["invoice_id"])
    await at(story, 0, "renew", "look", "renew")
    assert ((await story.subscription()).status, await story.orders(Purpose.RENEWAL)) == (
        S.ACTIVE if ends else S.PAST_DUE,
        [],
    )
    await story.pay(order, confirmed=False)
    await at(story, 30, "renew", "look")
    assert (await status(story, order), await story.orders(Purpose.RENEWAL)) == (OrderStatus.PROCESSING, [])
    await story.counter.fake.confirm(await story.provider_invoice(order))
    await story.run("renew", "look", "renew")
    assert (await status(story, order), await story.counter.attention()) == (OrderStatus.FULFILLED, [])
    if ends:
        assert ((await story.validate(key))["ok"], (await story.subscription()).status) == (True, S.CANCELLED)
        return
    await at(story, 33, "renew")  # a lease of the job has run out
    assert (await story.renewal()).listed_value == 7500
    await story.pay(await story.renewal())
    assert (await tier_of(story, key), (await story.subscription()).cycle_number) == (["sync"], 2)


@pytest.mark.once
async def test_no_card_is_asked_for_the_old_price_while_its_owner_pays_an_upgrade(cards: WalletStory) -> None:
    story = cards.story
    await story.tier("monthly", 2500, renewal_lead_days=1, tier_rank=7)
    await story.tier("better", 7500, tier_rank=8)
    key = await cards.subscribe(PlayCard.WORKS)
    due = (await story.subscription()).paid_through - timedelta(days=1)
    await cards.pass_by(seconds=(due - story.now).total_seconds() - 60)
    order = await story.order_of((await ask(story, UPGRADE, key, "better"))["invoice_id"])
    await cards.pass_by(minutes=2)
    assert await story.orders(Purpose.RENEWAL) == []
    await cards.wallet.pay(await cards.invoice_id())
    for _ in range(3):
        await cards.pass_by(seconds=40)
    assert (await status(story, order), (await story.events()).count("auto_charge_initiated")) == ("fulfilled", 0)
    await cards.pass_by(days=1)
    await cards.pass_by(seconds=40)
    [renewal] = await story.orders(Purpose.RENEWAL)
    assert (renewal.listed_value, renewal.status) == (7500, OrderStatus.FULFILLED)


@pytest.mark.once
async def test_an_upgrade_that_was_paid_unseen_is_found_before_another_is_opened(story: Story) -> None:
    await with_ladder(story)
    key = await story.buy("standard")
    order = await story.order_of((await ask(story, UPGRADE, key, "pro"))["invoice_id"])
    story.counter.deaf = True
    await story.counter.fake.pay(await story.provider_invoice(order))
    story.counter.clock.move(order.expires_at + MINUTE)
    answer = await story.post(UPGRADE, license_key=key, target_policy_slug="pro")
    assert (answer.status_code, "has the tier pro already" in answer.text) == (400, True)
    assert (await status(story, order), len(await story.orders(Purpose.TIER_CHANGE))) == (OrderStatus.FULFILLED, 1)


@pytest.mark.once
async def test_who_takes_his_cancelling_back_in_the_minute_before_the_pass_goes_on(story: Story) -> None:
    await story.tier("monthly", 2500)
    key = await story.buy("monthly")
    row = await story.subscription()
    await story.post("/v1/subscriptions/cancel", license_key=key, at_period_end=True)
    await at(story, 0.5)
    await story.admin("POST", f"/subscriptions/{row.id}/keep-on")
    await story.run("renew")
    assert ((await story.subscription()).status, (await story.validate(key))["ok"]) == (S.PAST_DUE, True)
    await story.pay(await story.renewal())
    after = await story.subscription()
    assert (after.status, after.cycle_number, after.anchor_at) == (S.ACTIVE, 2, row.anchor_at)


@pytest.mark.once
async def test_those_whose_lapse_is_put_off_keep_nobody_waiting(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keysat.jobs.renew.LISTED_AT_ONCE", 1)
    await story.tier("monthly", 2500, grace_period_days=1)
    await story.buy("monthly")
    first = await story.subscription()
    story.counter.clock.move(story.now + MINUTE)
    await story.admin("POST", "/licenses", product_slug="app", policy_slug="monthly")
    over = first.paid_through + timedelta(days=1)
    for moment in (first.paid_through + MINUTE, over - MINUTE):
        story.counter.clock.move(moment)
        await story.counter.fake.tick()
        await story.run("renew", "look")
    await story.front.http.post(f"/pay/{pay_token(story.shop.vault, first.id)}")
    story.counter.clock.move(over + 2 * MINUTE)
    await story.run("renew")
    async with story.shop.read() as read:
        rows = await read.session.scalars(select(Subscription).order_by(Subscription.id))
        assert [row.status for row in rows] == [S.PAST_DUE, S.LAPSED]
