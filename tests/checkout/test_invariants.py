import pytest
from sqlalchemy import update

from keysat.catalog.discount_read import count_use
from keysat.checkout.invariants import broken
from keysat.checkout.tables import Redemption, RedemptionStatus
from tests.catalog.shelf import a_code
from tests.checkout.counter import Counter
from tests.conftest import TESTER


@pytest.mark.once
async def test_the_doctor_sees_a_use_that_is_held_in_vain(counter: Counter) -> None:
    code = await a_code(counter.store, "ONE", max_uses=1)
    order = await counter.buy(code="ONE")
    await counter.travel(hours=30)
    async with counter.store.work(counter.now, TESTER) as work:
        await work.session.execute(update(Redemption).values(status=RedemptionStatus.RESERVED))
        await count_use(work, code.id, 1)
    counter.breaks = ("holds a use of a code",)
    async with counter.store.read() as read:
        told = await broken(read, counter.now)
    assert told == [f"Order {order.support_reference} will not be paid, but holds a use of a code."]
