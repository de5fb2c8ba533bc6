"""A subscription that changes: to another tier or offer, always with the whole price tuple, or to a new list price."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from keysat.catalog.tables import Policy
from keysat.infra.work import Work
from keysat.kit.errors import BadRequest, Conflict
from keysat.kit.periods import Period
from keysat.licenses.change import Changed, change_tier, tier_terms
from keysat.licenses.standing import grace_end
from keysat.licenses.tables import License, OwnField
from keysat.subscriptions import happenings
from keysat.subscriptions.lifecycle import (
    drop_open_cycle,
    end_for_license,
    grace_put_aside,
    held,
    id_of,
    keep_discount,
    open_cycle_of,
    paid_cycle,
    plan_opening,
    start,
)
from keysat.subscriptions.proration import Price, shares
from keysat.subscriptions.read import money_of, running
from keysat.subscriptions.rules import attempt_at, calendar_of, first_cycle_after_notice
from keysat.subscriptions.tables import SUBSCRIPTION, Subscription, SubscriptionStatus, SubscriptionStep

ENDED = (SubscriptionStatus.LAPSED, SubscriptionStatus.CANCELLED)


@dataclass(frozen=True, slots=True)
class Target:
    """The tier, or an offer of it, to move to; `price` is the list price."""

    policy: Policy
    offer_id: UUID | None
    price: Price


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of the license; `dropped` is the open renewal order, which is superseded."""

    changed: Changed
    dropped: UUID | None


async def move(
    work: Work,
    license_id: UUID,
    target: Target,
    *,
    is_anew: bool,
    worth: int | None,
    paid: int,
    order_id: UUID | None,
) -> Moved:
    """Give license and subscription the target's values, at once.

    `is_anew` and `worth` are those of the `Proration` that was paid. Given for nothing, `worth` is None: what is paid
    is worth what it was, and a new cycle nothing. `paid` is money, in minor units: with a new cycle all that was paid
    for it, what earlier ones had left included; else for the rest of those that run. A target for good ends the
    subscription; one with a period starts a subscription where there is none. `order_id` is the paid order of a cycle
    that begins anew.
    Records no `license.tier_changed`. Raises NotFound, BadRequest; Conflict when the license is revoked.
    """
    license = await work.hold(License, license_id)
    subscription_id = await id_of(work, license_id)
    if target.price.period is None:
        dropped = await end_for_license(work, license_id)
        seconds = target.policy.duration_seconds
        expires_at = work.now + timedelta(seconds=seconds) if seconds else None
        terms = tier_terms(target.policy, expires_at=expires_at, is_subscribed=False)
        changed = await change_tier(work, license.id, terms)
        return Moved(changed, dropped)
    over, dropped, aside = grace_end(license), None, None
    if subscription_id is None:
        subscription = await _begin(work, license_id, target, target.price.period, worth, order_id)
    else:
        dropped = await drop_open_cycle(work, subscription_id)
        subscription, _ = await held(work, subscription_id)
        before, aside = subscription.policy_id, grace_put_aside(subscription, license)
        is_anew = is_anew or not license.is_subscribed
        await _retune(
            work, subscription, target, target.price.period, is_anew=is_anew, worth=worth, paid=paid, order_id=order_id
        )
        keep_discount(subscription, None)
        _tell(work, subscription, before, is_anew=is_anew)
    is_trial = subscription.cycle_number == 0
    terms = tier_terms(target.policy, expires_at=subscription.paid_through, is_subscribed=True, is_trial=is_trial)
    changed = await change_tier(work, license_id, terms)
    is_over = over is not None and over <= work.now and subscription.status in ENDED
    is_aside = subscription.paused_grace_seconds is not None or is_over  # a longer grace revives nothing
    is_own = OwnField.GRACE_SECONDS in changed.kept
    if is_aside and not is_own:
        subscription.paused_grace_seconds, changed.license.grace_seconds = changed.license.grace_seconds, 0
    elif is_own and not is_aside and aside is not None:
        changed.license.grace_seconds = aside
    return Moved(changed, dropped)


