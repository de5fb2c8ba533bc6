"""Money that came and has brought nothing so far: who sent it is told of it before he is asked for more.

A provider shows money long before it counts, and what comes late, in part or for an order that another one replaced
waits for the seller. Here is told which orders of a license, or of a browser, such money stands behind.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, func, select

from keysat.checkout.gate import Doubt, late_window
from keysat.checkout.next_order import open_order
from keysat.checkout.read import is_payment_seen
from keysat.checkout.tables import AS_SEEN, ENDED, HAS_MONEY, Order, OrderStatus, Purpose
from keysat.infra.tables import AttentionRow
from keysat.infra.work import Read
from keysat.kit.money import Money
from keysat.payments.tables import Attempt
from keysat.subscriptions.read import cycle_of_order, subscription_of


class Standing(StrEnum):
    COMES = "comes"  # all of it, be it late: once it is confirmed it counts, or is laid before the seller
    PART = "part"  # the rest can still be paid
    WAITS = "waits"  # the seller decides


@dataclass(frozen=True, slots=True)
class Held:
    order: Order
    standing: Standing
    asked: Money
    """What the provider asks for: the price, or sats where it does not price fiat."""
    seen: Money | None
    """None: the provider did not say how much."""
    missing: Money | None


async def held_for_license(read: Read, license_id: UUID, now: datetime) -> Sequence[Held]:
    """Of its renewals and changes of tier, the newest first."""
    return await _held(read, now, Order.license_id == license_id)


async def held_for_browser(read: Read, browser_hash: str, product_id: UUID, now: datetime) -> Sequence[Held]:
    """Of what was bought of the product on its buy page, the newest first."""
    return await _held(read, now, Order.buyer_hash == browser_hash, Order.product_id == product_id)


def is_renewal_coming(money: Sequence[Held]) -> bool:
    """Nobody is asked to pay the next period meanwhile."""
    return any(one.standing is Standing.COMES and one.order.purpose is Purpose.RENEWAL for one in money)


async def takes_late_money(read: Read, order: Order) -> bool:
    """Of its own accord, for a while: not for a change of tier, nor for a renewal that was dropped.

    One that was quoted anew may take its period back (`next_order`).
    """
    if order.purpose is not Purpose.RENEWAL or await cycle_of_order(read, order.id) is not None:
        return bool(late_window(order.purpose))
    renewed = await subscription_of(read, order.license_id) if order.license_id is not None else None
    newer = await open_order(read, renewed.id) if renewed is not None else None
    cycle = await cycle_of_order(read, newer.id) if newer is not None else None
    return cycle is not None and cycle.created_at <= order.created_at


async def _held(read: Read, now: datetime, *of: ColumnElement[bool]) -> Sequence[Held]:
    has_money = Order.status.in_((*HAS_MONEY, OrderStatus.REVIEW))
    was_seen = Order.status.in_(AS_SEEN) & (Attempt.seen_paid_minor > 0)
    rows = select(Order, Attempt).join(Attempt, Attempt.order_id == Order.id).where(*of, has_money | was_seen)
    by_most = Order.created_at.desc(), Order.id.desc(), func.coalesce(Attempt.seen_paid_minor, 0).desc()
    found = (await read.session.execute(rows.order_by(*by_most))).all()
    calls = await _called_underpaid(read, [order.id for order, _ in found if order.status in ENDED])
    held: dict[UUID, Held] = {}
    for order, attempt in found:
        standing = _standing(order, attempt, now, calls)
        if standing is not None:
            held.setdefault(order.id, Held(order, standing, attempt.asked, attempt.seen, attempt.missing))
    return list(held.values())


def _standing(order: Order, attempt: Attempt, now: datetime, calls: Mapping[str, bool]) -> Standing | None:
    """None: nothing is held. `calls`: as of `_called_underpaid`."""
    if is_payment_seen(order, attempt, now):
        return Standing.COMES
    if order.status is OrderStatus.REVIEW:
        return Standing.WAITS
    if attempt.is_refused or attempt.missing is None:
        return None
    if order.is_open(now):
        return Standing.PART
    return Standing.WAITS if calls.get(str(order.id), now <= order.watch_until) else None


async def _called_underpaid(read: Read, order_ids: Sequence[UUID]) -> Mapping[str, bool]:
    """Of which orders the seller was told so; False: and has decided."""
    if not order_ids:
        return {}
    calls = select(AttentionRow.subject, AttentionRow.settled_at).where(
        AttentionRow.kind == f"order_{Doubt.UNDERPAID}", AttentionRow.subject.in_([str(one) for one in order_ids])
    )
    return {subject: settled_at is None for subject, settled_at in await read.session.execute(calls)}
