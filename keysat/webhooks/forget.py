"""How long deliveries wait, and how long they are kept once they are done with."""

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import delete, select

from keysat.infra.public_http import checked_url
from keysat.infra.work import Work
from keysat.webhooks.endpoints import WAITED, forget_retired, hold_all
from keysat.webhooks.happenings import DeliveryFailed
from keysat.webhooks.tables import DELIVERY, Delivery, DeliveryStatus, DeliveryStep

KEPT: Mapping[DeliveryStatus, timedelta] = {
    DeliveryStatus.DELIVERED: timedelta(days=30),
    DeliveryStatus.FAILED: timedelta(days=90),
}
WAITS_DAYS_MAX = 90
"""Attempts end long before: this is for one that is switched off, or is down while much is about one object."""
AT_ONCE = 1000
GIVEN_UP_AT_ONCE = 200  # a statement each


async def forget(work: Work) -> bool:
    """With their attempts; and secrets that sign no more. What waited too long is a dead letter.

    True: there may be more.
    """
    await forget_retired(work)
    has_more = await _give_up(work)
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


async def _give_up(work: Work) -> bool:
    """Attention is called once for an endpoint, until it is switched on again."""
    since = work.now - timedelta(days=WAITS_DAYS_MAX)
    too_long = (Delivery.status == DeliveryStatus.PENDING) & (Delivery.status_at < since)
    concerned = await work.session.scalars(select(Delivery.endpoint_id).where(too_long).distinct())
    receivers = await hold_all(work, concerned.all())
    query = select(Delivery).where(too_long, Delivery.endpoint_id.in_(receivers)).limit(GIVEN_UP_AT_ONCE)
    rows = (await work.session.scalars(query.with_for_update())).all()
    error = f"waited for {WAITS_DAYS_MAX} days"
    for row in rows:
        await work.advance(DELIVERY, row, DeliveryStep.GIVE_UP, status_at=work.now, next_try_at=None, error=error)
        work.record(DeliveryFailed(row.id, row.endpoint_id, row.event_type))
    for endpoint_id in {row.endpoint_id for row in rows}:
        host = checked_url(receivers[endpoint_id].url).host
        await work.attend(WAITED, endpoint_id, f"Webhooks to {host} {error}, and are dead letters now.")
    return len(rows) == GIVEN_UP_AT_ONCE
