"""How long deliveries are kept once they are done with."""

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import delete, select

from keysat.infra.work import Work
from keysat.webhooks.endpoints import forget_retired
from keysat.webhooks.tables import Delivery, DeliveryStatus

KEPT: Mapping[DeliveryStatus, timedelta] = {
    DeliveryStatus.DELIVERED: timedelta(days=30),
    DeliveryStatus.FAILED: timedelta(days=90),
}
AT_ONCE = 1000


async def forget(work: Work) -> bool:
    """With their attempts; and secrets that sign no more. True: there may be more."""
    await forget_retired(work)
    has_more = False
    for status, span in KEPT.items():
        old = select(Delivery.id).where(Delivery.status == status, Delivery.status_at < work.now - span).limit(AT_ONCE)
        gone = await work.session.scalars(
            delete(Delivery)
            .where(Delivery.id.in_(old))
            .returning(Delivery.id)
            .execution_options(synchronize_session=False)
        )
        has_more |= len(gone.all()) == AT_ONCE
    return has_more