async def change_price(
    work: Work, subscription_id: UUID, value: int, *, reason: str, from_cycle: int | None = None
) -> datetime:
    """A new list price, for the first cycle that begins 14 days from now or for a later one. Returns when that begins.

    The buyer is told the reason. An order that is open stays as it is. Another change that was to come is replaced.
    Raises NotFound; BadRequest for a cycle that comes too early; Conflict when the subscription does not renew.
    """
    subscription, license = await held(work, subscription_id)
    if subscription.status not in (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE):
        raise Conflict(f"This subscription is {subscription.status.value}: it has no next price.")
    if value < 0:
        raise BadRequest("A price is not negative.")
    first = first_cycle_after_notice(subscription, work.now)
    open_cycle = await open_cycle_of(work, subscription.id)
    if open_cycle is not None:
        first = max(first, open_cycle.number + 1)
    cycle = from_cycle if from_cycle is not None else first
    if cycle < first:
        raise BadRequest(f"A new price is announced 14 days ahead: it can hold from cycle {first} on.")
    holds_from = calendar_of(subscription).end(cycle - 1)
    subscription.next_value, subscription.next_value_from, subscription.next_value_reason = value, cycle, reason
    work.record(
        happenings.SubscriptionPriceChanged(
            subscription_id=subscription.id,
            license_id=license.id,
            listed_currency=subscription.listed_currency,
            old_value=subscription.listed_value,
            new_value=value,
            from_cycle=cycle,
            holds_from=holds_from,
        )
    )
    return holds_from


async def _begin(
    work: Work, license_id: UUID, target: Target, period: Period, worth: int | None, order_id: UUID | None
) -> Subscription:
    """The first subscription of a license that was for good."""
    return await start(
        work,
        license_id=license_id,
        policy_id=target.policy.id,
        offer_id=target.offer_id,
        period=period,
        listed_currency=target.price.money.currency,
        listed_value=target.price.money.minor,
        paid_value=worth or 0,
        order_id=order_id,
    )


async def _retune(
    work: Work,
    row: Subscription,
    target: Target,
    period: Period,
    *,
    is_anew: bool,
    worth: int | None,
    paid: int,
    order_id: UUID | None,
) -> None:
    """Its new price tuple, and where its calendar goes on from: now, or with another period from what is paid."""
    calendar, cycles = calendar_of(row), await running(work, row.id, work.now)
    is_other_period = calendar.period != period
    row.policy_id, row.offer_id, row.lead_days = target.policy.id, target.offer_id, target.policy.renewal_lead_days
    row.listed_currency, row.listed_value = target.price.money.currency, target.price.money.minor
    row.period_count, row.period_unit = period.count, period.unit
    row.next_value = row.next_value_from = row.next_value_reason = None
    if is_anew:
        for cycle in cycles:
            cycle.starts_at, cycle.ends_at = min(cycle.starts_at, work.now), work.now
        number = row.cycle_number + 1
        calendar = calendar.anchored(work.now, row.cycle_number, period)
        values: dict[str, object] = {
            "anchor_at": calendar.anchor_at,
            "anchor_cycle": calendar.anchor_cycle,
            "cycle_number": number,
            "paid_through": calendar.end(number),
            "cancel_at_period_end": False,
            "paused_grace_seconds": None,
        }
        ends = {"lapsed_at": None, "paused_at": None, "cancelled_at": None, "cancellation_reason": None}
        await work.advance(SUBSCRIPTION, row, SubscriptionStep.RESTART, lapses_at=None, **values, **ends)
        work.session.add(paid_cycle(work, row, work.now, order_id, worth=worth or 0, paid=paid))
    else:
        if is_other_period:
            row.anchor_at, row.anchor_cycle = row.paid_through, row.cycle_number
        bought = [cycle for cycle in cycles if cycle.number]  # nothing is paid for a trial
        lefts = [money_of(cycle).left(work.now) for cycle in bought]
        for cycle, share in zip(bought, shares(paid, lefts), strict=True):
            cycle.worth, cycle.paid = max(0, cycle.worth + (worth or 0)), cycle.paid + share
    if row.status is SubscriptionStatus.ACTIVE and not row.cancel_at_period_end:
        await plan_opening(work, row, attempt_at(row))
    elif row.status is SubscriptionStatus.PAST_DUE and row.parked_at is None:
        row.next_attempt_at = work.now  # its order was dropped, and another is opened at the new price


def _tell(work: Work, row: Subscription, before: UUID, *, is_anew: bool) -> None:
    work.record(
        happenings.SubscriptionMoved(
            subscription_id=row.id,
            license_id=row.license_id,
            from_policy_id=before,
            to_policy_id=row.policy_id,
            listed_currency=row.listed_currency,
            listed_value=row.listed_value,
            paid_through=row.paid_through,
            is_anew=is_anew,
        )
    )
