"""A subscription from its start to its end. Each verb holds the license and then the subscription, and asks `rules`.

What a verb returns as an order's id is the order that was open for the next cycle and is nobody's from now on: the
caller closes it, and money that comes for it goes to a person.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select

from keysat.catalog.tables import Policy
from keysat.infra.attention import clear
from keysat.infra.work import Work
from keysat.kit.errors import Conflict
from keysat.kit.periods import ZONE, Period
from keysat.licenses.change import set_end
from keysat.licenses.standing import grace_end
from keysat.licenses.tables import License
from keysat.subscriptions import happenings
from keysat.subscriptions.rules import Act, Calendar, Carried, act_at, attempt_at, falls_due, next_cycle
from keysat.subscriptions.tables import (
    SUBSCRIPTION,
    Cycle,
    Subscription,
    SubscriptionId,
    SubscriptionStatus,
    SubscriptionStep,
)

PARKED = "subscription_parked"
"""The kind on the "needs attention" list; its subject is the subscription's id."""


async def start(
    work: Work,
    *,
    license_id: UUID,
    policy_id: UUID,
    offer_id: UUID | None,
    period: Period,
    listed_currency: str,
    listed_value: int,
    paid_value: int,
    order_id: UUID | None,
    trial_until: datetime | None = None,
    discount: Carried | None = None,
) -> Subscription:
    """With its license, in the sale's own transaction: anchored now with cycle 1 paid, or on a trial until its end.

    The same calendar gave the license its expiry. `listed_value` is the list price, `paid_value` what was paid of it
    with the order, if there was one.
    """
    license, policy = await work.get(License, license_id), await work.get(Policy, policy_id)
    calendar = Calendar(trial_until or work.now, 0, period, ZONE)
    number = 0 if trial_until is not None else 1
    subscription = Subscription(
        id=SubscriptionId(work.new_id()),
        license_id=license_id,
        customer_id=license.customer_id,
        policy_id=policy_id,
        offer_id=offer_id,
        status=SubscriptionStatus.ACTIVE,
        anchor_at=calendar.anchor_at,
        anchor_cycle=0,
        zone=ZONE,
        period_count=period.count,
        period_unit=period.unit,
        cycle_number=number,
        paid_through=calendar.end(number),
        lead_days=policy.renewal_lead_days,
        listed_currency=listed_currency,
        listed_value=listed_value,
        started_at=work.now,
    )
    keep_discount(subscription, discount)
    subscription.next_attempt_at = attempt_at(subscription)
    work.session.add(subscription)
    await work.session.flush()
    worth = paid_value if number else 0
    work.session.add(paid_cycle(work, subscription, work.now, order_id, worth=worth, paid=worth))
    work.record(
        happenings.SubscriptionStarted(
            subscription_id=subscription.id,
            license_id=license_id,
            product_id=license.product_id,
            policy_id=policy_id,
            customer_id=license.customer_id,
            listed_currency=listed_currency,
            listed_value=listed_value,
            is_trial=trial_until is not None,
            paid_through=subscription.paid_through,
        )
    )
    return subscription


