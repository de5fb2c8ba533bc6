"""Money for a renewal that comes late, for an order that was quoted anew, or for two of one period."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from keysat.checkout.pay_link import pay_token
from keysat.checkout.tables import Order, OrderStatus, PaidHow, Purpose
from keysat.subscriptions.tables import Cycle, Subscription, SubscriptionStatus
from tests.providers.worlds import PlayCard
from tests.stories.conftest import Story, WalletStory
from tests.stories.test_renewals import quoted_anew, until_due
from tests.web.conftest import ADMIN

S = OrderStatus
PAIRS = 12


async def two_orders(story: Story) -> tuple[Order, Order]:
    """For one period: the first has expired, and the buyer's page to pay has opened another."""
    await until_due(story)
    await story.run("renew")
    first = await story.renewal()
    await story.travel(hours=1)
    second = await quoted_anew(story)
    assert second.id != first.id
    return first, second


async def status(story: Story, order: Order) -> OrderStatus:
    return (await story.order_of(order.invoice_id)).status


async def test_late_money_counts_also_for_an_order_that_was_quoted_anew(story: Story) -> None:
    await story.tier("monthly", 2500)
    await story.buy("monthly")
    await until_due(story)
    await story.run("renew")
    await story.travel(hours=2)
    late = await story.renewal()
    assert late.status is S.EXPIRED
    await story.pay(late)
    assert ((await story.subscription()).cycle_number, (await story.renewal()).paid_how) == (2, PaidHow.LATE)

    first, second = await two_orders(story)
    due = (await story.subscription()).paid_through
    await story.pay(first, confirmed=False)
    assert (await status(story, first), await status(story, second)) == (S.EXPIRED, S.AWAITING)
    told = await story.last_event()
    await story.counter.fake.confirm(await story.provider_invoice(first))
    await story.run()
    paid, row = await story.order_of(first.invoice_id), await story.subscription()
    assert (paid.status, paid.paid_how, await status(story, second)) == (S.FULFILLED, PaidHow.LATE, S.EXPIRED)
    assert (row.cycle_number, row.status, row.paid_through > due) == (3, SubscriptionStatus.ACTIVE, True)
    assert [cycle.order_id for cycle in await story.cycles()][-1] == first.id
    assert (await story.events(since=told), await story.counter.attention()) == (["renewed"], [])

    # The newer one is paid for nothing: it is a second payment, which the operator may take for the next period.
    await story.pay(second)
    assert (await status(story, second), (await story.subscription()).cycle_number) == (S.REVIEW, 3)
    assert await story.counter.attention() == ["order_period_paid"]
    await story.admin("POST", f"/orders/{second.id}/settle")
    row = await story.subscription()
    assert (row.cycle_number, row.status) == (4, SubscriptionStatus.ACTIVE)


async def test_an_order_that_was_quoted_anew_waits_for_a_person_where_more_is_in_the_way(story: Story) -> None:
    """Money was seen on the newer one; the period is another by now; it came too late."""
    await story.tier("monthly", 2500)
    await story.buy("monthly")
    first, second = await two_orders(story)
    await story.pay(second, percent=40)
    await story.pay(first)
    assert (await status(story, first), await status(story, second)) == (S.REVIEW, S.AWAITING)
    assert (await story.subscription()).cycle_number == 1
    await story.pay(second, percent=60)
    assert (await story.subscription()).cycle_number == 2
    await story.admin("POST", f"/orders/{first.id}/refuse")
    assert (await status(story, first), (await story.subscription()).cycle_number) == (S.INVALID, 2)

    first, second = await two_orders(story)
    await story.travel(days=8)  # lapsed: the next order pays another stretch of time
    third = await quoted_anew(story)
    await story.pay(first)
    assert [await status(story, order) for order in (first, second, third)] == [S.REVIEW, S.EXPIRED, S.AWAITING]
    await story.pay(third)
    assert (await story.subscription()).cycle_number == 3

    first, second = await two_orders(story)
    await story.travel(days=2)
    await story.pay(first)
    assert (await status(story, first), (await story.subscription()).cycle_number) == (S.REVIEW, 3)
    assert "order_too_late" in await story.counter.attention()


