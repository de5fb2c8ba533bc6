from datetime import timedelta

import pytest
from sqlalchemy import Update, delete, select, update

from keysat.checkout.tables import Order, OrderStatus
from keysat.infra.house import write_once
from keysat.infra.seals import seal
from keysat.infra.store import Store
from keysat.infra.tables import EventRow, EventSeal
from keysat.licenses.tables import License
from keysat.payments.provider import Network
from keysat.payments.tables import Attempt, ConnectionRow
from keysat.upkeep.doctor import violations
from keysat.webhooks.tables import DispatchCursor
from tests.checkout.counter import LOOKER, Counter, open_counter


@pytest.fixture
async def sold(store: Store):
    """A counter at which one order was paid, and one is open."""
    async with open_counter(store) as counter:
        async with store.work(counter.now, LOOKER) as work:
            await write_once(work, "mode", "live")
        await counter.pay(await counter.buy())
        await counter.buy()
        await seal(store, counter.now)
        yield counter


async def found(counter: Counter, **later: float) -> list[str]:
    async with counter.store.read() as read:
        return await violations(read, counter.now + timedelta(**later))


async def test_a_shop_that_is_well_and_one_whose_events_were_read_past_their_end(sold: Counter):
    assert await found(sold) == []
    async with sold.store.work(sold.now, LOOKER) as work:
        work.session.add(DispatchCursor(name=DispatchCursor.READER, position=1000, moved_at=sold.now))
    [told] = await found(sold)
    assert "webhook_cursor has read up to position 1000" in told


async def test_events_that_nobody_seals(sold: Counter):
    async with sold.store.work(sold.now, LOOKER) as work:
        await work.session.execute(delete(EventSeal).where(EventSeal.position > 3))
        await work.session.execute(update(EventRow).where(EventRow.id > 3).values(sealed=False, at=sold.now))
    assert await found(sold, seconds=4) == []
    assert "not sealed" in (await found(sold, seconds=6))[0]


async def test_an_altered_event(sold: Counter):
    async with sold.store.work(sold.now, LOOKER) as work:
        await work.session.execute(update(EventRow).where(EventRow.id == 2).values(body="{}"))
    assert await found(sold) == ["The chain of events is broken at position 2: event 2 was altered."]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (update(License).values(order_id=None), ["made no license", "neither sold nor given"]),
        (update(Order).values(paid_how=None), ["nothing says when, how or by what"]),
        (update(Order).values(paid_attempt_id=None), ["nothing says when, how or by what"]),
        (update(Order).where(Order.paid_at.is_not(None)).values(paid_how="free"), ["given for nothing"]),
        (update(Order).where(Order.paid_at.is_not(None)).values(license_id=None), ["does not name the license"]),
        (update(Order).values(purpose="tier_change"), ["nothing says which", "changed no tier"]),
        (update(Order).values(next_look_at=None), ["nobody will look at it"]),
        (
            update(Order).where(Order.paid_at.is_(None)).values(status=OrderStatus.EXPIRED, next_look_at=None),
            ["may still be paid late"],
        ),
        (update(Order).where(Order.paid_at.is_(None)).values(status=OrderStatus.REVIEW), ["is not on the list"]),
        (update(Attempt).values(provider_invoice_id=None), ["can be paid, but has no invoice"]),
        (update(Attempt).values(failed="Rejected"), ["nobody looks at", "nobody looks at"]),
        (update(ConnectionRow).values(network=Network.REGTEST), ["but this is a live shop"]),
        (update(License).values(seats_taken=4), ["more seats"]),
    ],
)
async def test_what_must_not_be_is_found(sold: Counter, change: Update, words: list[str]):
    async with sold.store.work(sold.now, LOOKER) as work:
        await work.session.execute(change)
    lines = await found(sold)
    for word in words:
        assert any(word in line for line in lines), lines


async def test_an_order_that_was_paid_in_full_and_is_still_called_underpaid(sold: Counter):
    async with sold.store.work(sold.now, LOOKER) as work:
        order = await work.session.scalar(select(Order).where(Order.status == OrderStatus.FULFILLED))
        assert order is not None
        await work.attend("order_underpaid", order.id, "Half of it came.")
    assert await found(sold) == [f"Order {order.support_reference} is fulfilled, but is still called underpaid."]
