"""How an endpoint is: what its last attempts came to, and a call for attention when it takes nothing for a day.

What is told to it waits and is tried again meanwhile (`attempt`); this is for the operator to see in time.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import func, select

from keysat.infra.attention import clear
from keysat.infra.public_http import checked_url
from keysat.infra.work import Read, Work
from keysat.infra.written import minute
from keysat.webhooks.tables import Delivery, DeliveryStatus, Endpoint

FAILING = "webhook_failing"  # a kind of attention
FAILS_FOR = timedelta(days=1)
COUNTED: Collection[DeliveryStatus] = (DeliveryStatus.PENDING, DeliveryStatus.FAILED)


class EndpointHealth(msgspec.Struct, frozen=True, kw_only=True):
    """`last_failure` in words; `failing_since`: the first failure after the last success; null: it is well.

    `pending`: how many deliveries wait; `dead_letters`: how many were given up and can be replayed.
    """

    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_failure: str | None
    failing_since: datetime | None
    consecutive_failures: int
    pending: int
    dead_letters: int


async def health_of(read: Read, endpoints: Sequence[Endpoint]) -> Mapping[UUID, EndpointHealth]:
    """By id. What arrived is not counted."""
    query = (
        select(Delivery.endpoint_id, Delivery.status, func.count())
        .where(Delivery.status.in_(COUNTED), Delivery.endpoint_id.in_(row.id for row in endpoints))
        .group_by(Delivery.endpoint_id, Delivery.status)
    )
    found = {(endpoint_id, status): count for endpoint_id, status, count in await read.session.execute(query)}
    return {
        row.id: EndpointHealth(
            last_success_at=row.last_success_at,
            last_failure_at=row.last_failure_at,
            last_failure=row.last_failure,
            failing_since=row.failing_since,
            consecutive_failures=row.consecutive_failures,
            pending=found.get((row.id, DeliveryStatus.PENDING), 0),
            dead_letters=found.get((row.id, DeliveryStatus.FAILED), 0),
        )
        for row in endpoints
    }


async def note(work: Work, endpoint: Endpoint, at: datetime, error: str | None) -> None:
    """What an attempt at that moment came to. `endpoint` is held. `error` None: it was taken."""
    if error is None:
        endpoint.last_success_at = at
        await forget_failures(work, endpoint)
        return
    endpoint.last_failure_at, endpoint.last_failure = at, error
    since = endpoint.failing_since = endpoint.failing_since or at
    endpoint.consecutive_failures += 1
    if at - since >= FAILS_FOR:
        host = checked_url(endpoint.url).host
        words = f"{host} has taken no webhook since {minute(since)}: {error}. What it is to be told waits."
        await work.attend(FAILING, endpoint.id, words, again=True)


async def forget_failures(work: Work, endpoint: Endpoint) -> None:
    """It took something, or is another one now: paused, or at another URL."""
    if endpoint.failing_since is not None:
        endpoint.failing_since, endpoint.consecutive_failures = None, 0
        await clear(work, endpoint.id, FAILING)
