"""Collect: look at an order's invoices at the provider, and let the gate say what they mean.

An errand that the reconciler, the buyer's own page and the operator's "look now" share. Safe to repeat, and to run
twice at once: what it learns is applied under the order's lock, and every status change is a compare-and-set.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update

from keysat.checkout.desk import Desk
from keysat.checkout.gate import Asked, Ruled, Ruling, rule, strongest
from keysat.checkout.happenings import (
    OrderClosed,
    OrderNeedsAttention,
    OrderPaidTwice,
    OrderPaymentLost,
    OrderPaymentReversed,
    OrderPaymentSeen,
)
from keysat.checkout.order import locked, opened
from keysat.checkout.schedule import DRAFT_FOR, PAGE_EVERY, Times, after_failure, next_look
from keysat.checkout.settle import fulfil_now, settle
from keysat.checkout.tables import ORDER, Order, OrderId, OrderStatus, Step
from keysat.infra.events import Actor
from keysat.infra.house import Mode
from keysat.infra.work import Work
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
from keysat.payments.tables import Attempt

PAGE_WAITS_SECONDS = 4  # SDK clients give up after 10
OPEN = frozenset({OrderStatus.AWAITING, OrderStatus.PROCESSING})


@dataclass(frozen=True, slots=True)
class Seen:
    """One attempt, and what the provider showed of it; `error` when it showed nothing."""

    attempt: Attempt
    asked: Asked | None
    shown: InvoiceSnapshot | None = None
    error: ProviderError | None = None


async def collect(desk: Desk, order_id: OrderId, now: datetime, actor: Actor) -> None:
    """Ask the provider about every attempt of the order, then apply what it said in one transaction."""
    async with desk.store.read() as read:
        order = await read.get(Order, order_id)
        attempts = (await read.session.scalars(select(Attempt).where(Attempt.order_id == order_id))).all()
    seen = [await _look(desk, attempt) for attempt in attempts if attempt.failed is None]
    async with desk.store.work(now, actor) as work:
        held = await locked(work, order_id)
        for one in seen:
            await _note(work, one)
        await work.session.flush()
        await _apply(work, held, seen)
        await _plan(work, held, seen, nudged_meanwhile=held.nudges != order.nudges)


async def _look(desk: Desk, attempt: Attempt) -> Seen:
    """Network. An attempt whose invoice id was lost is searched by what the provider echoes."""
    till = await desk.tills.get(attempt.connection_id)
    asked = None
    try:
        if attempt.provider_invoice_id is None:
            found = await till.till.find_by_attempt(attempt.echo)
            if not found:
                return Seen(attempt, None)
            shown = found[0]
        else:
            shown = await till.till.get_invoice(attempt.provider_invoice_id)
    except ProviderError as error:
        return Seen(attempt, asked, error=error)
    asked = Asked(
        invoice_id=attempt.provider_invoice_id or shown.invoice_id,
        account_id=till.connection.account_id,
        echo=attempt.echo,
        price=Money(attempt.price_currency, attempt.price_minor),
        network=till.connection.network,
        takes_mainnet=desk.mode == Mode.LIVE,
    )
    return Seen(attempt, asked, shown)


async def _note(work: Work, seen: Seen) -> None:
    """Keep what was shown beside the attempt; adopt an invoice whose id a crash had lost."""
    if seen.shown is None:
        if isinstance(seen.error, (CredentialGone, PermissionMissing)):
            await work.attend("provider_refuses", seen.attempt.connection_id, f"Invoices cannot be read: {seen.error}")
        return
    if seen.attempt.provider_invoice_id is None:
        await opened(work, OrderId(seen.attempt.order_id), seen.attempt.id, seen.shown)
    attempt = await work.get(Attempt, seen.attempt.id)
    attempt.seen_state, attempt.seen_status = seen.shown.state, seen.shown.raw_status[:64]
    attempt.seen_paid_minor = seen.shown.paid.minor if seen.shown.paid else None
    attempt.seen_at = work.now
    if seen.shown.state == PayState.UNKNOWN:
        await work.attend("unknown_status", attempt.id, f"The provider says {seen.shown.raw_status!r}.")


async def _apply(work: Work, order: Order, seen: Sequence[Seen]) -> None:
    if order.status == OrderStatus.PAID:
        return await fulfil_now(work, order)
    if order.status == OrderStatus.FULFILLED:
        return await _after_the_sale(work, order, seen)
    if order.status == OrderStatus.DRAFT:
        return await _end_lost_draft(work, order, seen)
    if order.status == OrderStatus.REVIEW:
        return None
    rulings = [_ruled(one, order.status, work.now) for one in seen]
    ruled = strongest(rulings)
    if ruled.ruling == Ruling.SETTLE:
        payer = seen[rulings.index(ruled)]
        await settle(work, order, how=ruled.how, attempt_id=payer.attempt.id, surplus_minor=max(ruled.surplus_minor, 0))
        return await _after_the_sale(work, order, seen)
    return await _move(work, order, ruled)


def _ruled(seen: Seen, status: OrderStatus, now: datetime) -> Ruled:
    """The gate's ruling; of an invoice that is not shown only so much is sure that nobody can pay it any more."""
    if seen.shown is not None and seen.asked is not None:
        return rule(seen.asked, seen.shown)
    if isinstance(seen.error, NoSuchId) and now >= seen.attempt.expires_at:
        was_seen = status == OrderStatus.PROCESSING
        return Ruled(Ruling.REVIEW, reason="invoice_gone") if was_seen else Ruled(Ruling.EXPIRED)
    return Ruled(Ruling.HOLD)


