"""What its buyer, its operator and time do to a subscription, as all doors mean it.

A subscription ends or rests through the verbs here, never by those of `subscriptions` alone, so that no order is left
that nobody needs. All that hang on the order hold it first (`next_order.hold_all`).
"""

from uuid import UUID

from keysat.checkout.change.open import order_of_change
from keysat.checkout.close import question
from keysat.checkout.gate import Doubt
from keysat.checkout.next_order import drop, hold_all, is_being_paid
from keysat.checkout.schedule import is_being_opened
from keysat.checkout.tables import Order, OrderStatus
from keysat.infra.work import Work
from keysat.kit.errors import Conflict
from keysat.licenses import issue
from keysat.licenses.tables import License
from keysat.subscriptions import lifecycle
from keysat.subscriptions.openings import unpark
from keysat.subscriptions.tables import SubscriptionStatus


async def cancel(
    work: Work, subscription_id: UUID, *, reason: str | None, at_period_end: bool = False
) -> SubscriptionStatus | None:
    """As `lifecycle.cancel`, and its open order ends, unless it is being paid: then the period it pays is the last.

    None: done, or to be done when its period ends. Else it was over before, and had this status (contract 3.14). A
    lapsed one is over unless an order for it is open or to be opened. Raises NotFound.
    """
    order, subscription, _ = await hold_all(work, subscription_id)
    status = subscription.status
    has_lapsed_for_good = status is SubscriptionStatus.LAPSED and order is None and not subscription.next_attempt_at
    if status is SubscriptionStatus.CANCELLED or has_lapsed_for_good:
        return status
    is_paying = order is not None and await is_being_paid(work, order, work.now)
    dropped = await lifecycle.cancel(
        work, subscription_id, reason=reason, at_period_end=at_period_end, is_being_paid=is_paying
    )
    await drop(work, dropped)
    return None


async def keep_on(work: Work, subscription_id: UUID) -> None:
    """As `lifecycle.keep_on`."""
    await lifecycle.keep_on(work, subscription_id)


async def pause(work: Work, subscription_id: UUID) -> None:
    """As `lifecycle.pause`, and its open order ends. Raises Conflict also while that order's money is on its way."""
    order, _, _ = await hold_all(work, subscription_id)
    if order is not None and await is_being_paid(work, order, work.now):
        raise Conflict("A payment for the next period is on its way. Pause this subscription when it is confirmed.")
    await drop(work, await lifecycle.pause(work, subscription_id))


async def resume(work: Work, subscription_id: UUID) -> bool:
    """As `lifecycle.resume`; an order that is to be opened is opened now."""
    is_paid = await lifecycle.resume(work, subscription_id)
    work.wake("renew")
    return is_paid


async def retry(work: Work, subscription_id: UUID) -> None:
    """What kept its order from being opened is mended: the job tries now. Raises NotFound; Conflict if not parked."""
    if not await unpark(work, subscription_id):
        raise Conflict("This subscription is not parked: there is nothing to try again.")
    work.wake("renew")


async def end_period(work: Work, subscription_id: UUID) -> bool:
    """As `lifecycle.end_period`; False also while its buyer may be paying."""
    order, _, license = await hold_all(work, subscription_id)
    if await _is_at_the_checkout(work, order, license):
        return False
    has_ended = await lifecycle.end_period(work, subscription_id)
    if has_ended and order is not None:
        await drop(work, order.id)
    return has_ended


async def lapse(work: Work, subscription_id: UUID) -> bool:
    """As `lifecycle.lapse`; False also while its buyer may be paying: then that begins a new calendar."""
    order, _, license = await hold_all(work, subscription_id)
    if await _is_at_the_checkout(work, order, license):
        return False
    has_lapsed, dropped = await lifecycle.lapse(work, subscription_id)
    await drop(work, dropped)
    return has_lapsed


async def _is_at_the_checkout(work: Work, order: Order | None, license: License) -> bool:
    """Its buyer may be paying the next period, or a change of tier: time takes nothing from under his hands.

    An offer that has run out counts until the provider has said so: it may have been paid in time, while nobody looked.
    """
    if await order_of_change(work, license.id) is not None:
        return True
    if order is None:
        return False
    may_be_paid = order.status is OrderStatus.AWAITING or is_being_opened(order, work.now)
    return may_be_paid or await is_being_paid(work, order, work.now)


async def revoke(work: Work, license_id: UUID, reason: str) -> License:
    """As `issue.revoke`, and its subscription is cancelled. Money that is on its way for it waits for a person."""
    subscription_id = await lifecycle.id_of(work, license_id)
    order = (await hold_all(work, subscription_id))[0] if subscription_id is not None else None
    license = await issue.revoke(work, license_id, reason)
    await drop(work, await lifecycle.end_for_license(work, license_id))
    if order is not None and order.status is OrderStatus.PROCESSING:
        await question(work, order, Doubt.PAYS_NO_PERIOD)
    return license
