"""Renewing a subscription: the errand of the job, and the buyer who asks for the page to pay.

Rate and till are asked for first; then one transaction writes the order with its price and makes it the one of the next
cycle; then the provider is asked for its invoice, and a saved card to pay it. The reconciler finds again what a crash
left in between, as it does for a purchase.

A tier that is archived or not on sale goes on renewing for those who have it. What stops billing is a product that is
inactive, and a license that is suspended.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from keysat.catalog.read import offer, policy, product
from keysat.catalog.tiers import Choice
from keysat.checkout.change.apply import apply_scheduled
from keysat.checkout.change.open import order_of_change
from keysat.checkout.charge import Payer, charge
from keysat.checkout.desk import Desk
from keysat.checkout.draft import Buyer, draft
from keysat.checkout.invoice import open_invoice, try_at
from keysat.checkout.next_order import Overtaken, drop, hold_all, is_seen_paid, open_order
from keysat.checkout.pay_link import pay_token
from keysat.checkout.quote import quote
from keysat.checkout.read import payable_attempt
from keysat.checkout.schedule import is_being_opened
from keysat.checkout.settle import settle
from keysat.checkout.subscribed import end_period, lapse
from keysat.checkout.tables import Order, OrderId, OrderStatus, PaidHow, Purpose
from keysat.infra.log import get
from keysat.infra.work import Read, Work
from keysat.kit.currencies import SAT
from keysat.kit.errors import Conflict, KeysatError, Unavailable, UpstreamError
from keysat.licenses.standing import grace_end
from keysat.licenses.tables import License, LicenseStatus
from keysat.payments.provider import Transient
from keysat.payments.rates.board import RateEvidence, RateUnavailable
from keysat.payments.rates.pins import pin_of
from keysat.payments.tables import Attempt
from keysat.payments.tills import NoTill
from keysat.subscriptions import openings
from keysat.subscriptions.happenings import SkipReason
from keysat.subscriptions.lifecycle import fall_due
from keysat.subscriptions.rules import Act, act_at, calendar_of, can_renew, next_cycle, payable
from keysat.subscriptions.tables import Cycle, Subscription

ACTS_MOST = 4
"""Of one errand: after a long outage it falls due, lapses, and is opened anew."""

CHANGE_REST = timedelta(minutes=10)
"""A renewal looks again after it whether the money for a change of tier is confirmed."""

NO_RATE, NO_PROVIDER, UNREACHABLE, REFUSED = "no_rate", "no_provider", "provider_unreachable", "provider_refused"
"""Why no order could be opened: the `reason` of `subscription.renewal_failed`."""

NOT_BILLED = "This subscription is not billed at the moment. Ask the seller."

log = get(__name__)


@dataclass(frozen=True, slots=True)
class Ground:
    """What was found out before the order is written; None: nobody knows a rate, there is no till."""

    rate: RateEvidence | None
    payer: Payer | None


@dataclass(frozen=True, slots=True)
class Begun:
    """The order for the next cycle. `attempt` is None when nothing is to be asked of the provider.

    Where the attempt has its invoice already, only the saved card is still to be asked.
    """

    order: Order
    choice: Choice
    attempt: Attempt | None = None


async def work_off(desk: Desk, subscription_id: UUID) -> None:
    """All that time asks of it. What keeps an order from being opened is counted, not raised.

    Raises Unavailable and Overtaken: what is busy mends itself.
    """
    if await _catch_up(desk, subscription_id) is Act.OPEN:
        await _open_or_count(desk, subscription_id)


async def _catch_up(desk: Desk, subscription_id: UUID) -> Act:
    """Carries out what needs no network, one transaction an act; returns what is left."""
    for _ in range(ACTS_MOST):
        async with desk.read() as read:
            subscription = await read.get(Subscription, subscription_id)
            over = grace_end(await read.get(License, subscription.license_id))
        act = act_at(subscription, over, desk.now)
        if act is Act.OPEN:
            return act
        async with desk.work() as work:
            if not await carry_out(work, subscription_id, act):
                return Act.NOTHING
    return Act.NOTHING


async def carry_out(work: Work, subscription_id: UUID, act: Act) -> bool:
    """An act that needs no network. False: there was nothing to do (any more)."""
    match act:
        case Act.FALL_DUE:
            return await fall_due(work, subscription_id)
        case Act.LAPSE:
            return await lapse(work, subscription_id)
        case Act.END:
            return await end_period(work, subscription_id)
        case Act.OPEN | Act.NOTHING:
            return False


async def pay(desk: Desk, subscription_id: UUID) -> OrderId:
    """The one order for the next cycle, for the buyer's own page: quoted anew when its invoice has expired unpaid.

    One whose money was seen, be it late, is returned as it is: nobody is asked to pay it again. Raises NotFound;
    Conflict, which says why, when nothing is to be paid; UpstreamError as a purchase does.
    """
    async with desk.read() as read:
        subscription = await read.get(Subscription, subscription_id)
        license = await read.get(License, subscription.license_id)
        order = await open_order(read, subscription.id)
        is_paid = order is not None and await is_seen_paid(read, order, desk.now)
    if license.status is LicenseStatus.SUSPENDED and not is_paid:
        raise Conflict(NOT_BILLED)
    if order is not None and (is_paid or order.is_open(desk.now)):
        return order.id
    await _catch_up(desk, subscription_id)  # what lapses is told so first: the new order is one of the time after it
    begun = await _open(desk, subscription_id, is_asked_for=True)
    if begun is None:
        raise Conflict("This subscription was changed a moment ago. Load the page again.")
    return begun.order.id


async def _open_or_count(desk: Desk, subscription_id: UUID) -> None:
    try:
        await _open(desk, subscription_id, is_asked_for=False)
    except (Unavailable, Overtaken):
        raise
    except Exception as error:  # the trouble of one is not the others'
        reason = _reason(error)
        if isinstance(error, KeysatError):
            log.warning("renewal.failed", subscription=str(subscription_id), reason=reason)
        else:
            log.error("renewal.broke", error, subscription=str(subscription_id))
        async with desk.work() as work:
            await openings.failed(work, subscription_id, reason)


async def _open(desk: Desk, subscription_id: UUID, *, is_asked_for: bool) -> Begun | None:
    """None: it was skipped, or there was nothing to do any more."""
    ground = await _explore(desk, subscription_id)
    payer = ground.payer
    async with desk.work() as work:
        begun = await _begin(work, subscription_id, ground, is_asked_for=is_asked_for)
    if begun is None or begun.attempt is None or payer is None:
        return begun
    if begun.attempt.provider_invoice_id is not None:  # a crash left it between its opening and the card
        await charge(desk, payer, subscription_id, begun.attempt, begun.attempt.provider_invoice_id)
        return begun
    charges = payer.till.capabilities.saved_profiles and not is_asked_for
    shown = await open_invoice(
        desk,
        payer.till,
        begun.order,
        begun.attempt,
        begun.choice,
        customer_ref=payer.customer_ref,
        charge_follows=charges,
        back_to=f"{desk.public_url}/pay/{pay_token(desk.vault, subscription_id)}",  # the order's own page shows the key
    )
    if charges:
        await charge(desk, payer, subscription_id, begun.attempt, shown.invoice_id)
    return begun


async def _explore(desk: Desk, subscription_id: UUID) -> Ground:
    """Network. Neither a missing rate nor a missing till is an error yet: a cycle may cost nothing."""
    async with desk.read() as read:
        subscription = await read.get(Subscription, subscription_id)
        currency = subscription.listed_currency
        license = await read.get(License, subscription.license_id)
        seller = (await product(read, license.product_id)).merchant_profile_id
        pin = await pin_of(read, currency)
        before = await _paid_last(read, subscription_id)
    rate = None
    if currency != SAT:
        try:
            rate = await desk.board.rate(currency, pin)
        except RateUnavailable:
            log.warning("renewal.no_rate", subscription=str(subscription_id), currency=currency)
    try:
        till = await desk.tills.pick(seller, prefer=before.connection_id if before is not None else None)
    except NoTill:
        return Ground(rate, None)
    return Ground(rate, Payer(till, before))


async def _begin(work: Work, subscription_id: UUID, ground: Ground, *, is_asked_for: bool) -> Begun | None:
    """Raises RateUnavailable and NoTill; Conflict for who asks although nothing is to be paid."""
    current, subscription, license = await hold_all(work, subscription_id)
    if not is_asked_for and await _waits_for_change(work, subscription, license):
        return None
    if not await apply_scheduled(work, subscription):
        if is_asked_for:
            day = subscription.paid_through.date()
            raise Conflict(f"Another tier is planned for {day} (UTC). The next payment can be made from then on.")
        return None
    is_paid = current is not None and await is_seen_paid(work, current, work.now)
    if is_asked_for:
        _check_asked(subscription, license, current, work.now, is_paid=is_paid)
    elif is_paid or act_at(subscription, grace_end(license), work.now) is not Act.OPEN:
        return None
    choice = await _choice(work, subscription, license)
    reason = _rests(license, choice)
    if reason is not None:
        if is_asked_for:
            raise Conflict(NOT_BILLED)
        await openings.skip(work, subscription_id, reason)
        return None
    if current is not None and current.is_open(work.now):
        return Begun(current, choice, await payable_attempt(work, OrderId(current.id)))
    terms = next_cycle(subscription, grace_end(license), work.now)
    if terms.price.currency != SAT and terms.price.minor and ground.rate is None:
        raise RateUnavailable(terms.price.currency)
    quoted = quote(terms.price, ground.rate, terms.discount)
    buyer = Buyer(customer_id=subscription.customer_id)
    order = await draft(work, Purpose.RENEWAL, choice, quoted, buyer, license_id=license.id)
    await drop(work, await openings.open_cycle(work, subscription_id, order.id))
    if quoted.is_free:
        await settle(work, order, how=PaidHow.FREE)
        return Begun(order, choice)
    if ground.payer is None:
        raise NoTill
    till = ground.payer.till
    return Begun(order, choice, try_at(work, order, till, till.asks_in(quoted.asked, quoted.amount_sats)))


async def _waits_for_change(work: Work, subscription: Subscription, license: License) -> bool:
    """A change of tier that is being paid comes first: what is renewed then is its tier, and a card pays that."""
    order = await order_of_change(work, license.id)
    if order is None or act_at(subscription, grace_end(license), work.now) is not Act.OPEN:
        return False
    until = work.now + CHANGE_REST if order.status is OrderStatus.PROCESSING else order.expires_at
    if until <= work.now:
        return False
    await openings.put_off(work, subscription, until)
    return True


def _check_asked(
    subscription: Subscription, license: License, current: Order | None, now: datetime, *, is_paid: bool
) -> None:
    """Raises Conflict when nothing is to be paid, or somebody else is opening the order right now."""
    if not can_renew(subscription):
        raise Conflict("This subscription does not renew any more.")
    if current is not None and (is_paid or current.is_open(now)):
        raise Conflict("This subscription was changed a moment ago. Load the page again.")
    if current is not None and is_being_opened(current, now):
        raise Conflict("The page to pay is being opened. Load this one again in a few seconds.")
    if not payable(subscription, grace_end(license), now, has_order=current is not None):
        day = subscription.paid_through.date()
        raise Conflict(f"Nothing is to be paid now: this subscription is paid through {day} (UTC).")


async def _choice(read: Read, subscription: Subscription, license: License) -> Choice:
    """What is sold again: its own period, whatever became of the tier's."""
    return Choice(
        product=await product(read, license.product_id),
        policy=await policy(read, subscription.policy_id),
        offer=await offer(read, subscription.offer_id) if subscription.offer_id is not None else None,
        price=next_cycle(subscription, None, subscription.paid_through).price,
        period=calendar_of(subscription).period,
    )


def _rests(license: License, choice: Choice) -> SkipReason | None:
    if license.status is not LicenseStatus.ACTIVE:
        return SkipReason.LICENSE_SUSPENDED
    return None if choice.product.active else SkipReason.PRODUCT_INACTIVE


async def _paid_last(read: Read, subscription_id: UUID) -> Attempt | None:
    """The try that paid the last cycle which was paid through a provider."""
    return await read.session.scalar(
        select(Attempt)
        .join(Order, Order.paid_attempt_id == Attempt.id)
        .join(Cycle, Cycle.order_id == Order.id)
        .where(Cycle.subscription_id == subscription_id, Cycle.paid_at.is_not(None))
        .order_by(Cycle.number.desc())
        .limit(1)
    )


def _reason(error: Exception) -> str:
    match error:
        case RateUnavailable():
            return NO_RATE
        case NoTill():
            return NO_PROVIDER
        case UpstreamError():
            return UNREACHABLE if isinstance(error.__cause__, Transient) else REFUSED
        case KeysatError():
            return error.code.code
        case _:
            return type(error).__name__
