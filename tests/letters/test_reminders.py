"""The letters of a subscription, as they come out of the mail server: each once, and none about what is over."""

from datetime import datetime, timedelta
from email.message import EmailMessage

import pytest
from sqlalchemy import select

from keysat.checkout import subscribed
from keysat.checkout.change.tables import ChangedBy, ChangeDirection, TierChangeId
from keysat.checkout.happenings import LicenseTierChanged
from keysat.checkout.pay_link import pay_token
from keysat.checkout.renew import pay, work_off
from keysat.checkout.tables import Order, OrderId
from keysat.letters.tables import LetterCursor
from keysat.licenses.tables import License
from keysat.subscriptions import moves, openings
from keysat.subscriptions.tables import Cycle, Subscription
from tests.catalog.shelf import MONTHLY, a_tier
from tests.checkout.counter import BUYER, LOOKER
from tests.conftest import TESTER
from tests.letters.conftest import ANN, Desk, parts

pytestmark = pytest.mark.once

DAY = timedelta(days=1)


class Reader:
    """Ann, who subscribes to `team` for 12.00 a month, and reads what comes by mail."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def subscribe(self, email: str | None = ANN, trial_days: int = 0) -> None:
        await a_tier(self.desk.counter.store, "team", price_sats_override=1200, trial_days=trial_days, **MONTHLY)
        order = await self.desk.counter.buy("team", buyer_email=email)
        if not trial_days:
            await self.desk.counter.pay(order)

    async def row(self) -> Subscription:
        async with self.desk.room.store.read() as read:
            return (await read.session.scalars(select(Subscription))).one()

    async def open_order(self) -> Order:
        async with self.desk.room.store.read() as read:
            cycle = (await read.session.scalars(select(Cycle).where(Cycle.paid_at.is_(None)))).one()
            return await read.get(Order, cycle.order_id)

    async def pay(self) -> None:
        await self.desk.counter.pay(await self.open_order())

    async def quoted_anew(self) -> Order:
        """The order that another one has replaced, whose checkout she may still have open."""
        order, row = await self.open_order(), await self.row()
        await pay(self.desk.counter.desk(BUYER), row.id)
        return order

    async def comes_to(self, moment: datetime) -> list[EmailMessage]:
        """The letters of that moment, after what time asks for."""
        self.desk.counter.clock.move(moment)
        await self.desk.counter.fake.tick()
        await self.desk.counter.work_off()
        await work_off(self.desk.counter.desk(LOOKER), (await self.row()).id)
        return await self.desk.run()


@pytest.fixture
def ann(desk: Desk) -> Reader:
    return Reader(desk)


def subjects(letters: list[EmailMessage]) -> list[str]:
    return [letter["Subject"] for letter in letters]


async def test_a_subscriber_is_reminded_once_a_cycle_thanked_with_the_key_and_told_of_the_end(ann: Reader, desk: Desk):
    await ann.subscribe()
    assert subjects(await desk.run()) == ["Your license key for App Team"]
    row = await ann.row()
    page = f"http://shop.test/pay/{pay_token(desk.room.vault, row.id)}"

    [letter] = await ann.comes_to(row.paid_through - 3 * DAY)
    assert (letter["To"], letter["Subject"]) == (ANN, "App Team: your subscription renews on 21 Oct 2026")
    for text in parts(letter):
        assert [words for words in (page, "$12.00", "21 Nov 2026", "28 Oct 2026", "Ada") if words not in text] == []
        assert "LIC1-" not in text
    async with desk.room.store.work(desk.counter.now, TESTER) as work:
        (await work.session.scalars(select(LetterCursor))).one().position = 0
    assert await ann.comes_to(row.paid_through - 2 * DAY) == []

    await ann.pay()
    [letter] = await desk.run()
    assert letter["Subject"] == "App Team: your subscription is renewed"
    async with desk.room.store.read() as read:
        first = (await read.session.scalars(select(Order).order_by(Order.created_at))).first()
    assert first is not None
    key = await desk.counter.key(first)
    assert all(key in text and "21 Nov 2026" in text for text in parts(letter))

    row = await ann.row()
    desk.counter.clock.move(row.paid_through - DAY)
    await work_off(desk.counter.desk(LOOKER), row.id)
    await ann.pay()
    assert subjects(await desk.run()) == ["App Team: your subscription is renewed"], "it was paid before it was due"

    end = (await ann.row()).paid_through
    assert len(await ann.comes_to(end - DAY)) == 1
    [letter] = await ann.comes_to(end)
    assert letter["Subject"] == "App Team: your subscription is not paid yet"
    assert all(page in text and "28 Dec 2026, 12:00 UTC" in text for text in parts(letter))
    assert all("waits for the decision" not in text for text in parts(letter))
    desk.counter.clock.move(end + timedelta(hours=1))  # too late for what was asked a day before
    earlier = await ann.quoted_anew()
    await desk.counter.pay(earlier)
    [letter] = await ann.comes_to(end + 7 * DAY)
    assert letter["Subject"] == "App Team: your subscription has ended unpaid"
    held = f"A payment of $12.00 for an earlier request (reference {earlier.support_reference}) waits for the decision"
    assert all(page in text and held in text for text in parts(letter))


async def test_a_trial_is_called_one_and_nobody_without_an_address_is_written_to(ann: Reader, desk: Desk):
    await ann.subscribe(trial_days=14)
    await desk.run()
    [letter] = await ann.comes_to((await ann.row()).paid_through - DAY)
    assert all("Your trial of" in text and "5 Oct 2026" in text for text in parts(letter))
    desk.counter.clock.move(desk.counter.now + timedelta(hours=1))
    await desk.counter.pay(await ann.quoted_anew(), confirmed=False)
    end = (await ann.row()).paid_through
    assert [await ann.comes_to(end - timedelta(hours=1)), await ann.comes_to(end)] == [[], []], "money is on its way"


async def test_who_gave_no_address_is_owed_nothing(ann: Reader, desk: Desk):
    await ann.subscribe(None)
    row = await ann.row()
    await ann.comes_to(row.paid_through - DAY)
    await ann.comes_to(row.paid_through)
    assert await desk.rows() == []


async def test_a_declined_card_a_new_price_another_tier_and_the_end_are_told(ann: Reader, desk: Desk):
    await ann.subscribe()
    await desk.run()
    row = await ann.row()
    desk.counter.clock.move(row.paid_through - DAY)
    await work_off(desk.counter.desk(LOOKER), row.id)
    order = await ann.open_order()
    async with desk.room.store.work(desk.counter.now, TESTER) as work:
        assert await openings.begin_charge(work, row.id, order.id)
        await openings.charge_failed(work, row.id, order.id, "declined")
        await moves.change_price(work, row.id, 1500, reason="Storage costs us more.")
    price, declined = sorted(await desk.run(), key=lambda letter: letter["Subject"])  # several go out at once
    assert declined["Subject"] == "App Team: your card was not charged"
    assert price["Subject"] == "App Team: a new price from 21 Nov 2026"
    for text in parts(price):
        assert [words for words in ("$15.00", "$12.00", "Storage costs us more.") if words not in text] == []

    async with desk.room.store.work(desk.counter.now, TESTER) as work:
        license = await work.get(License, row.license_id)
        work.record(
            LicenseTierChanged(
                license_id=license.id,
                product_id=license.product_id,
                from_policy_id=row.policy_id,
                to_policy_id=row.policy_id,
                to_policy_slug="team",
                direction=ChangeDirection.UPGRADE,
                actor=ChangedBy.ADMIN,
                order_id=OrderId(order.id),
                tier_change_id=TierChangeId(work.new_id()),
            )
        )
    [letter] = await desk.run()
    assert letter["Subject"] == "Your license is App Team now"
    assert all("LIC1-" in text for text in parts(letter))

    async with desk.room.store.work(desk.counter.now, TESTER) as work:
        await moves.change_price(work, row.id, 1600, reason="More still.")
        await subscribed.cancel(work, row.id, reason="too dear")
    [letter] = await desk.run()
    assert letter["Subject"] == "App Team: your subscription is cancelled"
    assert all("28 Oct 2026" in text and "too dear" not in text for text in parts(letter))
    assert sorted({row.status for row in await desk.rows()}) == ["dropped", "sent"]
