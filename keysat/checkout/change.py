"""Changing a license's tier: the buyer's upgrade, and what the operator gives, plans or sends an invoice for.

What is paid is an errand as a purchase is: quoted again here, order and change written in one transaction, then the
provider is asked. `change_quote` says what it costs, `change_apply` lets it come into force.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from keysat.catalog.tiers import Choice
from keysat.checkout.change_apply import check_may_change, hold_license, open_change, supersede
from keysat.checkout.change_quote import ADMIN_ONLY, Before, ChangeQuote, Wanted, quote_change
from keysat.checkout.desk import Desk
from keysat.checkout.draft import Buyer, draft
from keysat.checkout.happenings import LicenseTierChangeCancelled, LicenseTierChangeScheduled
from keysat.checkout.invoice import open_invoice, rate_for, try_at
from keysat.checkout.next_order import drop
from keysat.checkout.quote import Quote, given, quote
from keysat.checkout.settle import settle
from keysat.checkout.tables import (
    CHANGE,
    HAS_MONEY,
    ChangedBy,
    ChangeDirection,
    ChangeStatus,
    ChangeStep,
    Order,
    OrderId,
    OrderStatus,
    PaidHow,
    Purpose,
    TierChange,
    TierChangeId,
)
from keysat.checkout.wish import checked_redirect
from keysat.infra.events import Actor
from keysat.infra.work import Work
from keysat.kit.errors import BadRequest, Conflict
from keysat.kit.money import Money
from keysat.licenses.tables import License
from keysat.payments.rates.pins import pin_of
from keysat.payments.tables import Attempt
from keysat.payments.tills import OpenTill
from keysat.subscriptions.lifecycle import drop_open_cycle, held, id_of
from keysat.subscriptions.openings import put_off
from keysat.subscriptions.proration import Proration
from keysat.subscriptions.read import subscription_of
from keysat.subscriptions.rules import attempt_at
from keysat.subscriptions.tables import SubscriptionStatus

OPENING_TAKES = timedelta(minutes=1)
"""For so long a draft is taken to be in somebody's hands."""


class When(StrEnum):
    """When an operator's change comes into force."""

    AT_ONCE = "at_once"  # given: nothing is charged
    AT_RENEWAL = "at_renewal"  # for the end of what is paid
    BY_INVOICE = "by_invoice"  # as soon as the difference is paid


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for it. `reason` is in the operator's own words."""

    by: ChangedBy = ChangedBy.BUYER
    reason: str | None = None
    redirect_url: str | None = None

    @property
    def is_operator(self) -> bool:
        return self.by is ChangedBy.ADMIN


BUYER = Asker()


async def upgrade(
    desk: Desk, license_id: UUID, wanted: Wanted, now: datetime, actor: Actor, asker: Asker = BUYER
) -> TierChangeId:
    """A change that is to be paid: it has a checkout page then. What is open for the same target is shown again.

    A buyer's downgrade is planned for the next renewal where the product allows it. Raises NotFound and BadRequest as
    contract 7 says; Conflict when the license changes at this very moment; UpstreamError as a purchase does.
    """
    redirect_url = checked_redirect(asker.redirect_url)
    async with desk.store.read() as read:
        asked = await quote_change(
            read, await read.get(License, license_id), wanted, now, by_operator=asker.is_operator
        )
        pin = await pin_of(read, asked.charge.currency)
    if asked.direction is ChangeDirection.DOWNGRADE and not asker.is_operator:
        if not asked.choice.product.downgrade_at_renewal:
            raise BadRequest(ADMIN_ONLY)
        async with desk.store.work(now, actor) as work:
            return await plan(work, license_id, wanted, asker)
    if asked.charge.minor == 0:
        raise BadRequest("This change costs nothing now, so there is nothing to pay. Ask the seller to make it.")
    quoted = quote(asked.charge, await rate_for(desk, asked.charge, None, pin))
    till = await desk.tills.pick(asked.choice.product.merchant_profile_id)
    async with desk.store.work(now, actor) as work:
        before = await _clear_the_way(work, asked)
        if before is not None:
            return before
        change, order, attempt = await _written(work, asked, quoted, till, asker, redirect_url)
    await open_invoice(desk, till, order, attempt, asked.choice, now, actor)
    return change.id


