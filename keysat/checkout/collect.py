"""Collect: look at an order's invoices at the provider, and let the gate say what they mean.

An errand that the reconciler, the buyer's own page and the operator's "look now" share. Safe to repeat, and to run
twice at once: what it learns is applied under the order's lock, and every status change is a compare-and-set.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from keysat.checkout.change.apply import change_doubt
from keysat.checkout.close import call_attention, close, question
from keysat.checkout.codes import release
from keysat.checkout.desk import Desk
from keysat.checkout.gate import Doubt, Expected, Ruled, Ruling, late_window, rule, strongest
from keysat.checkout.happenings import (
    OrderPaidTwice,
    OrderPaymentLost,
    OrderPaymentReversed,
    OrderPaymentSeen,
)
from keysat.checkout.invoice import PROVIDER_WORDS_MAX, opened
from keysat.checkout.next_order import renewal_doubt
from keysat.checkout.schedule import DRAFT_FOR, PAGE_EVERY, Times, after_failure, next_look
from keysat.checkout.settle import fulfil_now, settle
from keysat.checkout.tables import ENDED, OPEN, ORDER, Order, OrderId, OrderStatus, PaidHow, Step
from keysat.infra.house import Mode
from keysat.infra.work import Work
from keysat.kit.errors import Unavailable
from keysat.kit.ids import fraction
from keysat.kit.money import Money
from keysat.payments.provider import (
    CredentialGone,
    InvoiceSnapshot,
    NoSuchId,
    PayState,
    PermissionMissing,
    ProviderError,
)
from keysat.payments.tables import Attempt, AttemptId

PAGE_WAITS_SECONDS = 4  # SDK clients give up after 10


@dataclass(frozen=True, slots=True)
class Seen:
    """One attempt, and what the provider showed of it; `error` when it showed nothing."""

    attempt: Attempt
    asked: Expected | None = None
    shown: InvoiceSnapshot | None = None
    error: ProviderError | None = None
    keeps_cards: bool = False


async def collect(desk: Desk, order_id: OrderId, holder: str | None = None) -> None:
    """Ask the provider about every attempt of the order, then apply what it said in one transaction.

    `holder` names the lease that the look is taken under: the same transaction gives it back. Raises NotFound.
    """
    async with desk.read() as read:
        attempts = select(Order.nudges, Attempt).join(Attempt, Attempt.order_id == Order.id)
        rows = (await read.session.execute(attempts.where(Order.id == order_id))).all()
    seen = [await _look(desk, attempt) for _, attempt in rows if attempt.failed is None]
    async with desk.work() as work:
        held = await work.hold(Order, order_id)
        for one in seen:
            await _note(work, held, one)
        await work.session.flush()
        await _apply(work, held, seen)
        await _plan(work, held, seen, nudged_meanwhile=any(nudges != held.nudges for nudges, _ in rows))
        if holder is not None:
            held.end_lease(holder)


async def _look(desk: Desk, attempt: Attempt) -> Seen:
    """Network. An attempt whose invoice id was lost is searched by what the provider echoes."""
    till = await desk.tills.get(attempt.connection_id)
    if till.is_released:  # nothing could be paid any more when its key was given back
        return Seen(attempt)
    try:
        if attempt.provider_invoice_id is None:
            found = await till.till.find_by_attempt(attempt.echo)
            if not found:
                return Seen(attempt)
            shown = found[0]
        else:
            shown = await till.till.get_invoice(attempt.provider_invoice_id)
    except ProviderError as error:
        return Seen(attempt, error=error)
    asked = Expected(
        invoice_id=attempt.provider_invoice_id or shown.invoice_id,
        account_id=till.connection.account_id,
        echo=attempt.echo,
        price=Money(attempt.price_currency, attempt.price_minor),
        network=till.connection.network,
        takes_mainnet=desk.mode == Mode.LIVE,
    )
    return Seen(attempt, asked, shown, keeps_cards=till.capabilities.saved_profiles)


async def _note(work: Work, order: Order, seen: Seen) -> None:
    """Keep what was shown beside the attempt; adopt an invoice whose id a crash had lost."""
    if seen.shown is None:
        if isinstance(seen.error, (CredentialGone, PermissionMissing)):
            words = f"Invoices cannot be read: {seen.error}"[:PROVIDER_WORDS_MAX]
            await work.attend("provider_refuses", seen.attempt.connection_id, words, again=True)
        return
    if seen.attempt.provider_invoice_id is None:
        order_id = OrderId(seen.attempt.order_id)
        await opened(work, order_id, seen.attempt.id, seen.shown, charge_follows=seen.keeps_cards)
    status = seen.shown.raw_status[:64]
    await work.session.execute(
        update(Attempt)
        .where(Attempt.id == seen.attempt.id)
        .values(
            seen_state=seen.shown.state,
            seen_status=status,
            seen_paid_minor=seen.shown.paid.minor if seen.shown.paid else None,
            seen_at=work.now,
        )
        .execution_options(synchronize_session=False)
    )
    if seen.shown.state == PayState.UNKNOWN:
        words = f"The provider says {status!r} of the invoice of order {order.support_reference}."
        await work.attend("unknown_status", seen.attempt.id, words)


async def _apply(work: Work, order: Order, seen: Sequence[Seen]) -> None:
    rulings = {one.attempt.id: _ruled(one, order, work.now) for one in seen}
    match order.status:
        case OrderStatus.PAID:
            await fulfil_now(work, order)
        case OrderStatus.FULFILLED:
            await _after_the_sale(work, order, rulings)
        case OrderStatus.DRAFT:
            await _end_lost_draft(work, order, seen)
        case OrderStatus.REVIEW:
            pass  # the operator decides
        case _:
            ruled = strongest(list(rulings.values()))
            doubt = await _doubt_of(work, order, ruled.how) if ruled.ruling == Ruling.SETTLE else None
            if doubt is not None:
                ruled = Ruled(Ruling.REVIEW, doubt=doubt)
            if ruled.ruling == Ruling.SETTLE:
                payer = next(attempt_id for attempt_id, one in rulings.items() if one is ruled)
                await settle(work, order, how=ruled.how, attempt_id=payer, surplus_minor=max(ruled.surplus_minor, 0))
                await _after_the_sale(work, order, rulings)
            else:
                await _move(work, order, ruled)


async def _doubt_of(work: Work, order: Order, how: PaidHow) -> Doubt | None:
    """The money is there; whether what it was to bring is still to be had."""
    return await renewal_doubt(work, order, how) or await change_doubt(work, order)


def _ruled(seen: Seen, order: Order, now: datetime) -> Ruled:
    """The gate's ruling; of an invoice that is not shown only so much is sure that nobody can pay it any more."""
    if seen.shown is not None and seen.asked is not None:
        return rule(seen.asked, seen.shown, late_window(order.purpose))
    if isinstance(seen.error, NoSuchId) and now >= seen.attempt.expires_at:
        was_seen = order.status == OrderStatus.PROCESSING
        return Ruled(Ruling.REVIEW, doubt=Doubt.INVOICE_GONE) if was_seen else Ruled(Ruling.EXPIRED)
    return Ruled(Ruling.HOLD)


