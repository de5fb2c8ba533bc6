"""Uses of codes, of orders that are here. What a code counts are the uses whose order was fulfilled."""

from collections import Counter
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, select

from keysat.catalog.discount_read import count_use
from keysat.catalog.tables import DiscountCode
from keysat.checkout.codes import redeem
from keysat.checkout.tables import Order, OrderStatus, Redemption, RedemptionStatus
from keysat.licenses.tables import License
from keysat.upkeep.imports.move import AT_ONCE, Move
from keysat.upkeep.imports.source import Row
from keysat.upkeep.rows import parted

KIND = "uses of codes"


async def bring_uses(move: Move) -> None:
    """Those that are new; and one that was given back is taken up again, if its order was fulfilled since."""
    terms = select(DiscountCode.id, DiscountCode.kind, DiscountCode.amount, DiscountCode.currency)
    codes = {code["id"]: code for code in (await move.work.session.execute(terms)).mappings()}
    made = move.fitting(
        KIND, Redemption, move.read(KIND, move.source.rows("discount_redemptions"), partial(_use, move))
    )
    statuses: dict[UUID, OrderStatus] = {}
    for part in parted([use["order_id"] for use in made], AT_ONCE):
        rows = await move.work.session.execute(select(Order.id, Order.status).where(Order.id.in_(part)))
        statuses |= {row.id: row.status for row in rows}
    uses = [use | _terms(codes[use["discount_id"]], statuses[use["order_id"]]) for use in made]
    written = await move.write(KIND, Redemption, uses, Redemption.status)
    spent = Counter(use["discount_id"] for use in written.new if use["status"] is RedemptionStatus.REDEEMED)
    for code_id, count in spent.items():
        await count_use(move.work, code_id, count)
    for use, here in written.known:
        if use["status"] is RedemptionStatus.REDEEMED and here["status"] is RedemptionStatus.RELEASED:
            order = await move.work.get(Order, use["order_id"])
            await redeem(move.work, order, await move.work.get(License, order.license_id))
            move.report.changed["uses of codes redeemed"] += 1


def _terms(code: RowMapping, order: OrderStatus) -> dict[str, Any]:
    status = RedemptionStatus.REDEEMED if order is OrderStatus.FULFILLED else RedemptionStatus.RELEASED
    return {"status": status, "kind": code["kind"], "amount": code["amount"], "currency": code["currency"]}


def _use(move: Move, row: Row) -> dict[str, Any]:
    return {
        "id": row.id(),
        "order_id": row.id("invoice_id"),
        "discount_id": row.id("code_id"),
        "cycles": 1,
        "created_at": move.at(row, "created_at"),
        "status_at": move.at(row, "updated_at"),
    }
