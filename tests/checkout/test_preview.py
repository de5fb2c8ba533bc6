"""What the preview says of a code is what a purchase does with it."""

from typing import Any

import pytest
from sqlalchemy import select

from keysat.checkout.preview import preview
from keysat.checkout.tables import Redemption
from tests.catalog.shelf import a_code, a_tier, code_now
from tests.checkout.counter import BUYER, Counter


@pytest.mark.parametrize(
    ("tier", "fields"),
    [
        ("free", {"kind": "free_license", "amount": 0}),
        ("free", {"kind": "percent", "amount": 5000}),
        ("pro", {"kind": "set_price", "amount": 9000, "discount_currency": "USD"}),
        ("pro", {"kind": "set_price", "amount": 200_000}),
        ("pro", {"kind": "percent", "amount": 1}),
    ],
)
@pytest.mark.once
async def test_a_code_that_takes_nothing_off_is_not_used_up(  # W-09
    counter: Counter, tier: str, fields: dict[str, Any]
) -> None:
    await a_tier(counter.store, "free", price_value=0)
    await a_code(counter.store, "NIL", max_uses=1, **fields)
    shown = await preview(counter.desk(BUYER), "NIL", "app", tier, None)
    assert (shown.valid, shown.final_price_value, shown.discount_applied_sats) == (True, shown.base_price_value, 0)
    assert "takes nothing off" in shown.message
    order = await counter.buy(tier, code="NIL")
    assert order.listed_value == order.base_value
    assert (await code_now(counter.store, "NIL")).used_count == 0
    async with counter.store.read() as read:
        assert (await read.session.scalars(select(Redemption))).all() == []
