"""Changes of tier by the operator, and those that wait for the renewal: over HTTP and by the job runner."""

from datetime import timedelta

import pytest

from keysat.checkout.pay_link import pay_token
from keysat.checkout.tables import OrderStatus, Purpose
from tests.fakes.btcpay import Accident
from tests.stories.conftest import Story
from tests.stories.ladder import UPGRADE, ask, by_operator, policy_path, statuses, tier_of, upgraded, with_ladder
from tests.web.conftest import ADMIN


@pytest.fixture
async def ladder(story: Story) -> Story:
    return await with_ladder(story)


async def test_the_operator_gives_a_tier_at_once(ladder: Story) -> None:
    key = await ladder.buy("standard")
    given = await by_operator(ladder, "pro", skip_payment=True, reason="For the bug report.")
    assert (given["applied"], given["skip_payment"], given["invoice_id"]) == (True, True, "")
    assert await tier_of(ladder, key) == ["export"]
    [order] = await ladder.orders(Purpose.TIER_CHANGE)
    assert (order.listed_value, order.status, order.license_id) == (0, "fulfilled", (await ladder.license()).id)
    back = await by_operator(ladder, "standard", when="at_once")
    assert (back["direction"], await tier_of(ladder, key)) == ("downgrade", [])
    given = await by_operator(ladder, "plus", when="at_once")
    row = await ladder.subscription()
    assert (row.listed_value, row.paid_through) == (2500, ladder.now + timedelta(days=30))
    assert [cycle.worth for cycle in await ladder.cycles()] == [0]
    assert (await ladder.license_count(), len(await ladder.events("license.tier_changed"))) == (1, 3)
    licenses = f"/v1/admin/licenses/{(await ladder.license()).id}"
    for body in ({"when": "at_once", "to_policy_slug": "plus"}, {"to_policy_slug": "pro", "offer": "none"}):
        assert (await ladder.front.http.post(f"{licenses}/change-tier", json=body, headers=ADMIN)).status_code in (
            400,
            404,
        )


async def test_a_downgrade_is_planned_for_the_renewal_where_the_product_allows_it(ladder: Story) -> None:
    [product] = (await ladder.front.http.get("/v1/products")).json()["products"]
    await ladder.admin("PATCH", f"/products/{product['id']}", downgrade_at_renewal=True)
    await ladder.admin("PATCH", await policy_path(ladder, "team"), renewal_lead_days=5)
    key = await ladder.buy("team")
    paid_through = (await ladder.subscription()).paid_through
    await ladder.travel(days=25)
    early = await ladder.renewal()
    assert early.status is OrderStatus.AWAITING
    planned = await ask(ladder, UPGRADE, key, "plus")
    assert (planned["status"], planned["applied"], planned["invoice_id"]) == ("scheduled", False, "")
    assert planned["effective_at"] == paid_through.isoformat().replace("+00:00", "Z")
    assert (await ladder.order_of(early.invoice_id)).status is OrderStatus.EXPIRED
    await ladder.travel(days=4)
    assert await tier_of(ladder, key) == ["sync"]  # it is paid for
    await ladder.travel(days=1)
    assert (await statuses(ladder), await tier_of(ladder, key)) == (["applied"], [])
    renewal = await ladder.renewal()
    assert (renewal.listed_value, renewal.status) == (2500, OrderStatus.AWAITING)
    await ladder.pay(renewal)
    row = await ladder.subscription()
    assert (row.paid_through, row.listed_value) == (paid_through + timedelta(days=30), 2500)
    assert "tier_changed" in await ladder.events("license.")


