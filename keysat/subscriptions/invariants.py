"""What must hold of every subscription, whatever happened before."""

from sqlalchemy import select

from keysat.infra.work import Read
from keysat.licenses.tables import License
from keysat.subscriptions.tables import Subscription

MOST = 100


async def broken(read: Read) -> list[str]:
    """A line for each violation, at most 100 of a kind."""
    drifted = await read.session.scalars(
        select(Subscription.id)
        .join(License, License.id == Subscription.license_id)
        .where(License.expires_at != Subscription.paid_through)
        .limit(MOST)
    )
    return [f"subscription {row_id}: its license does not end with what is paid" for row_id in drifted]
