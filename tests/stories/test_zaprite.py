"""A live shop that sells through Zaprite: over HTTP, by its jobs, with the accidents of `payment-rails.md` 2.2."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from keysat.checkout.tables import Order, OrderStatus, PaidHow
from keysat.infra.house import Mode
from keysat.infra.http import HttpClient
from keysat.kit.errors import BadRequest
from keysat.payments.connections import connect
from keysat.payments.tables import Attempt, AttemptId
from keysat.subscriptions.tables import SubscriptionStatus
from tests.checkout.counter import PUBLIC_URL
from tests.conftest import TESTER
from tests.fakes.served import Accident
from tests.fakes.zaprite import FakeZaprite
from tests.providers.conftest import REQUEST
from tests.stories.conftest import Story, through

S = OrderStatus


@dataclass
class ZapriteStory:
    story: Story
    fake: FakeZaprite

    async def buy(self, tier: str = "pro", **wish: Any) -> Order:
        answer = await self.story.post("/v1/purchase", product="app", policy_slug=tier, **wish)
        assert answer.status_code == 200, answer.text
        return await self.story.order_of(answer.json()["invoice_id"])

    async def theirs(self, order: Order) -> str:
        """The id of its order at Zaprite, of the newest try."""
        return await self.story.provider_invoice(order)

    async def pay(self, order: Order, percent: int = 100, rail: str = "card", *, confirmed: bool = True) -> None:
        await self.fake.pay(await self.theirs(order), percent=percent, rail=rail, confirmed=confirmed)
        await self.story.run()

    async def pass_by(self, **span: float) -> None:
        await self.story.travel(**span)
        await self.fake.tick()
        await self.story.run()

    async def status(self, order: Order) -> tuple[OrderStatus, PaidHow | None]:
        seen = await self.story.order_of(order.invoice_id)
        return seen.status, seen.paid_how

    async def tell(self, body: dict[str, Any]) -> int:
        """As anybody can who knows the address."""
        return (await self.story.front.http.post(self.fake.webhook_url or "", json=body)).status_code

    def asked(self) -> int:
        return len(self.fake.requests)


@pytest.fixture
async def shop(story: Story) -> AsyncGenerator[ZapriteStory, None]:
    """The operator has pasted the address of the webhook."""
    door = story.front.http

    async def hook(request: httpx.Request) -> httpx.Response:
        kind = {"content-type": request.headers["content-type"]}
        answer = await door.post(request.url.path, content=request.content, headers=kind)
        return httpx.Response(answer.status_code)

    fake = FakeZaprite(clock=story.counter.clock, webhook_transport=httpx.MockTransport(hook))
    async with (
        aclosing(HttpClient(transport=fake.transport)) as http,
        through(story, "zaprite", fake.fields, http, Mode.LIVE) as sells,
    ):
        door = sells.front.http
        (selling,) = [till for till in sells.shop.tills.all() if till.sells]
        fake.webhook_url = f"{PUBLIC_URL}/v1/zaprite/webhook/{selling.id}"
        yield ZapriteStory(sells, fake)
        fake.check()


# Cards, on both databases


async def test_a_saved_card_renews_and_one_that_is_declined_leaves_the_link(shop: ZapriteStory) -> None:  # D-8
    story, fake = shop.story, shop.fake
    await story.tier("monthly", 2500)
    first = await shop.buy("monthly", buyer_email="ada@example.org")
    await fake.pay_by_card(await shop.theirs(first), "works")
    await story.run()
    key = await story.key(first.invoice_id)
    assert list(fake.contacts.values()) == ["ada@example.org"]

    await shop.pass_by(seconds=((await story.subscription()).paid_through - story.now).total_seconds())
    second = await story.renewal()
    row = await story.subscription()
    assert (row.cycle_number, row.status, row.profile_id) == (2, SubscriptionStatus.ACTIVE, *fake.profiles)
    assert len(fake.orders[await shop.theirs(second)].payments) == 1
    assert (await story.validate(key))["ok"]

    (card,) = fake.profiles.values()
    card.card = "declines"
    story.counter.clock.move((await story.subscription()).paid_through)
    await story.run()
    third = await story.renewal()
    assert (await story.subscription()).status is SubscriptionStatus.PAST_DUE
    told = await story.events()
    assert (told.count("auto_charge_initiated"), told.count("auto_charge_failed")) == (2, 1)
    assert (await story.validate(key))["ok"]  # in grace
    await shop.pay(third)
    row = await story.subscription()
    assert (row.cycle_number, row.status) == (3, SubscriptionStatus.ACTIVE)
    charges = [path for _, path in fake.requests if path == "/v1/orders/charge"]
    assert (len(charges), len(fake.contacts), await story.license_count()) == (2, 1, 1)


# Money


@pytest.mark.once
async def test_each_way_to_pay_is_a_sale(shop: ZapriteStory) -> None:
    for rail in ("card", "lightning", "onchain"):
        order = await shop.buy()
        assert fiat(shop, await shop.theirs(order)) == (7500, "USD")
        await shop.pay(order, rail=rail, confirmed=rail != "onchain")
        if rail == "onchain":
            assert await shop.status(order) == (S.PROCESSING, None)
            await shop.pass_by(hours=2)  # far behind the end of the order: it was sent in time
            await shop.fake.confirm(await shop.theirs(order))
            await shop.story.run()
        assert await shop.status(order) == (S.FULFILLED, PaidHow.IN_TIME)
    assert await shop.story.license_count() == 3
    order = await shop.buy()
    await shop.fake.close(await shop.theirs(order))
    await shop.story.run()
    assert await shop.status(order) == (S.FULFILLED, PaidHow.MARKED)


def fiat(shop: ZapriteStory, order_id: str) -> tuple[int, str]:
    body = shop.fake.orders[order_id].body
    return body["amount"], body["currency"]


@pytest.mark.once
async def test_too_little_waits_for_the_rest_and_then_for_a_person(shop: ZapriteStory) -> None:
    completed, left = await shop.buy(), await shop.buy()
    for order in (completed, left):
        await shop.pay(order, 40)
        assert await shop.status(order) == (S.AWAITING, None)
    await shop.pay(completed, 60)
    assert await shop.status(completed) == (S.FULFILLED, PaidHow.IN_TIME)
    await shop.pass_by(minutes=20)
    assert await shop.status(left) == (S.UNDERPAID, None)
    assert "order_underpaid" in await shop.story.counter.attention()
    assert await shop.story.license_count() == 1


@pytest.mark.once
async def test_too_much_and_twice_sell_once_and_are_told(shop: ZapriteStory) -> None:
    order = await shop.buy()
    await shop.pay(order, 120)
    assert await shop.status(order) == (S.FULFILLED, PaidHow.IN_TIME)
    surplus = f"15.00 USD too much was paid for order {order.support_reference}."
    assert surplus in await shop.story.counter.reasons()

    twice = await shop.buy()
    second = await another_try(shop, twice)
    await shop.pay(twice)
    await shop.fake.pay(second, rail="lightning")
    await shop.pass_by(hours=2)
    assert "paid_twice" in await shop.story.counter.attention()
    assert await shop.story.license_count() == 2


async def another_try(shop: ZapriteStory, order: Order) -> str:
    """A second Zaprite order for ours, as a later try leaves it behind. Returns the first one's id there."""
    first = await shop.theirs(order)
    till = next(till for till in shop.story.shop.tills.all() if till.sells)
    async with shop.story.shop.work(TESTER) as work:
        before = (await work.session.scalars(select(Attempt).where(Attempt.provider_invoice_id == first))).one()
        values = {column.name: getattr(before, column.name) for column in Attempt.__table__.columns}
    asked = replace(REQUEST, attempt_id="second-try", price=before.asked, asked_at=shop.story.now)
    made = await till.till.create_invoice(asked)
    async with shop.story.shop.work(TESTER) as work:
        mine = {"id": AttemptId(work.new_id()), "echo": "second-try", "provider_invoice_id": made.invoice_id}
        work.session.add(Attempt(**values | mine | {"created_at": work.now + timedelta(seconds=1)}))
    return first