async def renew(work: Work, order_id: UUID, paid_value: int) -> Subscription:
    """The order has paid the next cycle: the same license holds through its end. `paid_value`: minor units.

    In grace the calendar goes on as if it had been paid in time; after it a new one begins now. Raises Conflict when
    the order pays no cycle (it was superseded, closed or has renewed already); IllegalStep when the subscription is
    cancelled or paused.
    """
    subscription, license, cycle = await _paid_by(work, order_id)
    terms = next_cycle(subscription, grace_end(license), work.now)
    values: dict[str, object] = {}
    if terms.is_anew:
        values = {"anchor_at": work.now, "anchor_cycle": subscription.cycle_number}
    if subscription.next_value_from == terms.number:
        values |= {"listed_value": terms.price.minor}
        values |= {"next_value": None, "next_value_from": None, "next_value_reason": None}
    grace_seconds = grace_put_aside(subscription, license)
    values |= {"cycle_number": terms.number, "paid_through": terms.ends_at, "paused_grace_seconds": None}
    await work.advance(SUBSCRIPTION, subscription, SubscriptionStep.RENEW, lapses_at=None, lapsed_at=None, **values)
    ends = subscription.cancel_at_period_end
    await plan_opening(work, subscription, None if ends else attempt_at(subscription))
    cycle.starts_at, cycle.ends_at, cycle.paid_at = terms.starts_at, terms.ends_at, work.now
    cycle.worth = cycle.paid = paid_value
    await set_end(work, license.id, terms.ends_at, grace_seconds=grace_seconds)
    license.is_trial = False
    work.record(
        happenings.SubscriptionRenewed(
            subscription_id=subscription.id,
            license_id=license.id,
            order_id=order_id,
            cycle_number=terms.number,
            paid_through=terms.ends_at,
            is_anew=terms.is_anew,
        )
    )
    return subscription


async def fall_due(work: Work, subscription_id: UUID) -> bool:
    """What is paid is over: grace begins. False: there is nothing to do (any more)."""
    subscription, license = await held(work, subscription_id)
    over = grace_end(license)
    if over is None or not falls_due(subscription, work.now):
        return False
    await work.advance(SUBSCRIPTION, subscription, SubscriptionStep.FALL_DUE, lapses_at=over)
    work.record(
        happenings.SubscriptionPastDue(
            subscription_id=subscription.id,
            license_id=license.id,
            policy_id=subscription.policy_id,
            paid_through=subscription.paid_through,
            grace_until=over,
        )
    )
    return True


async def lapse(work: Work, subscription_id: UUID) -> tuple[bool, UUID | None]:
    """Grace is over. Whether it lapsed, and the order that was open.

    Without any order in all this time (an outage of ours, or neither lead nor grace) one is opened now. A grace that
    was made longer meanwhile holds: then it only remembers when to look again.
    """
    subscription, license = await held(work, subscription_id)
    over = grace_end(license)
    if act_at(subscription, over, work.now) is not Act.LAPSE:
        if subscription.status is SubscriptionStatus.PAST_DUE and over is not None:
            subscription.lapses_at = over
        return False, None
    await work.advance(SUBSCRIPTION, subscription, SubscriptionStep.LAPSE, lapses_at=None, lapsed_at=work.now)
    cycle = await open_cycle_of(work, subscription.id)
    was_open = cycle is not None and cycle.opened_at is not None
    await plan_opening(work, subscription, None if was_open else work.now)
    dropped = await drop_open_cycle(work, subscription.id)
    work.record(
        happenings.SubscriptionLapsed(
            subscription_id=subscription.id,
            license_id=license.id,
            product_id=license.product_id,
            policy_id=subscription.policy_id,
            customer_id=subscription.customer_id,
        )
    )
    return True, dropped


async def end_period(work: Work, subscription_id: UUID) -> bool:
    """What is paid is over, and it was cancelled for then. False: there is nothing to do."""
    subscription, license = await held(work, subscription_id)
    if act_at(subscription, grace_end(license), work.now) is not Act.END:
        return False
    await _cancel(work, subscription, None)
    return True