async def _move(work: Work, order: Order, ruled: Ruled) -> None:
    """Everything but a settlement. A ruling that says what is known already changes nothing."""
    match ruled.ruling:
        case Ruling.PROCESSING if order.status == OrderStatus.AWAITING:
            await work.advance(ORDER, order, Step.SEE, status_at=work.now)
            work.record(OrderPaymentSeen(order.id))
        case Ruling.PENDING if order.status == OrderStatus.PROCESSING:
            await _unsee(work, order)
        case Ruling.REVIEW if ruled.doubt is not None:
            await question(work, order, ruled.doubt)
        case Ruling.UNDERPAID:
            if order.status == OrderStatus.PROCESSING:
                await _unsee(work, order)
            if order.status == OrderStatus.AWAITING:
                await close(work, order, Step.FALL_SHORT)
            await call_attention(work, order, Doubt.UNDERPAID)
        case Ruling.HOLD if order.status in OPEN and work.now >= order.watch_until:  # silent for two weeks
            await close(work, order, Step.RUN_OUT)
        case Ruling.EXPIRED if order.status in OPEN:
            await close(work, order, Step.RUN_OUT)
        case Ruling.INVALID:
            if order.status in OPEN:
                await close(work, order, Step.FAIL)
            if ruled.doubt is not None:
                await call_attention(work, order, ruled.doubt)
        case _:
            pass


async def _unsee(work: Work, order: Order) -> None:
    await work.advance(ORDER, order, Step.UNSEE, status_at=work.now)
    work.record(OrderPaymentLost(order.id))