async def by_operator(
    desk: Desk, license_id: UUID, wanted: Wanted, when: When, now: datetime, actor: Actor, reason: str | None
) -> TierChangeId:
    """Also to tiers that are not open, and without ranks. Raises as the one of the three that is meant."""
    asker = Asker(ChangedBy.ADMIN, reason)
    if when is When.BY_INVOICE:
        return await upgrade(desk, license_id, wanted, now, actor, asker)
    async with desk.store.work(now, actor) as work:
        return await (give if when is When.AT_ONCE else plan)(work, license_id, wanted, asker)


async def give(work: Work, license_id: UUID, wanted: Wanted, asker: Asker) -> TierChangeId:
    """By the operator, at once and for nothing: an order of price 0. What is paid goes on as the target's.

    Where nothing is paid any more, or the license was for good, a first cycle of the target is given too. Raises
    NotFound, BadRequest; Conflict as `check_may_change`.
    """
    license = await hold_license(work, license_id)
    await check_may_change(work, license)
    asked = await quote_change(work, license, wanted, work.now, by_operator=True)
    paid_through = asked.before.paid_through if license.is_subscribed else None
    is_anew = asked.choice.period is not None and (paid_through is None or paid_through <= work.now)
    order = await draft(
        work, Purpose.TIER_CHANGE, asked.choice, given(asked.choice.price), Buyer(customer_id=license.customer_id)
    )
    free = Proration(Money(asked.charge.currency, 0), is_anew, 0 if is_anew else None)
    change = _row(work, asked, asker, ChangeStatus.AWAITING_PAYMENT, free, order)
    before = await open_change(work, license_id, ChangeStatus.AWAITING_PAYMENT)
    if before is not None:
        await supersede(work, before)
    work.session.add(change)
    await work.session.flush()
    await settle(work, order, how=PaidHow.FREE)
    return change.id


async def plan(work: Work, license_id: UUID, wanted: Wanted, asker: Asker) -> TierChangeId:
    """For the end of what is paid, and free of charge: from then on it renews as the target. Another plan is replaced.

    Raises NotFound, BadRequest; Conflict when the next renewal is being paid, or the operator's plan stands.
    """
    license = await hold_license(work, license_id)
    await check_may_change(work, license)
    asked = await quote_change(work, license, wanted, work.now, by_operator=asker.is_operator)
    subscription = await subscription_of(work, license_id) if license.is_subscribed else None
    is_running = subscription is not None and subscription.status is SubscriptionStatus.ACTIVE
    if subscription is None or not is_running or not asked.renews or subscription.paid_through <= work.now:
        raise BadRequest("This license has no renewal to come at which its tier could change.")
    before = await open_change(work, license_id, ChangeStatus.SCHEDULED)
    if before is not None:
        _check_own(before, asker.by)
        await supersede(work, before)
    free = Proration(Money(asked.charge.currency, 0), False, None)
    change = _row(work, asked, asker, ChangeStatus.SCHEDULED, free, None)
    change.effective_at = subscription.paid_through
    work.session.add(change)
    await drop(work, await drop_open_cycle(work, subscription.id))
    await put_off(work, subscription, subscription.paid_through)
    work.record(
        LicenseTierChangeScheduled(
            license_id=license_id,
            tier_change_id=change.id,
            to_policy_id=change.to_policy_id,
            effective_at=subscription.paid_through,
        )
    )
    return change.id


async def unplan(work: Work, license_id: UUID, by: ChangedBy = ChangedBy.ADMIN) -> TierChange:
    """What was planned does not happen. Raises NotFound; Conflict when nothing is planned, or not by this buyer."""
    await hold_license(work, license_id)
    change = await open_change(work, license_id, ChangeStatus.SCHEDULED)
    if change is None:
        raise Conflict("No change of tier is planned for this license.")
    _check_own(change, by)
    await work.advance(CHANGE, change, ChangeStep.CANCEL, status_at=work.now)
    work.record(LicenseTierChangeCancelled(license_id, change.id))
    subscription_id = await id_of(work, license_id)
    if subscription_id is not None:
        subscription, _ = await held(work, subscription_id)
        if subscription.status is SubscriptionStatus.ACTIVE and subscription.next_attempt_at is not None:
            await put_off(work, subscription, attempt_at(subscription))
    return change


