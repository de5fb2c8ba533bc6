"""A change of tier comes into force: paid, given, or at the end of what is paid. Once, under the license's lock."""

from keysat.catalog.tables import Policy
from keysat.catalog.views import period_of
from keysat.checkout.change.open import (
    change_of,
    check_may_change,
    hold_license,
    is_renewing,
    open_change,
    supersede_open,
)
from keysat.checkout.change.quote import Before
from keysat.checkout.change.tables import CHANGE, OPEN_CHANGES, ChangeStatus, ChangeStep, TierChange
from keysat.checkout.gate import Doubt
from keysat.checkout.happenings import LicenseTierChanged
from keysat.checkout.next_order import drop
from keysat.checkout.tables import Order, Purpose
from keysat.infra.work import Work
from keysat.kit.money import Money
from keysat.licenses.tables import License, LicenseStatus
from keysat.subscriptions.moves import Target, move
from keysat.subscriptions.openings import put_off
from keysat.subscriptions.proration import Price
from keysat.subscriptions.read import subscription_of
from keysat.subscriptions.tables import Subscription


async def change_doubt(work: Work, order: Order) -> Doubt | None:
    """Why money for this order is not to be taken for a sale, though it is all there. Holds the license."""
    if order.purpose is not Purpose.TIER_CHANGE:
        return None
    change = await change_of(work, order)
    license = await hold_license(work, change.license_id)
    await work.session.refresh(change)
    if change.status is not ChangeStatus.AWAITING_PAYMENT:
        return Doubt.CHANGE_SUPERSEDED
    if await is_renewing(work, license.id):
        return Doubt.RENEWAL_ON_ITS_WAY
    is_fresh = license.status is LicenseStatus.ACTIVE and await _is_as_quoted(work, change, license)
    return None if is_fresh else Doubt.CHANGE_STALE


async def apply_paid(work: Work, order: Order) -> License:
    """Its money is here, or it is given. Raises as `check_may_change`; IllegalStep when it was applied before.

    A stale one comes here only when the operator accepts it: what is paid meanwhile keeps its own worth.
    """
    change = await change_of(work, order)
    license = await hold_license(work, change.license_id)
    await check_may_change(work, license)
    is_fresh = await _is_as_quoted(work, change, license)
    worth = change.worth if is_fresh or change.is_anew else None
    paid = change.charge_value
    if is_fresh and change.is_anew and change.worth is not None:
        paid = change.worth  # what the quote has credited was paid too, for the cycle that gives way to this one
    return await _apply(work, change, worth=worth, paid=paid)


async def apply_scheduled(work: Work, subscription: Subscription) -> bool:
    """To be asked before the next cycle is priced. False: it is not to be priced now.

    Then a change waits for the end of what is paid, and so does the order (`next_attempt_at`): until that moment the
    buyer has the tier that is paid for. The caller holds all.
    """
    change = await open_change(work, subscription.license_id, ChangeStatus.SCHEDULED)
    if change is None:
        return True
    if work.now < subscription.paid_through:
        await put_off(work, subscription, subscription.paid_through)
        return False
    await _apply(work, change, worth=None, paid=0)
    return True


async def _apply(work: Work, change: TierChange, *, worth: int | None, paid: int) -> License:
    """The caller holds the license."""
    await work.advance(CHANGE, change, ChangeStep.APPLY, status_at=work.now)
    await supersede_open(work, change.license_id, *OPEN_CHANGES)
    policy = await work.get(Policy, change.to_policy_id)
    price = Price(
        Money(change.listed_currency, change.target_value), period_of(change.period_count, change.period_unit)
    )
    moved = await move(
        work,
        change.license_id,
        Target(policy, change.to_offer_id, price),
        is_anew=change.is_anew,
        worth=worth,
        paid=paid,
        order_id=change.order_id,
    )
    await drop(work, moved.dropped)
    license = moved.changed.license
    work.record(
        LicenseTierChanged(
            license_id=license.id,
            product_id=license.product_id,
            from_policy_id=change.from_policy_id,
            to_policy_id=change.to_policy_id,
            to_policy_slug=policy.slug,
            direction=change.direction,
            actor=change.actor,
            order_id=change.order_id,
            tier_change_id=change.id,
        )
    )
    return license


async def _is_as_quoted(work: Work, change: TierChange, license: License) -> bool:
    return Before.of(license, await subscription_of(work, license.id)) == Before.quoted(change)
