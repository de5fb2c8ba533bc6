"""Changes of tier, as buyers, the operator, the provider and the clock make them: over HTTP and by the job runner."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from keysat.checkout.tables import Order, OrderStatus, Purpose, TierChange
from keysat.infra.tables import EventRow
from keysat.subscriptions.tables import SubscriptionStatus
from tests.stories.conftest import Story
from tests.web.conftest import ADMIN

QUOTE, UPGRADE = "/v1/upgrade-quote", "/v1/upgrade"
ONCE: dict[str, Any] = {"is_recurring": False, "renewal_period": None}


@pytest.fixture
async def ladder(story: Story) -> Story:
    """Standard 25.00, Pro 75.00 and Max 125.00, bought once; Plus 25.00 and Team 75.00 by the month of 30 days."""
    days: dict[str, Any] = {"renewal_period": {"count": 30, "unit": "day"}}
    [product] = (await story.front.http.get("/v1/products")).json()["products"]
    [pro] = (await story.admin("GET", "/policies?product_slug=app"))["policies"]
    await story.admin("PATCH", f"/policies/{pro['id']}", tier_rank=2, entitlements=["export"])
    await story.tier("standard", 2500, tier_rank=1, **ONCE)
    await story.tier("max", 12500, tier_rank=3, max_machines=9, **ONCE)
    await story.tier("plus", 2500, tier_rank=4, **days)
    await story.tier("team", 7500, tier_rank=5, entitlements=["sync"], **days)
    assert product["slug"] == "app"
    return story


async def ask(story: Story, path: str, key: str, target: str, **fields: Any) -> Any:
    answer = await story.post(path, license_key=key, target_policy_slug=target, **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def upgraded(story: Story, key: str, target: str, **fields: Any) -> dict[str, Any]:
    """Started and paid."""
    started = await ask(story, UPGRADE, key, target, **fields)
    await story.pay(await story.order_of(started["invoice_id"]))
    return started


async def refused(story: Story, path: str, key: str, target: str, **fields: Any) -> tuple[int, str]:
    answer = await story.post(path, license_key=key, target_policy_slug=target, **fields)
    return answer.status_code, answer.json()["message"]


async def changes(story: Story) -> list[TierChange]:
    async with story.shop.read() as read:
        return list(await read.session.scalars(select(TierChange)))


async def statuses(story: Story) -> list[str]:
    return sorted(change.status for change in await changes(story))


async def told(story: Story) -> int:
    async with story.shop.read() as read:
        return await read.session.scalar(select(func.count()).select_from(EventRow)) or 0


async def by_operator(story: Story, target: str, **fields: Any) -> Any:
    license_id = (await story.license()).id
    return await story.admin("POST", f"/licenses/{license_id}/change-tier", to_policy_slug=target, **fields)


async def tier_of(story: Story, key: str) -> list[str]:
    """Its entitlements, which each tier here has others of."""
    answer = await story.validate(key)
    assert answer["ok"], answer
    return answer.get("entitlements", [])


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


async def test_another_offer_begins_a_new_period_and_drops_the_open_renewal(ladder: Story) -> None:
    [team] = [
        one for one in (await ladder.admin("GET", "/policies?product_slug=app"))["policies"] if one["slug"] == "team"
    ]
    await ladder.admin("PATCH", f"/policies/{team['id']}", renewal_lead_days=5)
    year = {"count": 1, "unit": "year"}
    await ladder.admin("POST", f"/policies/{team['id']}/offers", slug="yearly", price_value=60_000, renewal_period=year)
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


# By the operator, and at the renewal


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
    [team] = [
        one for one in (await ladder.admin("GET", "/policies?product_slug=app"))["policies"] if one["slug"] == "team"
    ]
    await ladder.admin("PATCH", f"/policies/{team['id']}", renewal_lead_days=5)
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


async def test_orders_that_come_to_nothing_leave_the_license_as_it_was(ladder: Story) -> None:
    key = await ladder.buy("standard")
    started = await ask(ladder, UPGRADE, key, "pro")
    await ladder.travel(days=20)
    async with ladder.shop.read() as read:
        order = (await read.session.scalars(select(Order).where(Order.invoice_id == started["invoice_id"]))).one()
    assert (order.status, await tier_of(ladder, key)) == (OrderStatus.EXPIRED, [])
    assert (await ask(ladder, UPGRADE, key, "pro"))["invoice_id"] != started["invoice_id"]
