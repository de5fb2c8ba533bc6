"""From events to deliveries: what is owed to whom, written as the sealed events are read."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import exists, insert, select

from keysat.infra.events import Actor
from keysat.infra.reader import Reader, Sealed, read_on
from keysat.infra.store import Store
from keysat.infra.tables import EventRow
from keysat.infra.work import Work
from keysat.webhooks.endpoints import make_due
from keysat.webhooks.names import TOLD, Told, told, wants
from keysat.webhooks.tables import Delivery, DeliveryStatus, DispatchCursor, Endpoint

DISPATCHER = Actor("job:webhooks")


async def dispatch(store: Store, now: datetime, *, is_sandbox: bool) -> int:
    """Read on to the last sealed event. Returns how many deliveries are new. Safe from any number of processes."""
    reader = Reader(DISPATCHER, DispatchCursor.begun, DispatchCursor.move, partial(_owe, is_sandbox=is_sandbox))
    somebody = exists().where(Endpoint.deleted_at.is_(None))
    return await read_on(reader, store, now, EventRow.name.in_(TOLD), somebody)


async def _owe(work: Work, events: Sequence[Sealed], *, is_sandbox: bool) -> int:
    news = [one for event in events if (one := told(*event))]
    receivers = (await work.session.scalars(select(Endpoint).where(Endpoint.deleted_at.is_(None)))).all()
    rows: list[dict[str, object]] = []
    for event in news:
        payload = event.payload(is_sandbox=is_sandbox)
        rows += [_row(work, receiver, event, payload) for receiver in receivers if _is_told(receiver, event)]
    if rows:
        await work.session.execute(insert(Delivery), rows)
        await make_due(work, {receiver.id for receiver in receivers if any(_is_told(receiver, one) for one in news)})
    return len(rows)


def _is_told(receiver: Endpoint, event: Told) -> bool:
    return receiver.after_position < event.position and wants(receiver.event_types, event.event_type)


def _row(work: Work, receiver: Endpoint, event: Told, payload: str) -> dict[str, object]:
    return {
        "id": work.new_id(),
        "endpoint_id": receiver.id,
        "position": event.position,
        "event_type": event.event_type,
        "subject": event.subject,
        "payload": payload,
        "status": DeliveryStatus.PENDING,
        "status_at": work.now,
        "created_at": work.now,
        "next_try_at": work.now,
        "failures": 0,
        "attempts": 0,
    }