@pytest.mark.once
async def test_time_ends_an_order_and_late_money_is_still_money(shop: ZapriteStory) -> None:
    """First Zaprite says nothing of the end, and then that it is abandoned: the shop does the same."""
    never, soon, long_after, on_chain = [await shop.buy() for _ in range(4)]
    await shop.pass_by(minutes=20)
    assert {(await shop.status(order))[0] for order in (never, soon, long_after, on_chain)} == {S.EXPIRED}
    shop.fake.abandons = True
    await shop.pass_by(hours=3)
    await shop.pay(soon)
    await shop.pay(on_chain, rail="onchain", confirmed=False)
    assert (await shop.status(on_chain))[0] is S.EXPIRED
    await shop.pass_by(hours=27)
    await shop.pay(long_after, rail="lightning")
    await shop.fake.confirm(await shop.theirs(on_chain))
    await shop.story.run()
    assert await shop.status(never) == (S.EXPIRED, None)
    assert await shop.status(soon) == (S.FULFILLED, PaidHow.LATE)
    for order in (long_after, on_chain):
        assert await shop.status(order) == (S.REVIEW, None)
    assert (await shop.story.counter.attention()).count("order_too_late") == 2
    assert await shop.story.license_count() == 1


@pytest.mark.once
async def test_a_word_nobody_wrote_down_changes_nothing_and_calls_a_person(shop: ZapriteStory) -> None:  # D-27
    order, sold = await shop.buy(), await shop.buy()
    await shop.pay(sold)
    for one in (order, sold):  # such as after a refund in the dashboard
        await shop.fake.say(await shop.theirs(one), "REFUNDED")
    await shop.story.run()
    assert await shop.status(order) == (S.AWAITING, None)
    assert await shop.status(sold) == (S.FULFILLED, PaidHow.IN_TIME)
    assert (await shop.story.counter.attention()).count("unknown_status") == 2
    assert (await shop.story.validate(await shop.story.key(sold.invoice_id)))["ok"]
    await shop.fake.say(await shop.theirs(order), None)
    await shop.pay(order)
    assert await shop.status(order) == (S.FULFILLED, PaidHow.IN_TIME)