async def test_of_two_orders_that_are_paid_at_once_one_renews_and_the_other_waits_for_a_person(story: Story) -> None:
    await story.tier("monthly", 2500)
    for _ in range(PAIRS):
        await story.admin("POST", "/licenses", product_slug="app", policy_slug="monthly")
    story.counter.clock.move(story.now + timedelta(days=31))
    story.counter.fake.judge_every = 50
    await story.run("renew")
    await story.travel(hours=1)
    async with story.shop.read() as read:
        ids = (await read.session.scalars(select(Subscription.id))).all()
    for subscription_id in ids:
        await story.front.http.post(f"/pay/{pay_token(story.shop.vault, subscription_id)}")
    orders = await story.orders(Purpose.RENEWAL)
    assert len(orders) == 2 * PAIRS
    for order in orders:
        await story.counter.fake.pay(await story.provider_invoice(order))
    await story.run()
    after = await story.orders(Purpose.RENEWAL)
    assert [sum(order.status is one for order in after) for one in (S.FULFILLED, S.REVIEW)] == [PAIRS, PAIRS]
    assert len({order.license_id for order in after if order.status is S.FULFILLED}) == PAIRS
    async with story.shop.read() as read:
        paid = await read.session.scalars(select(Cycle.order_id).where(Cycle.number == 2, Cycle.paid_at.is_not(None)))
        assert set(paid) == {order.id for order in after if order.status is S.FULFILLED}
    assert await story.counter.attention() == ["order_period_paid"] * PAIRS
    assert (await story.events()).count("renewed") == PAIRS


@pytest.mark.once
async def test_money_on_its_way_for_a_license_that_is_revoked_calls_a_person(story: Story) -> None:
    await story.tier("monthly", 2500)
    await story.buy("monthly")
    await until_due(story)
    await story.run("renew")
    order = await story.renewal()
    await story.pay(order, confirmed=False)
    await story.admin("POST", f"/licenses/{(await story.license()).id}/revoke", reason="a chargeback")
    assert (await status(story, order), await story.counter.attention()) == (S.REVIEW, ["order_pays_no_period"])
    await story.counter.fake.confirm(await story.provider_invoice(order))
    await story.run()
    assert (await status(story, order), (await story.subscription()).status) == (S.REVIEW, SubscriptionStatus.CANCELLED)
    accepted = await story.front.http.post(f"/v1/admin/orders/{order.id}/settle", headers=ADMIN)
    assert accepted.status_code == 409
    await story.admin("POST", f"/orders/{order.id}/refuse")
    await story.travel(days=2)
    assert await status(story, order) is S.INVALID


@pytest.mark.once
async def test_what_a_saved_card_was_asked_for_is_not_taken_from_it(cards: WalletStory) -> None:
    """Neither by the end of grace, a moment after the card was asked, nor by an older order that is accepted."""
    story = cards.story
    await story.tier("monthly", 2500, renewal_lead_days=1, grace_period_days=0)
    await cards.subscribe(PlayCard.WORKS)
    row = await story.subscription()

    async def at(moment: datetime) -> Order:
        cards.wallet.clock.at = moment
        story.counter.clock.move(moment)
        await story.run("renew")
        return await story.renewal()

    link = f"/pay/{pay_token(story.shop.vault, row.id)}"
    cards.wallet.clock.at = row.paid_through - timedelta(minutes=2)
    story.counter.clock.move(cards.wallet.clock.at)
    assert (await story.front.http.post(link)).status_code == 303
    older = await story.renewal()
    for act in ("pause", "resume"):
        await story.admin("POST", f"/subscriptions/{row.id}/{act}")
    asked = await at(row.paid_through - timedelta(minutes=1))
    assert (asked.id != older.id, (await story.events())[-1]) == (True, "auto_charge_initiated")
    accepted = await story.front.http.post(f"/v1/admin/orders/{older.id}/settle", headers=ADMIN)
    assert accepted.status_code == 409
    await at(row.paid_through)
    assert (await status(story, asked), (await story.subscription()).status) == (
        S.AWAITING,
        SubscriptionStatus.PAST_DUE,
    )
    await cards.pass_by(seconds=40)
    after = await story.subscription()
    assert (after.status, after.cycle_number) == (SubscriptionStatus.ACTIVE, 2)
    assert (await status(story, asked), await story.counter.attention()) == (S.FULFILLED, [])
