"""The orders of a license, and of a customer."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from keysat.checkout.change.tables import TierChange
from keysat.checkout.read import orders_of
from keysat.checkout.tables import Order
from keysat.infra.work import Read
from keysat.licenses.tables import License
from keysat.subscriptions.tables import Cycle, Subscription

MOST = 200


async def orders_of_license(read: Read, license: License) -> Sequence[Order]:
    """The one that made it, those of its periods and of its changes of tier: the newest first, at most 200."""
    cycles = select(Cycle.order_id).join(Subscription, Subscription.id == Cycle.subscription_id)
    periods = cycles.where(Subscription.license_id == license.id)
    changes = select(TierChange.order_id).where(TierChange.license_id == license.id)
    ids = {license.order_id, *await read.session.scalars(periods), *await read.session.scalars(changes)}
    return (await orders_of(read, ids))[:MOST]


async def orders_of_customer(read: Read, customer_id: UUID, *, most: int = MOST) -> Sequence[Order]:
    """The newest first."""
    query = select(Order).where(Order.customer_id == customer_id)
    return (await read.session.scalars(query.order_by(Order.created_at.desc(), Order.id.desc()).limit(most))).all()