async def _after_the_sale(work: Work, order: Order, rulings: Mapping[AttemptId, Ruled]) -> None:
    """A fulfilled order is never taken back by itself; what the provider says later calls a person."""
    for attempt_id, ruled in rulings.items():
        if attempt_id == order.paid_attempt_id:
            if ruled.ruling == Ruling.INVALID and await work.attend(
                "payment_reversed",
                order.id,
                f"The provider calls the invoice that paid order {order.support_reference} invalid now. "
                "The license still stands.",
            ):
                work.record(OrderPaymentReversed(order.id, attempt_id))
        elif ruled.ruling == Ruling.SETTLE and await work.attend(
            "paid_twice", attempt_id, f"Order {order.support_reference} was paid a second time. Refund this payment."
        ):
            work.record(OrderPaidTwice(order.id, attempt_id))


async def _end_lost_draft(work: Work, order: Order, seen: Sequence[Seen]) -> None:
    """The provider surely has no invoice, and enough time has gone by for one to turn up."""
    if work.now - order.created_at < DRAFT_FOR or any(one.error for one in seen):
        return
    await close(work, order, Step.FAIL, failure="never_opened")


async def _plan(work: Work, order: Order, seen: Sequence[Seen], *, nudged_meanwhile: bool) -> None:
    """Say when to look next. A nudge that came while we looked is not forgotten: look again at once."""
    order.looked_at = work.now
    silent = any(one.error is not None and not isinstance(one.error, NoSuchId) for one in seen)
    order.look_failures = order.look_failures + 1 if silent else 0
    if nudged_meanwhile:
        order.next_look_at = work.now
        work.wake("look")
    elif silent and order.status in (OrderStatus.DRAFT, *OPEN):
        order.next_look_at = after_failure(order.look_failures, work.now, fraction(work.chance))
    else:
        order.next_look_at = next_look(_times(order, seen), work.now)
        is_given_up = order.next_look_at is None or (not silent and _waits_for_none(order, seen, work.now))
        if order.status in ENDED and is_given_up:
            await release(work, order)


def _waits_for_none(order: Order, seen: Sequence[Seen], now: datetime) -> bool:
    """Nothing was paid, and what is paid from now on goes to a person."""
    shown = [one.shown for one in seen if one.shown is not None]
    was_paid = any(one.paid_late or one.partial or (one.paid is not None and one.paid.minor) for one in shown)
    return not was_paid and now >= order.expires_at + late_window(order.purpose)


def _times(order: Order, seen: Sequence[Seen]) -> Times:
    paid = [one.shown for one in seen if one.shown is not None and one.shown.paid_late]
    return Times(
        status=order.status,
        status_at=order.status_at,
        opened_at=order.created_at,
        watch_until=order.watch_until,
        failures=order.failures,
        money_is_near=any(not shown.all_confirmed for shown in paid),
    )


async def mark_due(work: Work, order_ids: Sequence[OrderId]) -> None:
    """A hint came in: look at these orders now. Orders in review wait for the operator."""
    if not order_ids:
        return
    await work.session.execute(
        update(Order)
        .where(Order.id.in_(order_ids), Order.status != OrderStatus.REVIEW)
        .values(nudges=Order.nudges + 1, next_look_at=work.now)
        .execution_options(synchronize_session=False)
    )
    work.wake("look")


async def look_if_stale(desk: Desk, order: Order) -> bool:
    """A buyer waits on the page: look, at most every 3 s an order however many tabs and daemons ask. True: looked.

    An order that ended unpaid is looked at too, less often: late money is still money.

    The look is given a few seconds; a provider that is slow, or a busy database, must not make the page slow.
    """
    now, every = desk.now, PAGE_EVERY.get(order.status)
    if every is None or (order.looked_at is not None and abs(now - order.looked_at) < every) or now > order.watch_until:
        return False
    try:
        async with asyncio.timeout(PAGE_WAITS_SECONDS):
            if not await _is_ours_to_look(desk, order.id, every):
                return False
            await collect(desk, order.id)
    except (TimeoutError, Unavailable):
        return False
    return True


async def _is_ours_to_look(desk: Desk, order_id: OrderId, every: timedelta) -> bool:
    """Nobody looked lately; what lies ahead of us was written before a clock was set back."""
    lately = Order.looked_at.is_not(None) & (Order.looked_at > desk.now - every) & (Order.looked_at < desk.now + every)
    taken = update(Order).where(Order.id == order_id, ~lately).values(looked_at=desk.now).returning(Order.id)
    async with desk.work() as work:
        mine = await work.session.scalar(taken.execution_options(synchronize_session=False))
    return mine is not None
