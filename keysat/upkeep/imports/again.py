"""What an earlier import had brought, and has changed there since: what moves one way only is brought (`bring.py`)."""

from uuid import UUID

from sqlalchemy import RowMapping

from keysat.checkout import subscribed
from keysat.checkout.tables import ORDER, Order, OrderStatus, Step
from keysat.infra.attention import settle_about
from keysat.licenses import issue
from keysat.licenses.change import set_end
from keysat.licenses.happenings import LicenseEdited
from keysat.licenses.tables import LicenseStatus, OwnField
from keysat.upkeep.imports.fields import Values
from keysat.upkeep.imports.move import Move, Written

REVIEW = "order_imported"  # the kind of attention
THERE = "As on the server it came from."  # a reason
ENDED = (OrderStatus.EXPIRED, OrderStatus.INVALID)
PAUSES = ("license.suspended", "license.unsuspended")
TERMS = ("license.edited", "license.tier_changed")
FULFILLED = ("purpose", "status_at", "license_id", "paid_at", "paid_how")  # what an order gets by it, and its status


async def call_for(move: Move, order_id: UUID, reference: str) -> bool:
    """Somebody has to decide about it. False: he was called before."""
    words = f"Order {reference} was paid before the move, and no license came of it. Accept it to issue one."
    return await move.work.attend(REVIEW, order_id, words)


async def orders_again(move: Move, orders: Written, licenses: Written) -> None:
    """The old server went on selling: what was not paid, or made no license, has done so since."""
    came = {license["id"] for license in licenses.new}
    for there, here in orders.known:
        if here["license_id"] is not None or here["status"] is OrderStatus.FULFILLED:
            continue
        if there.get("license_id") in came:
            order = await move.work.get(Order, here["id"])
            await move.work.advance(ORDER, order, Step.FULFIL, **{name: there[name] for name in FULFILLED})
            await settle_about(move.work, order.id)
            move.report.changed["orders fulfilled"] += 1
        elif there["status"] is OrderStatus.REVIEW and here["status"] in ENDED:
            await _question(move, here)


async def _question(move: Move, here: RowMapping) -> None:
    if await call_for(move, here["id"], here["support_reference"]):
        order = await move.work.get(Order, here["id"])
        await move.work.advance(ORDER, order, Step.QUESTION, status_at=move.work.now)
        move.report.changed["orders paid, without a license"] += 1


async def licenses_again(move: Move, licenses: Written) -> None:
    for there, here in licenses.known:
        await _status(move, there, here)
        if here["status"] is not LicenseStatus.REVOKED and not here["is_subscribed"]:
            await _end(move, there, here)


async def _status(move: Move, there: Values, here: RowMapping) -> None:
    wanted, license_id, why = there["status"], there["id"], there["revocation_reason"] or THERE
    if wanted is here["status"]:
        return
    if wanted is LicenseStatus.REVOKED:
        await subscribed.revoke(move.work, license_id, why)
        move.report.changed["licenses revoked"] += 1
    elif here["status"] is LicenseStatus.REVOKED:
        move.report.differ("licenses", license_id, "was revoked here")
    elif await move.was_decided(license_id, *PAUSES):
        move.report.differ("licenses", license_id, "was suspended or let go on here")
    elif wanted is LicenseStatus.SUSPENDED:
        await issue.suspend(move.work, license_id, there["suspension_reason"] or THERE)
        move.report.changed["licenses suspended"] += 1
    else:
        await issue.unsuspend(move.work, license_id)
        move.report.changed["licenses not suspended any more"] += 1


async def _end(move: Move, there: Values, here: RowMapping) -> None:
    """Only later."""
    wanted, ends, license_id = there["expires_at"], here["expires_at"], there["id"]
    if wanted == ends:
        return
    if wanted is None or ends is None or wanted < ends:
        move.report.differ("licenses", license_id, "never ends there" if wanted is None else "ends earlier there")
    elif await move.was_decided(license_id, *TERMS):
        move.report.differ("licenses", license_id, "was given another end or tier here")
    else:
        await set_end(move.work, license_id, wanted)
        move.work.record(LicenseEdited(license_id, [OwnField.EXPIRES_AT]))
        move.report.changed["licenses that end later"] += 1
