"""Opening the order for the next cycle: who tries when, what became of it, and a saved card's one try.

`claim` -> the caller's errand -> in the transaction that writes the order: `open_cycle` -> the provider's invoice is
there: `opened`; it is not: `failed`. A buyer who asks for a page to pay takes the same road without a claim.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select

from keysat.infra.leases import give_back, take
from keysat.infra.tables import EventRow
from keysat.infra.work import Read, Work
from keysat.kit.errors import Conflict
from keysat.licenses.standing import grace_end
from keysat.subscriptions import happenings
from keysat.subscriptions.lifecycle import PARKED, held, open_cycle_of, plan_opening
from keysat.subscriptions.rules import (
    BATCH,
    FAILURES_MAX,
    LEASE_SECONDS,
    SKIP_REST,
    attempt_at,
    can_renew,
    next_attempt,
    next_cycle,
)
from keysat.subscriptions.tables import Cycle, Subscription

DECLINED = happenings.SubscriptionAutoChargeFailed.__struct_config__.tag


async def claim(work: Work, most: int = BATCH) -> tuple[str, Sequence[Subscription]]:
    """Leases the subscriptions that are due, the oldest first: the lease's name, and the rows.

    Ask `rules.act_at` of each whether it is still so. When all errands are done: `let_go`.
    """
    return await take(
        work,
        Subscription,
        Subscription.__table__.c.next_attempt_at <= work.now,
        Subscription.next_attempt_at,
        most=most,
        seconds=LEASE_SECONDS,
    )


async def let_go(work: Work, holder: str, claimed: Sequence[Subscription]) -> None:
    """Gives back what its errand has moved. All else broke off, and rests until its lease runs out."""
    for before in claimed:
        if (await work.get(Subscription, before.id)).next_attempt_at != before.next_attempt_at:
            await give_back(work, Subscription, before.id, holder)


async def open_cycle(work: Work, subscription_id: UUID, order_id: UUID) -> UUID | None:
    """The order is the one for the next cycle from now on. Returns the one that it supersedes, which the caller closes.

    Raises NotFound; Conflict when it does not renew.
    """
    subscription, license = await held(work, subscription_id)
    if not can_renew(subscription):
        raise Conflict("This subscription does not renew.")
    terms = next_cycle(subscription, grace_end(license), work.now)
    cycle = await open_cycle_of(work, subscription.id)
    superseded = cycle.order_id if cycle is not None and cycle.order_id != order_id else None
    if cycle is None:
        cycle = Cycle(subscription_id=subscription.id, number=terms.number, created_at=work.now)
        work.session.add(cycle)
    cycle.order_id, cycle.starts_at, cycle.ends_at = order_id, terms.starts_at, terms.ends_at
    cycle.listed_currency, cycle.listed_value = terms.price.currency, terms.price.minor
    await work.session.flush()
    return superseded


async def opened(
    work: Work, subscription_id: UUID, order_id: UUID, amount_sats: int | None, *, charge_follows: bool = False
) -> None:
    """The buyer can pay it, unless another order has taken its place meanwhile.

    Where `charge_follows` it stays due until `begin_charge`: whoever comes by after a crash asks the saved card.
    """
    subscription, license = await held(work, subscription_id)
    cycle = await open_cycle_of(work, subscription.id)
    if cycle is None or cycle.order_id != order_id:
        return
    await plan_opening(work, subscription, work.now if charge_follows and cycle.charged_at is None else None)
    if cycle.opened_at is None:
        cycle.opened_at = work.now
        work.record(
            happenings.SubscriptionRenewalPending(
                subscription_id=subscription.id,
                license_id=license.id,
                product_id=license.product_id,
                policy_id=subscription.policy_id,
                customer_id=subscription.customer_id,
                order_id=order_id,
                amount_sats=amount_sats,
                listed_currency=cycle.listed_currency,
                listed_value=cycle.listed_value,
                cycle_number=cycle.number,
                cycle_start_at=cycle.starts_at,
                cycle_end_at=cycle.ends_at,
                due_at=cycle.starts_at,
                is_first_paid_cycle=cycle.number == 1,
            )
        )


async def failed(work: Work, subscription_id: UUID, reason: str) -> None:
    """No order could be opened: it is tried again later, and parked after the fifth time. `reason` is a code.

    One that has ended, was opened or was paid meanwhile stays as it is.
    """
    subscription, license = await held(work, subscription_id)
    if subscription.next_attempt_at is None or subscription.next_attempt_at > work.now:
        return
    failures = subscription.consecutive_failures + 1
    again = next_attempt(failures, work.now)
    subscription.consecutive_failures, subscription.next_attempt_at = failures, again
    if again is None:
        words = f"No order for the next period could be opened, {FAILURES_MAX} times: {reason}. Mend it, and try again."
        await park(work, subscription, reason, words)
    work.record(
        happenings.SubscriptionRenewalFailed(
            subscription_id=subscription.id,
            license_id=license.id,
            reason=reason,
            consecutive_failures=failures,
            next_attempt_at=again,
        )
    )


async def park(work: Work, subscription: Subscription, reason: str, words: str) -> None:
    """Its next order waits for a person, who reads the words. `reason` is a code."""
    subscription.next_attempt_at, subscription.parked_at, subscription.parked_reason = None, work.now, reason[:64]
    await work.attend(PARKED, subscription.id, words, again=True)


async def skip(work: Work, subscription_id: UUID, reason: happenings.SkipReason) -> None:
    """It is due, and must not be billed now: it is looked at again in a day. Told once for a cycle."""
    subscription, license = await held(work, subscription_id)
    if subscription.next_attempt_at is None:
        return
    subscription.next_attempt_at = work.now + SKIP_REST
    number = subscription.cycle_number + 1
    if subscription.skipped_cycle != number:
        subscription.skipped_cycle = number
        work.record(
            happenings.SubscriptionRenewalSkipped(
                subscription_id=subscription.id,
                license_id=license.id,
                product_id=license.product_id,
                policy_id=subscription.policy_id,
                cycle_number=number,
                reason=reason,
            )
        )


async def put_off(work: Work, subscription: Subscription, until: datetime) -> None:
    """Its next order is opened then, and what failed before counts no more. A parked one waits for a person still."""
    if subscription.parked_at is None:
        await plan_opening(work, subscription, until)


async def unpark(work: Work, subscription_id: UUID) -> bool:
    """What kept it from being opened is mended: it is tried at once. False: it was not parked."""
    subscription, license = await held(work, subscription_id)
    if subscription.parked_at is None:
        return False
    await plan_opening(work, subscription, max(work.now, attempt_at(subscription)))
    work.record(happenings.SubscriptionUnparked(subscription.id, license.id))
    return True


async def keep_profile(work: Work, subscription_id: UUID, connection_id: UUID, profile_id: str) -> None:
    """The saved card that pays the next cycles."""
    subscription, _ = await held(work, subscription_id)
    subscription.profile_connection_id, subscription.profile_id = connection_id, profile_id


async def begin_charge(work: Work, subscription_id: UUID, order_id: UUID, *, has_card: bool = True) -> bool:
    """Written before the card is asked, so that it is asked once for a cycle, whatever happens.

    False: it was asked before, or there is none; either way the opening is through.
    """
    subscription, license = await held(work, subscription_id)
    cycle = await open_cycle_of(work, subscription.id)
    if cycle is None or cycle.order_id != order_id:
        return False
    await plan_opening(work, subscription, None)
    if cycle.charged_at is not None or not has_card:
        return False
    cycle.charged_at = work.now
    work.record(
        happenings.SubscriptionAutoChargeInitiated(
            subscription_id=subscription.id, license_id=license.id, order_id=order_id, cycle_number=cycle.number
        )
    )
    return True


async def is_card_asked(read: Read, cycle: Cycle, since: datetime) -> bool:
    """A saved card was asked for the order that was opened then, and has not declined: it may be charged any moment."""
    if cycle.charged_at is None or cycle.charged_at < since:
        return False
    declined = select(EventRow.id).where(
        EventRow.subject == str(cycle.subscription_id), EventRow.name == DECLINED, EventRow.at >= cycle.charged_at
    )
    return await read.session.scalar(declined.limit(1)) is None


async def charge_failed(work: Work, subscription_id: UUID, order_id: UUID, reason: str) -> None:
    """The provider refused, so that nothing was charged: the pay link stands. `reason` is a code."""
    subscription, license = await held(work, subscription_id)
    cycle = await open_cycle_of(work, subscription.id)
    number = cycle.number if cycle is not None else subscription.cycle_number
    work.record(
        happenings.SubscriptionAutoChargeFailed(
            subscription_id=subscription.id,
            license_id=license.id,
            order_id=order_id,
            cycle_number=number,
            reason=reason,
        )
    )
