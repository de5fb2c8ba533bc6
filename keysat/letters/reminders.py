"""What the letters of a subscription tell of its cycles, and whether it still holds when they are due."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select

from keysat.checkout.held import Standing, held_for_license, is_renewal_coming
from keysat.checkout.tables import SEEN_PAID, Order
from keysat.infra.work import Read
from keysat.kit.money import Money
from keysat.letters.tables import LetterKind, LetterRow
from keysat.subscriptions.rules import calendar_of
from keysat.subscriptions.tables import Cycle, Subscription, SubscriptionStatus

HOLDS_IN = {
    LetterKind.PAST_DUE: SubscriptionStatus.PAST_DUE,
    LetterKind.LAPSED: SubscriptionStatus.LAPSED,
    LetterKind.CANCELLED: SubscriptionStatus.CANCELLED,
}

Told = Mapping[str, object]


async def told_of(read: Read, subscription: Subscription, row: LetterRow, now: datetime) -> Told | None:
    """What the letter's texts may name besides what all of them may. None: it is not so any more."""
    match row.kind:
        case LetterKind.RENEWAL_PENDING | LetterKind.CARD_DECLINED:
            return await _to_pay(read, subscription, row, now)
        case LetterKind.RENEWED:
            return await _paid(read, subscription, row.occasion)
        case LetterKind.PRICE_CHANGED:
            return _new_price(subscription, now)
        case _:
            if subscription.status is not HOLDS_IN[row.kind] or await _is_seen_paid(read, subscription):
                return None
            return await _held(read, subscription, now) if row.kind is not LetterKind.CANCELLED else {}


async def _held(read: Read, subscription: Subscription, now: datetime) -> Told | None:
    """Money that waits for the seller, to be told beside what is asked for. None: some is on its way, be it late."""
    money = await held_for_license(read, subscription.license_id, now)
    if is_renewal_coming(money):
        return None
    return {"held": [one for one in money if one.standing is Standing.WAITS]}


async def _to_pay(read: Read, subscription: Subscription, row: LetterRow, now: datetime) -> Told | None:
    """A card that was asked pays without a reminder; one that was declined does not."""
    found = await _cycle(read, subscription, row.occasion)
    if found is None or found[0].paid_at is not None or found[1].status in SEEN_PAID:
        return None
    cycle, order = found
    held = await _held(read, subscription, now)
    if held is None or (row.kind is LetterKind.RENEWAL_PENDING and cycle.charged_at is not None):
        return None
    due = {"due_at": cycle.starts_at, "next_end": cycle.ends_at}
    return {**held, **due, "price": _price(order), "sats": order.amount_sats}


async def _paid(read: Read, subscription: Subscription, number: int) -> Told | None:
    found = await _cycle(read, subscription, number)
    return {"price": _price(found[1])} if found is not None and found[0].paid_at is not None else None


def _new_price(subscription: Subscription, now: datetime) -> Told | None:
    value, first = subscription.next_value, subscription.next_value_from
    if value is None or first is None:
        return None
    holds_from = calendar_of(subscription).end(first - 1)
    is_to_come = subscription.status is not SubscriptionStatus.CANCELLED and now < holds_from
    return (
        {
            "old_price": Money(subscription.listed_currency, subscription.listed_value),
            "new_price": Money(subscription.listed_currency, value),
            "holds_from": holds_from,
            "reason": subscription.next_value_reason,
        }
        if is_to_come
        else None
    )


async def _is_seen_paid(read: Read, subscription: Subscription) -> bool:
    found = await _cycle(read, subscription, subscription.cycle_number + 1)
    return found is not None and found[1].status in SEEN_PAID


async def _cycle(read: Read, subscription: Subscription, number: int) -> tuple[Cycle, Order] | None:
    """With the order that pays it."""
    found = await read.session.execute(
        select(Cycle, Order)
        .join(Order, Order.id == Cycle.order_id)
        .where(Cycle.subscription_id == subscription.id, Cycle.number == number)
    )
    row = found.first()
    return (row[0], row[1]) if row is not None else None


def _price(order: Order) -> Money | None:
    """None: it costs nothing."""
    return Money(order.listed_currency, order.listed_value) if order.listed_value else None