async def _move(work: Work, order: Order, ruled: Ruled) -> None:
    """Everything but a settlement. A ruling that says what is known already changes nothing."""
    status, at = order.status, {"status_at": work.now}
    match ruled.ruling:
        case Ruling.PROCESSING if status == OrderStatus.AWAITING:
            await work.advance(ORDER, order, Step.SEE, **at)
            work.record(OrderPaymentSeen(order.id))
        case Ruling.PENDING if status == OrderStatus.PROCESSING:
            await work.advance(ORDER, order, Step.UNSEE, **at)
            work.record(OrderPaymentLost(order.id))
        case Ruling.REVIEW:
            if await call_attention(work, order, ruled.reason):  # what the operator refused is not asked again
                await work.advance(ORDER, order, Step.QUESTION, **at)
        case Ruling.UNDERPAID:
            if status == OrderStatus.PROCESSING:
                await work.advance(ORDER, order, Step.UNSEE, **at)
            if order.status == OrderStatus.AWAITING:
                await work.advance(ORDER, order, Step.FALL_SHORT, **at)
                work.record(OrderClosed(order.id, order.status))
            await call_attention(work, order, "underpaid")
        case Ruling.HOLD if status in OPEN and work.now >= order.watch_until:  # silent for two weeks
            await work.advance(ORDER, order, Step.RUN_OUT, **at)
            work.record(OrderClosed(order.id, order.status))
        case Ruling.EXPIRED if status in OPEN:
            await work.advance(ORDER, order, Step.RUN_OUT, **at)
            work.record(OrderClosed(order.id, order.status))
        case Ruling.INVALID if status in OPEN:
            await work.advance(ORDER, order, Step.FAIL, **at)
            work.record(OrderClosed(order.id, order.status))
        case _:
            pass


async def call_attention(work: Work, order: Order, reason: str) -> bool:
    """Once for each order and reason, also when every later look finds the same. True: this was the time."""
    is_new = await work.attend(f"order_{reason}"[:64], order.id, REASONS.get(reason, reason))
    if is_new:
        work.record(OrderNeedsAttention(order.id, reason))
    return is_new


REASONS = {
    "underpaid": "Too little was paid before the invoice ended. Refund it, accept it, or ask for the rest.",
    "too_late": "The full amount came more than a day after the invoice ended.",
    "late_with_too_little": "Money came after the invoice ended, and it is not the full amount.",
    "settled_with_too_little": "The provider calls it settled, but less than the price was paid. Check the store's "
    "payment tolerance.",
    "confirmed_after_the_provider_gave_up": "The provider called the payment invalid; it was confirmed afterwards.",
    "invoice_gone": "Money was seen, and now the provider knows nothing of the invoice.",
    "other_price": "The provider's invoice is not over the price that was asked.",
    "other_currency": "The provider's invoice is not in the currency that was asked.",
    "other_account": "The invoice belongs to another account.",
    "other_attempt": "The invoice does not carry the mark that was given to it.",
    "other_network": "The payment was made on another Bitcoin network than the account's.",
    "network_unknown": "The Bitcoin network of the payment is not known.",
    "network_does_not_fit_the_shop": "Play money was offered to a live shop, or real money to a sandbox.",
}


async def _after_the_sale(work: Work, order: Order, seen: Sequence[Seen]) -> None:
    """A fulfilled order is never taken back by itself; what the provider says later calls a person."""
    for one in seen:
        ruling, attempt = _ruled(one, order.status, work.now).ruling, one.attempt
        if attempt.id == order.paid_attempt_id:
            if ruling == Ruling.INVALID and await work.attend(
                "payment_reversed",
                order.id,
                "The provider calls the paid invoice invalid now. The license still stands.",
            ):
                work.record(OrderPaymentReversed(order.id, str(attempt.id)))
        elif ruling == Ruling.SETTLE and await work.attend(
            "paid_twice", attempt.id, f"Order {order.support_reference} was paid a second time. Refund this payment."
        ):
            work.record(OrderPaidTwice(order.id, str(attempt.id)))


async def _end_lost_draft(work: Work, order: Order, seen: Sequence[Seen]) -> None:
    """The provider surely has no invoice, and enough time has gone by for one to turn up."""
    if work.now - order.created_at < DRAFT_FOR or any(one.error for one in seen):
        return
    await work.advance(ORDER, order, Step.FAIL, status_at=work.now, failure="never_opened")
    work.record(OrderClosed(order.id, order.status))


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
    elif order.status != OrderStatus.PAID:  # settle has planned the next try itself
        order.next_look_at = next_look(_times(order, seen), work.now)


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


async def look_if_stale(desk: Desk, order: Order, now: datetime, actor: Actor) -> bool:
    """A buyer waits on the page: look, at most every 3 s an order however many tabs and daemons ask. True: looked.

    An order that ended unpaid is looked at too, less often: late money is still money.

    The look is given a few seconds; a provider that is slow must not make the page slow.
    """
    every = PAGE_EVERY.get(order.status)
    if every is None or (order.looked_at is not None and now - order.looked_at < every) or now > order.watch_until:
        return False
    async with desk.store.work(now, actor) as work:
        mine = await work.session.execute(
            update(Order)
            .where(Order.id == order.id, (Order.looked_at.is_(None)) | (Order.looked_at <= now - every))
            .values(looked_at=now)
            .returning(Order.id)
            .execution_options(synchronize_session=False)
        )
        if mine.first() is None:
            return False
    try:
        async with asyncio.timeout(PAGE_WAITS_SECONDS):
            await collect(desk, order.id, now, actor)
    except TimeoutError:
        return False
    return True
