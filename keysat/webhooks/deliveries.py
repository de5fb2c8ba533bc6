"""What was owed and what became of it: lists for the operator, replay, test."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import select

from keysat.infra.attention import settle_about
from keysat.infra.errand import Errand
from keysat.infra.filtered import latest_first
from keysat.infra.work import Read, Work
from keysat.kit.errors import BadRequest
from keysat.kit.paging import Page
from keysat.webhooks.attempt import Exchange, attempt, write_down
from keysat.webhooks.deliver import LEASE_SECONDS
from keysat.webhooks.endpoints import endpoint, held, hold_all, make_due, signers
from keysat.webhooks.happenings import DeliveriesReplayed, EndpointTested
from keysat.webhooks.names import NAMES, PING, payload
from keysat.webhooks.tables import (
    DELIVERY,
    Delivery,
    DeliveryAttempt,
    DeliveryId,
    DeliveryStatus,
    DeliveryStep,
    Endpoint,
)

REPLAYED_AT_ONCE = 1000


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is None does not filter."""

    endpoint_id: UUID | None = None
    status: DeliveryStatus | None = None
    event_type: str | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """`has_more`: there were more of them than are replayed at once."""

    deliveries: int
    has_more: bool


async def deliveries(read: Read, wanted: Wanted, limit: int, cursor: str | None) -> Page[Delivery]:
    """The newest first. Raises BadRequest for a cursor that is not ours, or an event that there is not."""
    if wanted.event_type is not None and wanted.event_type not in (*NAMES, PING):
        raise BadRequest(f"There is no event {wanted.event_type[:64]!r}.")
    return await latest_first(read, Delivery, wanted, limit, cursor)


async def attempts(read: Read, delivery_id: UUID) -> Sequence[DeliveryAttempt]:
    """The first one first."""
    query = select(DeliveryAttempt).where(DeliveryAttempt.delivery_id == delivery_id)
    return (await read.session.scalars(query.order_by(DeliveryAttempt.number))).all()


async def retry(work: Work, delivery_id: UUID) -> Delivery:
    """Send it again, whatever became of it; one that waits is tried now. Raises NotFound."""
    row = await work.get(Delivery, delivery_id)
    await _replay(work, await held(work, row.endpoint_id), [await work.hold(Delivery, row.id)])
    return row


async def replay(
    work: Work,
    endpoint_id: UUID,
    *,
    status: DeliveryStatus | None = DeliveryStatus.FAILED,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Replayed:
    """All of an endpoint with this status, written between two moments, the oldest first. None: whatever its status.

    Raises NotFound.
    """
    receiver = await held(work, endpoint_id)
    query = select(Delivery).where(Delivery.endpoint_id == endpoint_id, Delivery.event_type != PING)
    if status is not None:
        query = query.where(Delivery.status == status)
    if since is not None:
        query = query.where(Delivery.created_at >= since)
    if until is not None:
        query = query.where(Delivery.created_at <= until)
    rows = (
        await work.session.scalars(
            query.order_by(Delivery.created_at, Delivery.id).limit(REPLAYED_AT_ONCE + 1).with_for_update(of=Delivery)
        )
    ).all()
    await _replay(work, receiver, rows[:REPLAYED_AT_ONCE])
    return Replayed(min(len(rows), REPLAYED_AT_ONCE), len(rows) > REPLAYED_AT_ONCE)


async def test(errand: Errand, exchange: Exchange, endpoint_id: UUID) -> Delivery:
    """Send a `ping` now, once, also to an endpoint that is not active; what came of it. Raises NotFound."""
    async with errand.work() as work:
        receiver = await endpoint(work, endpoint_id)
        keys = (await signers(work, exchange.vault, [receiver.id]))[receiver.id]
        ping = Delivery(
            id=DeliveryId(work.new_id()),
            endpoint_id=receiver.id,
            event_type=PING,
            subject=str(receiver.id),
            payload=payload(PING, work.now, {"endpoint_id": receiver.id}, is_sandbox=exchange.is_sandbox),
            status=DeliveryStatus.PENDING,
            status_at=work.now,
            created_at=work.now,
            next_try_at=work.now + timedelta(seconds=LEASE_SECONDS),  # by the job, if this breaks off
            failures=0,
            attempts=0,
        )
        work.session.add(ping)
        await work.session.flush()
        await make_due(work, [receiver.id], ping.next_try_at)
        work.record(EndpointTested(receiver.id, ping.id))
    http = exchange.http()
    try:
        outcome = await attempt(http, receiver.url, ping, keys, exchange.clock)
    finally:
        await http.aclose()
    async with errand.work() as work:
        await write_down(work, await hold_all(work, [receiver.id]), [outcome])
        return await work.get(Delivery, ping.id)


async def _replay(work: Work, receiver: Endpoint, rows: Sequence[Delivery]) -> None:
    for row in rows:
        if row.status == DeliveryStatus.PENDING:
            row.next_try_at, row.failures = work.now, 0
        else:
            await work.advance(DELIVERY, row, DeliveryStep.REPLAY, status_at=work.now, next_try_at=work.now, failures=0)
    if rows:
        work.record(DeliveriesReplayed(receiver.id, len(rows)))
        await settle_about(work, receiver.id)
        await make_due(work, [receiver.id])