@pytest.mark.once
async def test_what_is_not_what_was_asked_for_never_sells(shop: ZapriteStory) -> None:
    """Whatever somebody has changed at Zaprite: the gate compares, and a person looks."""
    doubts: list[str] = []
    for change in ({"currency": "EUR"}, {"amount": 75}, {"externalUniqId": "another"}):
        order = await shop.buy()
        shop.fake.orders[await shop.theirs(order)].body |= change
        await shop.pay(order)
        assert (await shop.status(order))[0] is S.REVIEW
        doubts.append((await shop.story.counter.attention())[-1])
    order, shop.fake.plugin = await shop.buy(), "test-payment"
    await shop.pay(order)
    assert (await shop.status(order))[0] is S.REVIEW
    doubts.append((await shop.story.counter.attention())[-1])
    assert doubts == ["order_other_currency", "order_other_price", "order_other_attempt", "order_other_network"]
    assert await shop.story.license_count() == 0


# Messages


@pytest.mark.once
async def test_a_message_is_a_nudge_whoever_sends_it(shop: ZapriteStory) -> None:  # W-08, D-50
    story = shop.story
    sold, waiting = await shop.buy(), await shop.buy()
    await shop.pay(sold)
    for order in (sold, waiting):
        for event in ("order.paid", "order.expired", "order.invalid", "order.refunded"):
            assert await shop.tell({"event": event, "data": {"id": await shop.theirs(order), "status": "PAID"}}) == 200
            await story.run()
    assert [(await shop.status(order))[0] for order in (sold, waiting)] == [S.FULFILLED, S.AWAITING]

    asked = shop.asked()
    for stranger in ("od_of_another_shop", "\0", "../orders", ""):
        assert await shop.tell({"event": "order.paid", "data": {"id": stranger}}) == 200
    await story.run()
    assert shop.asked() == asked  # what we did not open is not even looked at
    assert (await story.front.http.post(shop.fake.webhook_url or "", json=[])).status_code == 400
    other = (shop.fake.webhook_url or "").replace("/zaprite/", "/btcpay/")
    assert (await story.front.http.post(other, json={"id": await shop.theirs(waiting)})).status_code == 404


@pytest.mark.once
async def test_without_its_messages_a_payment_is_seen_a_little_later(shop: ZapriteStory) -> None:
    story, address = shop.story, shop.fake.webhook_url or ""
    (words,) = await story.counter.reasons()
    assert address in words
    assert "by hand" in words
    await story.run("health")
    assert await story.counter.attention() == ["webhook_missing"]

    shop.fake.webhook_url = None
    order = await shop.buy()
    await shop.pay(order)
    assert (await shop.status(order))[0] is S.AWAITING
    await shop.pass_by(seconds=31)
    assert (await shop.status(order))[0] is S.FULFILLED

    shop.fake.webhook_url = address
    await shop.pay(await shop.buy())
    assert await story.counter.attention() == []  # it was pasted


@pytest.mark.once
async def test_an_order_whose_answer_was_lost_is_found_and_not_made_again(shop: ZapriteStory) -> None:
    made = len(shop.fake.orders)
    shop.fake.fail_next(Accident.LOST_AFTER, method="POST", path="/orders")
    order = await shop.buy()
    assert len(shop.fake.orders) == made + 1
    await shop.pay(order)
    assert await shop.status(order) == (S.FULFILLED, PaidHow.IN_TIME)
    await shop.story.run("sweep")


@pytest.mark.once
async def test_play_money_does_not_connect_to_a_live_shop(shop: ZapriteStory) -> None:
    office, fields = shop.story.shop.office(shop.story.now, TESTER), {**shop.fake.fields, "label": "Sandbox"}
    with pytest.raises(BadRequest, match="sandbox"):
        await connect(office, "zaprite", fields)
