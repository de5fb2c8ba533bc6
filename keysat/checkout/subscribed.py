"""What its buyer or the operator does to a subscription, as all doors mean it."""

from datetime import datetime
from uuid import UUID

from keysat.checkout import period
from keysat.infra.work import Work
from keysat.kit.errors import Conflict
from keysat.subscriptions import moves
from keysat.subscriptions.lifecycle import held, open_cycle_of
from keysat.subscriptions.openings import unpark
from keysat.subscriptions.tables import Subscription, SubscriptionStatus


async def cancel(
    work: Work, subscription_id: UUID, *, reason: str | None, at_period_end: bool = False
) -> SubscriptionStatus | None:
    """None: done, or to be done when its period ends. Else it was over before, and had this status (contract 3.14).

    A lapsed one is over unless an order for it is open or to be opened. Raises NotFound.
    """
    await period.open_order(work, subscription_id)  # whoever settles holds the order first
    subscription, _ = await held(work, subscription_id)
    if await _is_over(work, subscription):
        return subscription.status
    await period.cancel(work, subscription_id, reason=reason, at_period_end=at_period_end)
    return None


async def change_price(
    work: Work, subscription_id: UUID, value: int, *, reason: str, from_cycle: int | None = None
) -> datetime:
    """As `moves.change_price`; the buyer is told the reason."""
    holds_from = await moves.change_price(work, subscription_id, value, from_cycle)
    (await work.get(Subscription, subscription_id)).next_value_reason = reason
    return holds_from


async def retry(work: Work, subscription_id: UUID) -> None:
    """What kept its order from being opened is mended: the job tries now. Raises NotFound; Conflict if not parked."""
    if not await unpark(work, subscription_id):
        raise Conflict("This subscription is not parked: there is nothing to try again.")
    work.wake("renew")


async def _is_over(work: Work, subscription: Subscription) -> bool:
    match subscription.status:
        case SubscriptionStatus.CANCELLED:
            return True
        case SubscriptionStatus.LAPSED:
            return subscription.next_attempt_at is None and await open_cycle_of(work, subscription.id) is None
        case _:
            return False
