"""What a paid order brings: one act for each purpose. Only `settle` calls it."""

from datetime import datetime, timedelta

from keysat.catalog.tables import Policy
from keysat.catalog.views import period_of
from keysat.checkout.change.apply import apply_paid
from keysat.checkout.redemptions import redemption_of
from keysat.checkout.tables import Order, Purpose
from keysat.infra.work import Work
from keysat.kit.errors import Conflict
from keysat.kit.periods import Period, one_after
from keysat.licenses.change import tier_terms
from keysat.licenses.issue import Terms, issue
from keysat.licenses.tables import License
from keysat.subscriptions.lifecycle import renew, start
from keysat.subscriptions.rules import Carried


async def fulfil(work: Work, order: Order) -> License:
    """Runs in the settling transaction, in a savepoint: what it raises leaves the order paid and unfulfilled."""
    match order.purpose:
        case Purpose.PURCHASE | Purpose.MANUAL:
            return await _sell(work, order)
        case Purpose.RENEWAL:
            return await _renew(work, order)
        case Purpose.TIER_CHANGE:
            return await apply_paid(work, order)
        case Purpose.IMPORT:
            raise Conflict("This order was fulfilled by the shop it came from.")


async def _sell(work: Work, order: Order) -> License:
    policy = await work.get(Policy, order.policy_id) if order.policy_id else None
    period = period_of(order.period_count, order.period_unit)
    trial_until = work.now + timedelta(days=order.trial_days) if order.trial_days else None
    license = await issue(
        work,
        _terms(work, order, policy, period, trial_until),
        order_id=order.id,
        customer_id=order.customer_id,
        source=order.purpose.value,
    )
    if policy is not None and period is not None:
        await start(
            work,
            license_id=license.id,
            policy_id=policy.id,
            offer_id=order.offer_id,
            period=period,
            listed_currency=order.listed_currency,
            listed_value=order.base_value,
            paid_value=order.listed_value,
            order_id=order.id,
            trial_until=trial_until,
            discount=await _carried(work, order),
        )
    return license


async def _renew(work: Work, order: Order) -> License:
    """The same license, for another period. Raises Conflict when the order pays none (any more)."""
    subscription = await renew(work, order.id, order.listed_value)
    return await work.get(License, subscription.license_id)


async def _carried(work: Work, order: Order) -> Carried | None:
    """The code it was bought with, as it was then: its renewals have it as long as it says."""
    use = await redemption_of(work, order.id)
    return Carried(use.kind, use.amount, use.currency, use.cycles) if use is not None else None


def _terms(
    work: Work, order: Order, policy: Policy | None, period: Period | None, trial_until: datetime | None
) -> Terms:
    """A product without tiers sells itself: for ever, on one machine, without entitlements."""
    if policy is None:
        return Terms(product_id=order.product_id, policy_id=None)
    if period is not None:
        expires_at = one_after(work.now, period)
    else:
        expires_at = work.now + timedelta(seconds=policy.duration_seconds) if policy.duration_seconds else None
    return tier_terms(
        policy,
        expires_at=trial_until or expires_at,
        is_subscribed=period is not None,
        is_trial=trial_until is not None,
    )
