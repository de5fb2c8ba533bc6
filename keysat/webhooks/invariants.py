"""What must hold of deliveries: none is forgotten, and none is tried for ever."""

from datetime import datetime

from sqlalchemy import func, select

from keysat.infra.work import Read
from keysat.webhooks.tables import Delivery, DeliveryStatus, Endpoint, EndpointSecret

MOST = 100


async def broken(read: Read, _now: datetime) -> list[str]:
    """One sentence for each thing that does not hold, at most 100 of a kind."""
    waits = Delivery.status == DeliveryStatus.PENDING
    first_due = select(func.min(Endpoint.due_at)).where(Endpoint.id == Delivery.endpoint_id).scalar_subquery()
    rules = (
        ("waits, and nobody will try it", waits & Delivery.next_try_at.is_(None)),
        ("is done with, and would be tried again", ~waits & Delivery.next_try_at.is_not(None)),
        ("waits, and its endpoint is never due", waits & first_due.is_(None)),
    )
    lines: list[str] = []
    for words, violated in rules:
        ids = await read.session.scalars(select(Delivery.id).where(violated).order_by(Delivery.id).limit(MOST))
        lines += [f"Delivery {delivery_id} {words}." for delivery_id in ids]
    signs = select(EndpointSecret.endpoint_id).where(EndpointSecret.retires_at.is_(None))
    mute = select(Endpoint.id).where(Endpoint.deleted_at.is_(None), Endpoint.id.not_in(signs)).limit(MOST)
    lines += [f"Endpoint {endpoint_id} has no secret." for endpoint_id in await read.session.scalars(mute)]
    return lines