def _check_own(planned: TierChange, by: ChangedBy) -> None:
    """A buyer takes back what he planned himself; the operator whatever was planned."""
    if by is ChangedBy.BUYER and planned.actor is not ChangedBy.BUYER:
        raise Conflict("The seller has planned this change. Ask the seller to take it back.")


async def _clear_the_way(work: Work, asked: ChangeQuote) -> TierChangeId | None:
    """The change that is open for the same target, to be shown again. One for another is superseded.

    Raises Conflict when the license is another since the quote, and while a change of it is being opened or paid.
    """
    license = await hold_license(work, asked.license_id)
    if Before.of(license, await subscription_of(work, license.id)) != asked.before:
        raise Conflict("This license was changed a moment ago. Ask for the price again.")
    await check_may_change(work, license)
    change = await open_change(work, license.id, ChangeStatus.AWAITING_PAYMENT)
    if change is None or change.order_id is None:
        return None
    order = await work.get(Order, change.order_id)
    is_same = (change.to_policy_id, change.to_offer_id, change.target_value) == _aim(asked.choice)
    is_fresh = Before.quoted(change) == asked.before
    if is_fresh and is_same and order.status is OrderStatus.AWAITING and work.now < order.expires_at:
        return change.id
    if order.status in HAS_MONEY and is_same:
        return change.id
    if order.status in HAS_MONEY or order.status is OrderStatus.REVIEW:
        raise Conflict("There is money for another change of this license already. Wait until that is through.")
    if is_fresh and order.status is OrderStatus.DRAFT and work.now - order.created_at < OPENING_TAKES:
        raise Conflict("The page to pay is being opened. Try again in a few seconds.", retry_after_seconds=2)
    await supersede(work, change)
    return None


def _aim(choice: Choice) -> tuple[UUID | None, UUID | None, int]:
    return (
        choice.policy.id if choice.policy else None,
        choice.offer.id if choice.offer else None,
        choice.price.minor,
    )


async def _written(
    work: Work, asked: ChangeQuote, quoted: Quote, till: OpenTill, asker: Asker, redirect_url: str | None
) -> tuple[TierChange, Order, Attempt]:
    buyer = Buyer(customer_id=asked.customer_id, redirect_url=redirect_url)
    order = await draft(work, Purpose.TIER_CHANGE, asked.choice, quoted, buyer)
    change = _row(work, asked, asker, ChangeStatus.AWAITING_PAYMENT, asked.proration, order)
    work.session.add(change)
    return change, order, try_at(work, order, till, till.asks_in(quoted.asked, quoted.amount_sats))


def _row(
    work: Work, asked: ChangeQuote, asker: Asker, status: ChangeStatus, proration: Proration, order: Order | None
) -> TierChange:
    before, choice = asked.before, asked.choice
    if order is not None:
        order.license_id = asked.license_id
    return TierChange(
        id=TierChangeId(work.new_id()),
        license_id=asked.license_id,
        order_id=OrderId(order.id) if order is not None else None,
        from_policy_id=asked.current.id,
        from_offer_id=before.offer_id,
        to_policy_id=asked.target.id,
        to_offer_id=choice.offer.id if choice.offer else None,
        direction=asked.direction,
        status=status,
        actor=asker.by,
        reason=asker.reason,
        listed_currency=choice.price.currency,
        charge_value=proration.charge.minor,
        target_value=choice.price.minor,
        period_count=choice.period.count if choice.period else None,
        period_unit=choice.period.unit if choice.period else None,
        is_anew=proration.is_anew,
        worth=proration.worth,
        quoted_license_end=before.license_end,
        quoted_subscription=before.subscription,
        quoted_cycle=before.cycle,
        quoted_paid_through=before.paid_through,
        created_at=work.now,
        status_at=work.now,
        expires_at=order.expires_at if order is not None and proration.charge.minor else None,
    )