async def cancel(
    work: Work, subscription_id: UUID, *, reason: str | None, at_period_end: bool = False, is_being_paid: bool = False
) -> UUID | None:
    """No further renewal. The license keeps its end, grace included (contract 3.14).

    At the period's end it stays as it is until then, and `keep_on` takes it back; unpaid, it ends at once. While the
    next period `is_being_paid` it ends with that one, or as soon as the payment has failed. `reason`:
    somebody's own words, which stay in the row. Raises NotFound; IllegalStep when it is cancelled already.
    """
    subscription, license = await held(work, subscription_id)
    is_running = subscription.status is SubscriptionStatus.ACTIVE and work.now < subscription.paid_through
    if not is_being_paid and not (at_period_end and is_running):
        return await _cancel(work, subscription, reason)
    if subscription.cancel_at_period_end:
        return None
    subscription.cancel_at_period_end, subscription.cancellation_reason = True, reason
    await plan_opening(work, subscription, None)
    cycle = await open_cycle_of(work, subscription.id) if is_being_paid else None
    ends_at = cycle.ends_at if cycle is not None else subscription.paid_through
    work.record(happenings.SubscriptionCancelScheduled(subscription.id, license.id, ends_at))
    return await drop_open_cycle(work, subscription.id) if cycle is None else None


async def keep_on(work: Work, subscription_id: UUID) -> None:
    """It renews after all. Raises NotFound; Conflict when it is not about to end."""
    subscription, license = await held(work, subscription_id)
    if not subscription.cancel_at_period_end or subscription.status is not SubscriptionStatus.ACTIVE:
        raise Conflict("This subscription does not end with its period.")
    subscription.cancel_at_period_end, subscription.cancellation_reason = False, None
    await plan_opening(work, subscription, attempt_at(subscription))
    work.record(happenings.SubscriptionCancelWithdrawn(subscription.id, license.id))


async def pause(work: Work, subscription_id: UUID) -> UUID | None:
    """Nothing is billed; the license holds through what is paid, without grace.

    Raises NotFound, IllegalStep; Conflict when it ends with its period.
    """
    subscription, license = await held(work, subscription_id)
    if subscription.cancel_at_period_end:
        raise Conflict("This subscription ends with its period. Take that back before you pause it.")
    values = {"paused_at": work.now, "paused_grace_seconds": license.grace_seconds}
    await work.advance(SUBSCRIPTION, subscription, SubscriptionStep.PAUSE, lapses_at=None, **values)
    await plan_opening(work, subscription, None)
    await set_end(work, license.id, subscription.paid_through, grace_seconds=0)
    work.record(happenings.SubscriptionPaused(subscription.id, license.id, subscription.paid_through))
    return await drop_open_cycle(work, subscription.id)


async def resume(work: Work, subscription_id: UUID) -> bool:
    """True: there is paid time left, and it goes on as before.

    False: it is as after a lapse, an order is opened at once, and the day that is paid is the new anchor. Raises
    NotFound, IllegalStep.
    """
    subscription, license = await held(work, subscription_id)
    is_paid = work.now < subscription.paid_through
    if is_paid:
        grace_seconds = grace_put_aside(subscription, license)
        values = {"paused_at": None, "paused_grace_seconds": None, "next_attempt_at": attempt_at(subscription)}
        await work.advance(SUBSCRIPTION, subscription, SubscriptionStep.RESUME, **values)
        await set_end(work, license.id, subscription.paid_through, grace_seconds=grace_seconds)
    else:
        values = {"paused_at": None, "lapsed_at": work.now, "next_attempt_at": work.now}
        await work.advance(SUBSCRIPTION, subscription, SubscriptionStep.RESUME_UNPAID, **values)
    work.record(happenings.SubscriptionResumed(subscription.id, license.id, is_paid))
    return is_paid


async def end_for_license(work: Work, license_id: UUID) -> UUID | None:
    """The license was revoked: its subscription, if it has one, is cancelled."""
    subscription_id = await id_of(work, license_id)
    if subscription_id is None:
        return None
    subscription, _ = await held(work, subscription_id)
    if subscription.status is SubscriptionStatus.CANCELLED:
        return None
    return await _cancel(work, subscription, None)


async def id_of(work: Work, license_id: UUID) -> SubscriptionId | None:
    return await work.session.scalar(select(Subscription.id).where(Subscription.license_id == license_id))