async def test_a_planned_change_can_be_taken_back_and_an_upgrade_takes_its_place(ladder: Story) -> None:
    key = await ladder.buy("team")
    before = await ladder.subscription()
    license_id = (await ladder.license()).id
    await by_operator(ladder, "plus", when="at_renewal", reason="They asked.")
    taken_back = await ladder.admin("POST", f"/licenses/{license_id}/cancel-tier-change")
    assert (taken_back["status"], (await ladder.subscription()).next_attempt_at) == (
        "cancelled",
        before.next_attempt_at,
    )
    await by_operator(ladder, "plus", when="at_renewal")
    await by_operator(ladder, "max", when="at_once")
    assert await statuses(ladder) == ["applied", "cancelled", "superseded"]
    await ladder.travel(days=40)
    assert ((await ladder.license()).max_machines, await ladder.orders(Purpose.RENEWAL)) == (9, [])
    assert (await ladder.validate(key))["ok"]


async def test_nothing_is_to_be_paid_while_a_plan_waits_whatever_failed_before(ladder: Story) -> None:
    await ladder.admin("PATCH", await policy_path(ladder, "team"), renewal_lead_days=5)
    await ladder.buy("team")
    bought = await ladder.subscription()
    link = f"/pay/{pay_token(ladder.shop.vault, bought.id)}"
    ladder.counter.clock.move(bought.paid_through - timedelta(days=5))
    ladder.counter.fake.fail_next(Accident.LOST_BEFORE, method="POST")
    await ladder.run("renew")
    assert (await ladder.subscription()).consecutive_failures == 1
    assert "<form" in (await ladder.front.http.get(link)).text
    await by_operator(ladder, "plus", when="at_renewal")
    row = await ladder.subscription()
    assert (row.consecutive_failures, row.next_attempt_at) == (0, bought.paid_through)
    assert "<form" not in (await ladder.front.http.get(link)).text
    refused = await ladder.front.http.post(link)
    assert (refused.status_code, f"{bought.paid_through.date()} (UTC)" in refused.text) == (409, True)


async def test_a_plan_leaves_a_parked_one_to_a_person(ladder: Story) -> None:
    await ladder.admin("PATCH", await policy_path(ladder, "team"), renewal_lead_days=5)
    await ladder.buy("team")
    bought = await ladder.subscription()
    ladder.counter.clock.move(bought.paid_through - timedelta(days=5))
    ladder.counter.fake.fail_next(Accident.LOST_BEFORE, method="POST", times=6)
    await ladder.travel(hours=9)
    parked = await ladder.subscription()
    await by_operator(ladder, "plus", when="at_renewal")
    link = f"/pay/{pay_token(ladder.shop.vault, bought.id)}"
    assert "<form" not in (await ladder.front.http.get(link)).text
    refused = await ladder.front.http.post(link)
    row = await ladder.subscription()
    assert (refused.status_code, row.parked_at, row.next_attempt_at) == (409, parked.parked_at, None)
    assert f"{bought.paid_through.date()} (UTC)" in refused.text
    ladder.counter.fake.mishaps.clear()
    await ladder.admin("POST", f"/subscriptions/{row.id}/retry")
    await ladder.travel(days=6)
    assert (await ladder.renewal()).listed_value == 2500


@pytest.mark.once
async def test_the_operators_own_grace_outlives_a_pause(ladder: Story) -> None:
    """Whether it was set before the pause, which puts it aside, or during it."""
    team = await policy_path(ladder, "team")
    year = {"count": 1, "unit": "year"}
    await ladder.admin("POST", f"{team}/offers", slug="yearly", price_value=60_000, renewal_period=year)
    key = await ladder.buy("team")
    license, row = await ladder.license(), await ladder.subscription()
    pause, own = f"/subscriptions/{row.id}/pause", 30 * 86_400
    await ladder.admin("POST", pause)
    await ladder.admin("PATCH", f"/licenses/{license.id}", grace_seconds=own, reason="A holiday.")
    await ladder.admin("POST", f"/subscriptions/{row.id}/resume")
    assert (await ladder.license()).grace_seconds == own
    await ladder.admin("POST", pause)
    assert (await ladder.license()).grace_seconds == 0
    await upgraded(ladder, key, "team", offer="yearly")
    assert ((await ladder.license()).grace_seconds, (await ladder.subscription()).status) == (own, "active")
