"""What must hold of every subscription, whatever happened before."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import aliased

from keysat.infra.work import Read
from keysat.licenses.tables import License, LicenseStatus
from keysat.subscriptions.rules import calendar_of
from keysat.subscriptions.tables import Cycle, Subscription, SubscriptionStatus

MOST = 100
S = SubscriptionStatus

_next, _later = aliased(Cycle), aliased(Cycle)
_paid_cycles = (
    select(func.count())
    .where(Cycle.subscription_id == Subscription.id, Cycle.paid_at.is_not(None))
    .correlate(Subscription)
    .scalar_subquery()
)
_first_and_last = tuple(
    select(pick(Cycle.number))
    .where(Cycle.subscription_id == Subscription.id, Cycle.paid_at.is_not(None))
    .correlate(Subscription)
    .scalar_subquery()
    for pick in (func.min, func.max)
)
_has_open_cycle = select(Cycle.number).where(Cycle.subscription_id == Subscription.id, Cycle.paid_at.is_(None)).exists()
_overlaps = (
    select(_next.number)
    .join(_later, and_(_later.subscription_id == _next.subscription_id, _later.number == _next.number + 1))
    .where(_next.subscription_id == Subscription.id, _later.paid_at.is_not(None), _later.starts_at < _next.ends_at)
    .exists()
)
_renews = Subscription.status.in_((S.ACTIVE, S.PAST_DUE)) & ~Subscription.cancel_at_period_end
_has_ended = Subscription.status.in_((S.PAUSED, S.CANCELLED))

_rules: tuple[tuple[str, ColumnElement[bool]], ...] = (
    (
        "its license does not end with what is paid",
        License.is_subscribed & or_(License.expires_at.is_(None), License.expires_at != Subscription.paid_through),
    ),
    (
        "its license is revoked, and it runs",
        and_(License.status == LicenseStatus.REVOKED, Subscription.status != S.CANCELLED),
    ),
    (
        "nothing will ever open its next order",
        _renews & Subscription.next_attempt_at.is_(None) & Subscription.parked_at.is_(None) & ~_has_open_cycle,
    ),
    (
        "an order is to be opened, and it is over",
        or_(  # one that is to end may have been cancelled while its next period was being paid
            (_has_ended | Subscription.cancel_at_period_end) & Subscription.next_attempt_at.is_not(None),
            _has_ended & _has_open_cycle,
        ),
    ),
    ("a paid cycle is missing", _paid_cycles != _first_and_last[1] - _first_and_last[0] + 1),
    (
        "its last paid cycle is not the one it counts",
        func.coalesce(_first_and_last[1], -1) != Subscription.cycle_number,
    ),
    ("a time was paid twice", _overlaps),
    (
        "a grace is put aside, and it is not paused",
        Subscription.paused_grace_seconds.is_not(None) & Subscription.status.in_((S.ACTIVE, S.PAST_DUE)),
    ),
)


async def broken(read: Read, _now: datetime) -> list[str]:
    """A line for each violation, at most 100 of a kind."""
    lines: list[str] = []
    for words, violated in _rules:
        ids = await read.session.scalars(
            select(Subscription.id)
            .join(License, License.id == Subscription.license_id)
            .where(violated)
            .order_by(Subscription.id)
            .limit(MOST)
        )
        lines += [f"subscription {row_id}: {words}" for row_id in ids]
    drifted = [
        row.id
        async for row in await read.session.stream_scalars(select(Subscription))
        if calendar_of(row).end(row.cycle_number) != row.paid_through
    ]
    has_none = ~select(Subscription.id).where(Subscription.license_id == License.id).exists()
    orphans = await read.session.scalars(select(License.id).where(License.is_subscribed, has_none).limit(MOST))
    lines += [f"license {license_id}: it is paid by the period, and has no subscription" for license_id in orphans]
    return lines + [f"subscription {row_id}: what is paid is no end of its calendar" for row_id in drifted[:MOST]]
