"""The changes of a license's tier that are open, and what must be held before one is touched.

Locks are taken as `next_order` does: orders first, the one that is settled and the one that renews, then license and
subscription. A change that is superseded has an order too, which is closed only if nobody holds it: who does finds out
by itself that it pays nothing any more.
"""

from uuid import UUID

from sqlalchemy import select

from keysat.checkout.change.tables import CHANGE, ChangeStatus, ChangeStep, TierChange
from keysat.checkout.next_order import drop, hold_all, is_being_paid, open_order
from keysat.checkout.schedule import is_being_opened
from keysat.checkout.tables import OPEN, SEEN_PAID, Order
from keysat.infra.work import Read, Work
from keysat.kit.errors import Conflict, NotFound
from keysat.licenses.tables import License, LicenseStatus
from keysat.subscriptions.lifecycle import id_of
from keysat.subscriptions.read import subscription_of


async def hold_license(work: Work, license_id: UUID) -> License:
    """With the order that renews it, and its subscription, if there is one. Raises NotFound; Overtaken."""
    subscription_id = await id_of(work, license_id)
    if subscription_id is None:
        return await work.hold(License, license_id)
    _, _, license = await hold_all(work, subscription_id)
    return license


async def is_renewing(work: Work, license_id: UUID) -> bool:
    """A payment for its next period is on its way, which a change of tier would leave without a period to pay.

    The caller holds the license, and with it (`hold_license`) all that is asked for here.
    """
    renewed = await subscription_of(work, license_id)
    order = await open_order(work, renewed.id) if renewed is not None else None
    return order is not None and await is_being_paid(work, order, work.now)


async def check_may_change(work: Work, license: License) -> None:
    """Raises Conflict when it is revoked, or a payment for its next period is on its way. The caller holds it."""
    if license.status is LicenseStatus.REVOKED:
        raise Conflict("A revoked license does not change any more.")
    if await is_renewing(work, license.id):
        raise Conflict("A renewal payment is on its way; try again when it is confirmed.")


async def open_change(read: Read, license_id: UUID, status: ChangeStatus) -> TierChange | None:
    """There is at most one that awaits payment, and one that is scheduled. Who changes it holds the license."""
    return await read.session.scalar(
        select(TierChange)
        .where(TierChange.license_id == license_id, TierChange.status == status)
        .execution_options(populate_existing=True)
    )


async def awaited_order(read: Read, license_id: UUID) -> Order | None:
    """Of the change that awaits its payment, as it stands now."""
    awaited = TierChange.license_id == license_id, TierChange.status == ChangeStatus.AWAITING_PAYMENT
    order = select(Order).join(TierChange, TierChange.order_id == Order.id).where(*awaited)
    return await read.session.scalar(order.execution_options(populate_existing=True))


async def is_change_paid(read: Read, license_id: UUID) -> bool:
    """Money has come for one: until that is through, no other can be paid (`upgrade`)."""
    order = await awaited_order(read, license_id)
    return order is not None and order.status in SEEN_PAID


async def order_of_change(work: Work, license_id: UUID) -> Order | None:
    """Of a change of tier that its buyer may be paying, or has paid. The caller holds the license."""
    order = await awaited_order(work, license_id)
    return order if order is not None and (order.status in OPEN or is_being_opened(order, work.now)) else None


async def change_of(work: Work, order: Order) -> TierChange:
    """Raises NotFound."""
    change = await work.session.scalar(select(TierChange).where(TierChange.order_id == order.id))
    if change is None:
        raise NotFound(f"Order {order.support_reference} changes no tier.")
    return change


async def supersede(work: Work, change: TierChange) -> None:
    """Another change takes its place; money that still comes for it goes to a person."""
    await work.advance(CHANGE, change, ChangeStep.SUPERSEDE, status_at=work.now)
    if change.order_id is not None:
        free = select(Order.id).where(Order.id == change.order_id).with_for_update(skip_locked=True)
        await drop(work, await work.session.scalar(free))


async def supersede_open(work: Work, license_id: UUID, *statuses: ChangeStatus) -> None:
    """Those of the license that are in one of these. The caller holds the license."""
    found = select(TierChange).where(TierChange.license_id == license_id, TierChange.status.in_(statuses))
    for change in (await work.session.scalars(found.execution_options(populate_existing=True))).all():
        await supersede(work, change)
