"""What must hold of orders: one paid order has exactly one effect, and none is forgotten."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, or_, select

from keysat.catalog.tables import DiscountCode
from keysat.checkout.change.tables import ChangeStatus, TierChange
from keysat.checkout.gate import LATE_WINDOW
from keysat.checkout.tables import (
    ENDED,
    OPEN,
    Order,
    OrderStatus,
    PaidHow,
    Purpose,
    Redemption,
    RedemptionStatus,
    Trial,
)
from keysat.infra.tables import AttentionRow
from keysat.infra.work import Read
from keysat.licenses.tables import License
from keysat.payments.tables import Attempt
from keysat.subscriptions.tables import Cycle, Subscription

MOST = 100
MAKES_A_LICENSE = (Purpose.PURCHASE, Purpose.MANUAL)
ON_THE_WAY = (OrderStatus.DRAFT, *OPEN, OrderStatus.PAID)
LAST_LOOK = timedelta(days=1)  # the daily look may fall this far before the end of the watch
BY_INVOICE = (PaidHow.IN_TIME, PaidHow.LATE, PaidHow.MARKED)

_made = select(func.count()).where(License.order_id == Order.id).correlate(Order).scalar_subquery()
_in_trial = (
    select(License.id)
    .join(Subscription, Subscription.license_id == License.id)
    .where(License.order_id == Order.id, Subscription.cycle_number == 0)
    .correlate(Order)
)
_is_paid = Order.status.in_((OrderStatus.PAID, OrderStatus.FULFILLED))
_named = exists().where(TierChange.order_id == Order.id, TierChange.license_id == Order.license_id)
_applied = exists().where(TierChange.order_id == Order.id, TierChange.status == ChangeStatus.APPLIED)
_renewed = exists().where(Cycle.order_id == Order.id, Cycle.paid_at.is_not(None))
_claimed = exists().where(Trial.order_id == Order.id)
_has_invoice = exists().where(Attempt.order_id == Order.id, Attempt.provider_invoice_id.is_not(None))


def _rules(now: datetime) -> tuple[tuple[str, ColumnElement[bool]], ...]:
    fulfilled = Order.status == OrderStatus.FULFILLED
    return (
        ("is fulfilled, but made no license", Order.purpose.in_(MAKES_A_LICENSE) & fulfilled & (_made != 1)),
        ("has a license, but is not fulfilled", ~fulfilled & (_made > 0)),
        ("does not name the license that it made", fulfilled & Order.license_id.is_(None)),
        (
            "is paid, and nothing says when, how or by what",
            _is_paid
            & or_(
                Order.paid_at.is_(None),
                Order.paid_how.is_(None),
                Order.paid_how.in_(BY_INVOICE) & Order.paid_attempt_id.is_(None),
            ),
        ),
        ("is to change a tier, and nothing says which", (Order.purpose == Purpose.TIER_CHANGE) & ~_named),
        ("is fulfilled, but changed no tier", (Order.purpose == Purpose.TIER_CHANGE) & fulfilled & ~_applied),
        ("changed a tier, but is not fulfilled", ~fulfilled & _applied),
        ("is a fulfilled renewal, but paid no cycle", (Order.purpose == Purpose.RENEWAL) & fulfilled & ~_renewed),
        ("was given for nothing, though it has a price", (Order.paid_how == PaidHow.FREE) & (Order.listed_value > 0)),
        ("is a trial, but was not for nothing", Order.trial_days.is_not(None) & (Order.paid_how != PaidHow.FREE)),
        ("is a trial, and its license does not say so", _in_trial.where(~License.is_trial).exists()),
        ("is no trial, but began one", Order.trial_days.is_(None) & (_in_trial.exists() | _claimed)),
        ("is on its way, but nobody will look at it", Order.status.in_(ON_THE_WAY) & Order.next_look_at.is_(None)),
        (
            "may still be paid late, but nobody will look at it",
            Order.status.in_(ENDED)
            & Order.failure.is_(None)
            & Order.next_look_at.is_(None)
            & (Order.watch_until > now + LAST_LOOK)
            & _has_invoice,
        ),
        (
            "can be paid, but has no invoice",
            Order.status.in_((OrderStatus.AWAITING, OrderStatus.PROCESSING)) & ~_has_invoice,
        ),
    )


async def broken(read: Read, now: datetime) -> list[str]:
    """One sentence for each thing that does not hold, at most 100 of a kind."""
    lines: list[str] = []
    for words, violated in _rules(now):
        rows = await read.session.scalars(
            select(Order.support_reference).where(violated).order_by(Order.created_at).limit(MOST)
        )
        lines += [f"Order {reference} {words}." for reference in rows]
    orphans = await read.session.scalars(select(License.id).where(License.order_id.is_(None)).limit(MOST))
    lines += [f"License {license_id} was neither sold nor given: no order made it." for license_id in orphans]
    return [
        *lines,
        *await _uses(read),
        *await _held_in_vain(read, now),
        *await _unattended(read),
        *await _called_underpaid(read),
    ]


async def _uses(read: Read) -> list[str]:
    """A use is counted as long as it is reserved or redeemed; a paid order has not lost its own."""
    held = (
        select(func.count())
        .where(Redemption.discount_id == DiscountCode.id, Redemption.status != RedemptionStatus.RELEASED)
        .correlate(DiscountCode)
        .scalar_subquery()
    )
    codes = await read.session.scalars(select(DiscountCode.code).where(DiscountCode.used_count != held).limit(MOST))
    unspent = await read.session.scalars(
        select(Order.support_reference)
        .join(Redemption, Redemption.order_id == Order.id)
        .where((Order.status == OrderStatus.FULFILLED) != (Redemption.status == RedemptionStatus.REDEEMED))
        .limit(MOST)
    )
    return [
        *(f"Code {code} has another count of uses than it has uses." for code in codes),
        *(f"Order {reference} and the use of its code disagree on whether it is fulfilled." for reference in unspent),
    ]


async def _held_in_vain(read: Read, now: datetime) -> list[str]:
    """Once the late window is over and a look found nothing paid, the use of a code is others' again."""
    rows = await read.session.execute(
        select(Order.support_reference, Order.expires_at, Order.looked_at)
        .join(Redemption, Redemption.order_id == Order.id)
        .where(
            Redemption.status == RedemptionStatus.RESERVED,
            Order.status.in_(ENDED),
            Order.expires_at <= now - LATE_WINDOW,
            Order.look_failures == 0,
            ~exists().where(Attempt.order_id == Order.id, or_(Attempt.seen_at.is_(None), Attempt.seen_paid_minor > 0)),
        )
    )
    return [
        f"Order {reference} will not be paid, but holds a use of a code."
        for reference, expires_at, looked_at in rows
        if looked_at is not None and looked_at >= expires_at + LATE_WINDOW
    ][:MOST]


async def _unattended(read: Read) -> list[str]:
    """Compared here, since each database has its own text of an id."""
    waiting = await read.session.execute(
        select(Order.id, Order.support_reference).where(Order.status.in_((OrderStatus.REVIEW, OrderStatus.PAID)))
    )
    orders = {str(order_id): reference for order_id, reference in waiting}
    listed = await read.session.scalars(
        select(AttentionRow.subject).where(AttentionRow.subject.in_(orders), AttentionRow.settled_at.is_(None))
    )
    forgotten = orders.keys() - set(listed)
    return [f"Order {orders[order_id]} waits for a person, but is not on the list." for order_id in sorted(forgotten)]


async def _called_underpaid(read: Read) -> list[str]:
    """Whoever paid the rest is not to be refunded by an operator who reads the list."""
    calls = await read.session.scalars(
        select(AttentionRow.subject).where(AttentionRow.kind == "order_underpaid", AttentionRow.settled_at.is_(None))
    )
    ids = [UUID(subject) for subject in calls]
    paid = await read.session.scalars(
        select(Order.support_reference).where(Order.id.in_(ids), Order.status == OrderStatus.FULFILLED)
    )
    return [f"Order {reference} is fulfilled, but is still called underpaid." for reference in paid]