async def held(work: Work, subscription_id: UUID) -> tuple[Subscription, License]:
    """Both rows, held: the license first, as whoever changes a license does. Raises NotFound."""
    license = await work.hold(License, (await work.get(Subscription, subscription_id)).license_id)
    return await work.hold(Subscription, subscription_id), license


async def open_cycle_of(work: Work, subscription_id: UUID) -> Cycle | None:
    """The next cycle, if an order was opened for it. The caller holds the subscription."""
    return await work.session.scalar(
        select(Cycle).where(Cycle.subscription_id == subscription_id, Cycle.paid_at.is_(None))
    )


async def drop_open_cycle(work: Work, subscription_id: UUID) -> UUID | None:
    """Nobody pays for the next cycle any more. Returns its order."""
    dropped = await work.session.execute(
        delete(Cycle).where(Cycle.subscription_id == subscription_id, Cycle.paid_at.is_(None)).returning(Cycle.order_id)
    )
    row = dropped.first()
    return row[0] if row is not None else None


async def plan_opening(work: Work, subscription: Subscription, at: datetime | None) -> None:
    """When its next order is opened; None: not by itself. What has kept it from being opened is forgotten."""
    subscription.next_attempt_at = at
    subscription.parked_at = subscription.parked_reason = None
    subscription.consecutive_failures = 0
    await clear(work, subscription.id, PARKED)


def paid_cycle(
    work: Work, subscription: Subscription, starts_at: datetime, order_id: UUID | None, *, worth: int, paid: int
) -> Cycle:
    """The row of the cycle that the subscription has come to."""
    return Cycle(
        subscription_id=subscription.id,
        number=subscription.cycle_number,
        starts_at=starts_at,
        ends_at=subscription.paid_through,
        order_id=order_id,
        listed_currency=subscription.listed_currency,
        listed_value=subscription.listed_value if subscription.cycle_number else 0,
        worth=worth,
        paid=paid,
        created_at=work.now,
        paid_at=work.now,
    )


def grace_put_aside(subscription: Subscription, license: License) -> int | None:
    """To be given back; None: none was put aside. What the operator has set by hand since then counts more."""
    aside = subscription.paused_grace_seconds
    return aside if aside is None else license.grace_seconds or aside


def keep_discount(subscription: Subscription, discount: Carried | None) -> None:
    subscription.discount_kind = discount.kind if discount is not None else None
    subscription.discount_amount = discount.amount if discount is not None else None
    subscription.discount_currency = discount.currency if discount is not None else None
    subscription.discount_until = discount.cycles if discount is not None else None


async def _cancel(work: Work, subscription: Subscription, reason: str | None) -> UUID | None:
    words = reason or subscription.cancellation_reason
    values = {"cancelled_at": work.now, "cancellation_reason": words, "cancel_at_period_end": False}
    await work.advance(SUBSCRIPTION, subscription, SubscriptionStep.CANCEL, lapses_at=None, **values)
    await plan_opening(work, subscription, None)
    work.record(
        happenings.SubscriptionCancelled(
            subscription_id=subscription.id,
            license_id=subscription.license_id,
            product_id=(await work.get(License, subscription.license_id)).product_id,
            policy_id=subscription.policy_id,
            customer_id=subscription.customer_id,
            paid_through=subscription.paid_through,
        )
    )
    return await drop_open_cycle(work, subscription.id)


async def _paid_by(work: Work, order_id: UUID) -> tuple[Subscription, License, Cycle]:
    """The open cycle that the order pays, with its subscription held."""
    pays = Cycle.order_id == order_id, Cycle.paid_at.is_(None)
    subscription_id = await work.session.scalar(select(Cycle.subscription_id).where(*pays))
    if subscription_id is not None:
        subscription, license = await held(work, subscription_id)
        cycle = await open_cycle_of(work, subscription_id)
        if cycle is not None and cycle.order_id == order_id:
            return subscription, license, cycle
    raise Conflict("This order pays no period of the subscription: another one took its place, or it ended.")
