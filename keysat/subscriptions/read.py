"""Looking subscriptions up, and what the passes of the job have to do."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, and_, or_, select

from keysat.infra.filtered import latest_first
from keysat.infra.work import Read
from keysat.kit.errors import NotFound
from keysat.kit.paging import Page
from keysat.subscriptions.proration import Paid
from keysat.subscriptions.rules import BATCH
from keysat.subscriptions.tables import Cycle, Subscription, SubscriptionId, SubscriptionStatus


class SubscriptionFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is None does not filter."""

    status: SubscriptionStatus | None = None
    policy_id: UUID | None = None
    customer_id: UUID | None = None
    license_id: UUID | None = None
    paid_through_after: datetime | None = None
    paid_through_before: datetime | None = None


async def subscription_of(read: Read, license_id: UUID) -> Subscription | None:
    return await read.session.scalar(select(Subscription).where(Subscription.license_id == license_id))


async def the_subscription_of(read: Read, license_id: UUID) -> Subscription:
    """Raises NotFound."""
    found = await subscription_of(read, license_id)
    if found is None:
        raise NotFound("This license has no subscription: it does not renew.")
    return found


async def list_subscriptions(
    read: Read, wanted: SubscriptionFilter, limit: int, cursor: str | None = None
) -> Page[Subscription]:
    """The newest first; those asked for by the end of what is paid, by that, the latest first.

    Raises BadRequest for a cursor that is not ours.
    """
    by = "paid_through" if wanted.paid_through_after or wanted.paid_through_before else "started_at"
    return await latest_first(read, Subscription, wanted, limit, cursor, by=by)


async def cycles_of(read: Read, subscription_id: UUID, *, most: int = 200) -> Sequence[Cycle]:
    """The latest first, the unpaid one too."""
    query = select(Cycle).where(Cycle.subscription_id == subscription_id).order_by(Cycle.number.desc()).limit(most)
    return (await read.session.scalars(query)).all()


async def cycle_of_order(read: Read, order_id: UUID) -> Cycle | None:
    """None: the order pays no cycle, or another one has taken its place."""
    return await read.session.scalar(select(Cycle).where(Cycle.order_id == order_id))


async def running(read: Read, subscription_id: UUID, now: datetime) -> Sequence[Cycle]:
    """What is paid, or a trial, and not over: two cycles if a renewal was paid ahead, none in grace."""
    query = select(Cycle).where(Cycle.subscription_id == subscription_id, Cycle.paid_at.is_not(None))
    return (await read.session.scalars(query.where(Cycle.ends_at > now).order_by(Cycle.number))).all()


async def paid_now(read: Read, subscription_id: UUID, now: datetime) -> list[Paid]:
    """What is `running` for money, for `prorate`: no trial."""
    rows = await running(read, subscription_id, now)
    return [money_of(row) for row in rows if row.number]


def money_of(row: Cycle) -> Paid:
    return Paid(row.starts_at, row.ends_at, row.worth, row.paid)


async def unpaid(
    read: Read, now: datetime, limit: int = BATCH, after: SubscriptionId | None = None
) -> Sequence[SubscriptionId]:
    """Those to `fall_due` or, cancelled for then, to `end_period`; what is put off stays among them.

    `after`: the last one of the page before.
    """
    due = and_(Subscription.status == SubscriptionStatus.ACTIVE, Subscription.parked_at.is_(None))
    running = Subscription.status.in_((SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE))
    acts = or_(due, and_(running, Subscription.cancel_at_period_end))
    return await _ids(read, (Subscription.paid_through <= now, acts), limit, after)


async def lapsing(
    read: Read, now: datetime, limit: int = BATCH, after: SubscriptionId | None = None
) -> Sequence[SubscriptionId]:
    """Those to `lapse`, page by page as `unpaid`."""
    return await _ids(read, (Subscription.lapses_at <= now, Subscription.parked_at.is_(None)), limit, after)


async def _ids(
    read: Read, wanted: Sequence[ColumnElement[bool]], limit: int, after: SubscriptionId | None
) -> Sequence[SubscriptionId]:
    query = select(Subscription.id).where(*wanted).order_by(Subscription.id).limit(limit)
    if after is not None:
        query = query.where(Subscription.id > after)
    return (await read.session.scalars(query)).all()
