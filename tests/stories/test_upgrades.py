"""Upgrades, as buyers, the provider and the clock make them: over HTTP and by the job runner."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from keysat.checkout.tables import OrderStatus, Purpose
from keysat.subscriptions.tables import SubscriptionStatus
from tests.stories.conftest import Story
from tests.stories.ladder import (
    ONCE,
    QUOTE,
    UPGRADE,
    ask,
    by_operator,
    changes,
    policy_path,
    refused,
    statuses,
    tier_of,
    told,
    upgraded,
    with_ladder,
)
from tests.stories.test_renewals import pay_the_link
from tests.web.conftest import ADMIN


@pytest.fixture
async def ladder(story: Story) -> Story:
    return await with_ladder(story)


# The six of the plan


async def test_upgrade_quote_returns_perpetual_difference(ladder: Story) -> None:
    key = await ladder.buy("standard")
    before = await told(ladder)
    answer = await ask(ladder, QUOTE, key, "pro")
    assert answer["proration_charge_value"] == 5000
    assert (answer["listed_currency"], answer["direction"]) == ("USD", "upgrade")
    assert (answer["from_policy_slug"], answer["to_policy_slug"]) == ("standard", "pro")
    assert (answer["effective_at"], answer["next_renewal_charge"]) == ("immediate", None)
    assert answer["next_renewal_period_days"] is None
    assert (await told(ladder), await changes(ladder)) == (before, [])


async def test_upgrade_quote_rejects_garbage_key(ladder: Story) -> None:
    bodies: list[dict[str, Any]] = []
    for key in ("garbage", "LIC1-AAAA-BBBB"):
        for path in (QUOTE, UPGRADE):
            for slug in ("pro", "nope"):
                answer = await ladder.post(path, license_key=key, target_policy_slug=slug)
                assert answer.status_code == 401
                bodies.append({name: value for name, value in answer.json().items() if name != "request_id"})
    assert all(body == bodies[0] for body in bodies)


async def test_upgrade_quote_rejects_unknown_target_policy(ladder: Story) -> None:
    key = await ladder.buy("standard")
    assert (await refused(ladder, QUOTE, key, "nope"))[0] == 404


async def test_upgrade_start_creates_invoice_and_tier_change_row(ladder: Story) -> None:
    key = await ladder.buy("standard")
    cheap = {"proration_charge_value": 1, "amount_sats": 1, "listed_currency": "SAT", "price_value": 0}
    started = await ask(ladder, UPGRADE, key, "pro", **cheap)
    [change], [order] = await changes(ladder), await ladder.orders(Purpose.TIER_CHANGE)
    assert (change.status, change.order_id, str(change.id)) == ("awaiting_payment", order.id, started["tier_change_id"])
    assert (order.status, order.listed_value, order.amount_sats) == (OrderStatus.AWAITING, 5000, 100_000)
    assert (order.exchange_rate_centibps, order.exchange_rate_source) == (500_000_000, "pin")
    assert (started["amount_sats"], started["proration_charge_value"]) == (100_000, 5000)
    assert (started["invoice_id"], started["listed_currency"]) == (order.invoice_id, "USD")
    assert started["checkout_url"]
    assert started["provider_invoice_id"] in ladder.counter.fake.invoices
    assert await tier_of(ladder, key) == []
    poll = (await ladder.front.http.get(f"/v1/purchase/{order.invoice_id}")).json()
    assert (poll["status"], poll["license_key"], poll["license_id"]) == ("pending", None, None)


async def test_webhook_settle_on_tier_change_applies_instead_of_issuing(ladder: Story) -> None:
    key = await ladder.buy("standard")
    sold = await ladder.license()
    started = await upgraded(ladder, key, "pro")
    assert await tier_of(ladder, key) == ["export"]
    license = await ladder.license()
    assert (license.id, license.max_machines, license.issued_at) == (sold.id, 3, sold.issued_at)
    assert await ladder.events("license.") == ["issued", "tier_changed"]
    again = await ladder.key(started["invoice_id"])
    assert (await tier_of(ladder, again), again == key) == (["export"], False)

    async def redelivered() -> None:
        before = await told(ladder), await statuses(ladder), await ladder.license_count()
        [hook] = ladder.counter.fake.hooks
        of_this = [past for past in hook.past if past.payload["invoiceId"] == started["provider_invoice_id"]]
        [settled, *_] = [past for past in of_this if past.kind == "InvoiceSettled"]
        await ladder.counter.fake.redeliver(settled.id)
        assert hook.past[-1].http_code == 200
        await ladder.run()
        assert (await told(ladder), await statuses(ladder), await ladder.license_count()) == before

    await redelivered()
    await upgraded(ladder, key, "max")
    await redelivered()
    assert await statuses(ladder) == ["applied", "applied"]
    license = await ladder.license()
    assert (license.max_machines, license.id) == (9, sold.id)


async def test_upgrade_endpoint_rejects_buyer_downgrade(ladder: Story) -> None:
    key = await ladder.buy("pro")
    status, words = await refused(ladder, UPGRADE, key, "standard")
    assert (status, "admin-only" in words) == (400, True)
    team = await ladder.buy("team")
    assert (await ask(ladder, QUOTE, team, "plus"))["direction"] == "downgrade"
    status, words = await refused(ladder, UPGRADE, team, "plus")
    assert (status, "admin-only" in words) == (400, True)
    assert await changes(ladder) == []


# By the period


async def test_half_way_through_its_period_an_upgrade_costs_half_the_difference(ladder: Story) -> None:
    key = await ladder.buy("plus")
    first = await ladder.subscription()
    await ladder.travel(days=15)
    answer = await ask(ladder, QUOTE, key, "team")
    assert (answer["proration_charge_value"], answer["next_renewal_charge"]) == (2500, 7500)
    assert answer["next_renewal_period_days"] == 30
    await upgraded(ladder, key, "team")
    row = await ladder.subscription()
    assert (row.listed_value, row.paid_through, row.cycle_number) == (7500, first.paid_through, 1)
    assert (row.next_attempt_at, (await ladder.license()).expires_at) == (first.paid_through, first.paid_through)
    assert await tier_of(ladder, key) == ["sync"]
    await ladder.travel(days=15)
    renewal = await ladder.renewal()
    assert (renewal.status, renewal.listed_value) == (OrderStatus.AWAITING, 7500)
    assert (await refused(ladder, UPGRADE, key, "max"))[0] == 400  # what is due is paid first
    await ladder.pay(renewal)
    assert (await ladder.subscription()).status is SubscriptionStatus.ACTIVE


async def test_a_license_for_good_becomes_a_subscription_and_one_again(ladder: Story) -> None:
    key = await ladder.buy("standard")
    await ladder.travel(days=100)
    started = await upgraded(ladder, key, "plus")
    assert started["proration_charge_value"] == 2500
    row = await ladder.subscription()
    assert (row.status, row.cycle_number, row.paid_through) == ("active", 1, ladder.now + timedelta(days=30))
    [cycle] = await ladder.cycles()
    assert (cycle.order_id, cycle.worth) == ((await ladder.order_of(started["invoice_id"])).id, 2500)

    await by_operator(ladder, "max", when="by_invoice")
    [order] = [one for one in await ladder.orders(Purpose.TIER_CHANGE) if one.status == OrderStatus.AWAITING]
    assert order.listed_value == 10_000
    await ladder.pay(order)
    license, row = await ladder.license(), await ladder.subscription()
    assert (license.expires_at, license.is_subscribed, row.status) == (None, False, "cancelled")
    await ladder.travel(days=400)
    assert ((await ladder.validate(key))["ok"], await ladder.orders(Purpose.RENEWAL)) == (True, [])


async def test_an_upgrade_in_the_last_hour_makes_what_is_for_good_no_cheaper(ladder: Story) -> None:
    key = await ladder.buy("plus")
    ladder.counter.clock.move((await ladder.subscription()).paid_through - timedelta(hours=1))
    cheap = (await upgraded(ladder, key, "team"))["proration_charge_value"]
    assert cheap == 7
    await by_operator(ladder, "max", when="by_invoice")
    [order] = [one for one in await ladder.orders(Purpose.TIER_CHANGE) if one.status == OrderStatus.AWAITING]
    assert order.listed_value == 12_500 - 2500 - cheap


async def test_a_time_that_is_nearly_over_pays_for_no_other(ladder: Story) -> None:
    year: dict[str, Any] = {"duration_seconds": 365 * 86_400, **ONCE}
    await ladder.tier("year", 5000, tier_rank=6, **year)
    await ladder.tier("better-year", 5500, tier_rank=7, **year)
    key = await ladder.buy("year")
    await ladder.travel(days=292)
    assert (await ask(ladder, QUOTE, key, "better-year"))["proration_charge_value"] == 5500 - 1000
    await upgraded(ladder, key, "better-year")
    assert (await ladder.license()).expires_at == ladder.now + timedelta(days=365)


async def test_a_trial_pays_for_nothing(ladder: Story) -> None:
    await ladder.admin("PATCH", await policy_path(ladder, "pro"), trial_days=14, trial_needs="nothing")
    key = await ladder.buy("pro")
    assert (await ladder.license()).is_trial
    assert (await ask(ladder, QUOTE, key, "max"))["proration_charge_value"] == 12_500


async def test_another_offer_begins_a_new_period_and_drops_the_open_renewal(ladder: Story) -> None:
    team = await policy_path(ladder, "team")
    await ladder.admin("PATCH", team, renewal_lead_days=5)
    year = {"count": 1, "unit": "year"}
    await ladder.admin("POST", f"{team}/offers", slug="yearly", price_value=60_000, renewal_period=year)
    key = await ladder.buy("team")
    await ladder.travel(days=25)
    renewal = await ladder.renewal()
    assert renewal.status is OrderStatus.AWAITING
    assert (await refused(ladder, QUOTE, key, "team"))[0] == 400
    started = await upgraded(ladder, key, "team", offer="yearly")
    assert started["proration_charge_value"] == 60_000 - 1250
    row = await ladder.subscription()
    assert (row.cycle_number, row.listed_value, row.period_unit) == (2, 60_000, "year")
    assert (row.paid_through.year, row.anchor_at) == (ladder.now.year + 1, ladder.now)
    assert (await ladder.order_of(renewal.invoice_id)).status is OrderStatus.EXPIRED
    await ladder.pay(renewal)  # its invoice is still open at the provider
    assert (await ladder.order_of(renewal.invoice_id)).status is OrderStatus.REVIEW
    assert (await ladder.subscription()).paid_through == row.paid_through


async def test_upgrades_in_a_row_cost_what_one_would(ladder: Story) -> None:
    key = await ladder.buy("standard")
    first, second = await upgraded(ladder, key, "pro"), await upgraded(ladder, key, "max")
    assert (first["proration_charge_value"], second["proration_charge_value"]) == (5000, 5000)


async def test_a_product_in_sats_is_upgraded_in_sats(story: Story) -> None:
    await story.admin("POST", "/products", slug="sats", name="Sats", price_sats=40_000)
    await story.tier("small", 10_000, product="sats", tier_rank=1, **ONCE)
    await story.tier("large", 25_000, product="sats", tier_rank=2, **ONCE)
    key = await story.buy("small", product="sats")
    started = await upgraded(story, key, "large")
    assert (started["amount_sats"], started["listed_currency"]) == (15_000, "SAT")
    [order] = await story.orders(Purpose.TIER_CHANGE)
    assert (order.exchange_rate_centibps, order.exchange_rate_evidence) == (None, None)


# What is refused, and what goes to a person


async def test_only_what_is_on_sale_can_be_upgraded_to_and_only_from_what_stands(ladder: Story) -> None:
    tiers = {one["slug"]: one["id"] for one in (await ladder.admin("GET", "/policies?product_slug=app"))["policies"]}
    key = await ladder.buy("standard")
    for slug, field in (("pro", "public"), ("max", "archived"), ("plus", "active")):
        await ladder.admin("PATCH", f"/policies/{tiers[slug]}/{field}", **{field: field == "archived"})
        assert (await refused(ladder, QUOTE, key, slug))[0] == 400
        assert (await refused(ladder, UPGRADE, key, slug))[0] == 400
    await ladder.admin("PATCH", f"/policies/{tiers['team']}", tier_rank=None)
    assert "no rank" in (await refused(ladder, QUOTE, key, "team"))[1]
    assert (await refused(ladder, QUOTE, key, "standard"))[0] == 400
    await ladder.admin("PATCH", f"/policies/{tiers['team']}", tier_rank=5, price_value=0)
    assert (await refused(ladder, UPGRADE, key, "team"))[0] == 400  # it costs nothing
    license_id = (await ladder.license()).id
    await ladder.admin("POST", f"/licenses/{license_id}/suspend")
    assert (await refused(ladder, QUOTE, key, "team"))[0] == 401
    assert await changes(ladder) == []


async def test_an_upgrade_that_is_paid_late_goes_to_a_person_who_may_accept_it(ladder: Story) -> None:
    key = await ladder.buy("standard")
    started = await ask(ladder, UPGRADE, key, "pro")
    order = await ladder.order_of(started["invoice_id"])
    await ladder.travel(minutes=20)
    await ladder.pay(order)
    await ladder.travel(minutes=30)
    assert (await ladder.order_of(order.invoice_id)).status is OrderStatus.REVIEW
    assert await tier_of(ladder, key) == []
    await ladder.admin("POST", f"/orders/{order.id}/settle")
    assert await tier_of(ladder, key) == ["export"]


async def test_an_upgrade_that_a_renewal_has_overtaken_goes_to_a_person(ladder: Story) -> None:
    key = await ladder.buy("plus", buyer_email="ann@example.org")
    started = await ask(ladder, UPGRADE, key, "team")
    order, row = await ladder.order_of(started["invoice_id"]), await ladder.subscription()
    ladder.counter.clock.move(row.paid_through - timedelta(minutes=5))
    again = await ask(ladder, UPGRADE, key, "team")
    assert again["proration_charge_value"] == 1  # five minutes of the difference
    ladder.counter.clock.move(row.paid_through)
    await pay_the_link(ladder)
    for late in (order, await ladder.order_of(again["invoice_id"])):
        await ladder.pay(late)
        assert (await ladder.order_of(late.invoice_id)).status is OrderStatus.REVIEW
    assert (await tier_of(ladder, key), (await ladder.subscription()).listed_value) == ([], 2500)
    paid_through = (await ladder.subscription()).paid_through
    await ladder.admin("POST", f"/orders/{again['invoice_id']}/settle")
    assert (await tier_of(ladder, key), (await ladder.subscription()).paid_through) == (["sync"], paid_through)


async def test_an_upgrade_that_is_accepted_in_grace_is_renewed_at_its_price(ladder: Story) -> None:
    key = await ladder.buy("plus")
    ladder.counter.clock.move((await ladder.subscription()).paid_through - timedelta(minutes=5))
    started = await ask(ladder, UPGRADE, key, "team")
    await ladder.travel(minutes=20)
    await ladder.pay(await ladder.order_of(started["invoice_id"]))
    await ladder.travel(minutes=5)
    assert (await ladder.order_of(started["invoice_id"])).status is OrderStatus.REVIEW
    before = await ladder.renewal()
    await ladder.admin("POST", f"/orders/{started['invoice_id']}/settle")
    await ladder.run("renew")
    [renewal] = [order for order in await ladder.orders(Purpose.RENEWAL) if order.id != before.id]
    assert ((await ladder.order_of(before.invoice_id)).status, renewal.listed_value) == (OrderStatus.EXPIRED, 7500)
    await ladder.pay(renewal)
    assert ((await ladder.subscription()).cycle_number, await tier_of(ladder, key)) == (2, ["sync"])


async def test_while_a_renewal_is_being_paid_no_change_takes_its_period_away(ladder: Story) -> None:
    await ladder.admin("PATCH", await policy_path(ladder, "plus"), renewal_lead_days=5)
    key = await ladder.buy("plus")
    paid_through = (await ladder.subscription()).paid_through
    ladder.counter.clock.move(paid_through - timedelta(days=5))
    await ladder.run("renew")
    started = await ask(ladder, UPGRADE, key, "team")
    renewal = await ladder.renewal()
    await ladder.pay(renewal, confirmed=False)
    invoice_id = await ladder.provider_invoice(renewal)
    words = "A renewal payment is on its way; try again when it is confirmed."
    assert await refused(ladder, UPGRADE, key, "team") == (409, words)
    path = f"/v1/admin/licenses/{(await ladder.license()).id}/change-tier"
    for when in ("at_once", "by_invoice", "at_renewal"):
        answer = await ladder.front.http.post(path, json={"to_policy_slug": "team", "when": when}, headers=ADMIN)
        assert (answer.status_code, answer.json()["message"]) == (409, words)
    order = await ladder.order_of(started["invoice_id"])
    await ladder.pay(order)
    assert "order_renewal_on_its_way" in await ladder.counter.attention()
    accept = f"/v1/admin/orders/{order.id}/settle"
    assert (await ladder.front.http.post(accept, headers=ADMIN)).status_code == 409
    await ladder.counter.fake.confirm(invoice_id)
    await ladder.run()
    assert ((await ladder.subscription()).cycle_number, await tier_of(ladder, key)) == (2, [])
    await ladder.admin("POST", f"/orders/{order.id}/settle")
    assert (await tier_of(ladder, key), len(await ladder.orders(Purpose.RENEWAL))) == (["sync"], 1)


async def test_money_for_the_change_of_a_revoked_license_can_be_refused(ladder: Story) -> None:
    key = await ladder.buy("standard")
    order = await ladder.order_of((await ask(ladder, UPGRADE, key, "pro"))["invoice_id"])
    await ladder.admin("POST", f"/licenses/{(await ladder.license()).id}/revoke")
    await ladder.pay(order)
    path = f"/v1/admin/orders/{order.id}"
    assert (await ladder.front.http.post(f"{path}/settle", headers=ADMIN)).status_code == 409
    assert (await ladder.order_of(order.invoice_id)).status is OrderStatus.REVIEW
    await ladder.admin("POST", f"/orders/{order.id}/refuse")
    assert (await ladder.order_of(order.invoice_id)).status is OrderStatus.INVALID


async def test_a_quote_that_was_overtaken_goes_to_a_person(ladder: Story) -> None:
    key = await ladder.buy("plus")
    await ladder.travel(days=10)
    started = await ask(ladder, UPGRADE, key, "team")
    await by_operator(ladder, "max", when="at_once", reason="A gift.")
    order = await ladder.order_of(started["invoice_id"])
    assert (order.status, await statuses(ladder)) == (OrderStatus.EXPIRED, ["applied", "superseded"])
    await ladder.pay(order)
    assert (await ladder.order_of(order.invoice_id)).status is OrderStatus.REVIEW
    assert (await ladder.license()).max_machines == 9


async def test_the_same_upgrade_is_shown_again_and_another_takes_its_place(ladder: Story) -> None:
    key = await ladder.buy("standard")
    first = await ask(ladder, UPGRADE, key, "pro")
    assert await ask(ladder, UPGRADE, key, "pro") == first
    second = await ask(ladder, UPGRADE, key, "max")
    assert second["proration_charge_value"] == 10_000
    assert await statuses(ladder) == ["awaiting_payment", "superseded"]
    await ladder.pay(await ladder.order_of(second["invoice_id"]))
    await ladder.pay(await ladder.order_of(first["invoice_id"]))
    assert (await ladder.order_of(first["invoice_id"])).status is OrderStatus.REVIEW
    assert (await ladder.license()).max_machines == 9


async def test_of_upgrades_that_race_one_is_paid(ladder: Story) -> None:
    key = await ladder.buy("standard")
    body = {"license_key": key, "target_policy_slug": "pro"}
    answers: list[httpx.Response] = await asyncio.gather(*(ladder.post(UPGRADE, **body) for _ in range(6)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.json()["invoice_id"] for answer in answers if answer.status_code == 200}) == 1
    assert await statuses(ladder) == ["awaiting_payment"]
    once = {"Idempotency-Key": "upgrade-1"}
    first, again = [await ladder.front.http.post(UPGRADE, json=body, headers=once) for _ in range(2)]
    assert (first.json(), again.headers["Idempotent-Replayed"]) == (again.json(), "true")


async def test_orders_that_come_to_nothing_leave_the_license_as_it_was(ladder: Story) -> None:
    key = await ladder.buy("standard")
    started = await ask(ladder, UPGRADE, key, "pro")
    await ladder.travel(days=20)
    order = await ladder.order_of(started["invoice_id"])
    assert (order.status, await tier_of(ladder, key)) == (OrderStatus.EXPIRED, [])
    assert (await ask(ladder, UPGRADE, key, "max"))["proration_charge_value"] == 10_000
    [pro] = [
        one for one in (await ladder.admin("GET", "/policies?product_slug=app"))["policies"] if one["slug"] == "pro"
    ]
    assert (await ladder.admin("DELETE", f"/policies/{pro['id']}?force=true&name=pro"))["cascaded_orders"] == 1
    assert await statuses(ladder) == ["awaiting_payment"]
