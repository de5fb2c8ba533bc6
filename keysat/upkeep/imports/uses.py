"""Uses of codes, of orders that are here. What a code counts are the uses whose order was fulfilled."""

from collections import Counter

from sqlalchemy import select

from keysat.catalog.discount_read import count_use
from keysat.catalog.tables import DiscountCode
from keysat.checkout.codes import redeem
from keysat.checkout.tables import Order, OrderStatus, Redemption, RedemptionStatus
from keysat.licenses.tables import License
from keysat.upkeep.imports.fields import Values, alike
from keysat.upkeep.imports.move import Move
from keysat.upkeep.imports.source import Row

KIND = "uses of codes"


async def bring_uses(move: Move) -> None:
    """Those that are new; and one that was given back is taken up again, if its order was fulfilled since."""
    terms = select(DiscountCode.kind, DiscountCode.amount, DiscountCode.currency, DiscountCode.id)
    codes = {code.pop("id"): code for code in map(dict, (await move.work.session.execute(terms)).mappings())}
    fulfilled = set(await move.work.session.scalars(select(Order.id).where(Order.status == OrderStatus.FULFILLED)))
    made = move.fitting(KIND, Redemption, move.read(KIND, "discount_redemptions", _use))
    for use in made:
        use |= codes[use["discount_id"]]
        is_spent = use["order_id"] in fulfilled
        use["status"] = RedemptionStatus.REDEEMED if is_spent else RedemptionStatus.RELEASED
    written = await move.write(KIND, Redemption, made)
    spent = Counter(use["discount_id"] for use in written.new if use["status"] is RedemptionStatus.REDEEMED)
    for code_id, count in spent.items():
        await count_use(move.work, code_id, count)
    for use, here in written.known:
        if use["status"] is RedemptionStatus.REDEEMED and here["status"] is RedemptionStatus.RELEASED:
            order = await move.work.get(Order, use["order_id"])
            await redeem(move.work, order, await move.work.get(License, order.license_id))
            move.report.changed["uses of codes redeemed"] += 1


def _use(move: Move, row: Row) -> Values:
    called = {"order_id": "invoice_id", "discount_id": "code_id", "status_at": "updated_at"}
    return alike(row, move.work.now, Redemption, "id", "created_at", **called) | {"cycles": 1}
