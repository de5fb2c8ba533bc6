"""One attempt: the request, what came of it, and what that means for the delivery."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select

from keysat.infra.http import HttpLimits, NetworkError, ResponseTooLarge
from keysat.infra.public_http import Network, PublicHttp, Refused, Resolve, checked_url
from keysat.infra.store import Store
from keysat.infra.vault import Vault
from keysat.infra.work import Work
from keysat.kit.backoff import Backoff, with_jitter
from keysat.kit.clock import Clock
from keysat.kit.ids import fraction
from keysat.webhooks.happenings import DeliveryFailed
from keysat.webhooks.health import note
from keysat.webhooks.names import PING
from keysat.webhooks.sign import Signer, headers
from keysat.webhooks.tables import (
    DELIVERY,
    Delivery,
    DeliveryAttempt,
    DeliveryStatus,
    DeliveryStep,
    Endpoint,
    EndpointId,
)

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
AGAIN = Backoff(
    (5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR), then=None
)
"""Ten attempts in 75 h 35 min (`decisions.md`)."""
JITTER_PERCENT = 10
RETRY_AFTER_SECONDS_MAX = 24 * 3600
TIMEOUT_SECONDS = 10
IN_FLIGHT_MOST = 4  # to one endpoint
PREVIEW_CHARACTERS = 200
ERROR_CHARACTERS = 200
FAILED = "webhook_failed"  # a kind of attention
LIMITS = HttpLimits(
    connect_seconds=TIMEOUT_SECONDS,
    read_seconds=TIMEOUT_SECONDS,
    answer_bytes_max=64 * 1024,
    connections_max=IN_FLIGHT_MOST,
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """What sending needs. `networks`: private ones that webhooks may go to. `look_up` says where a name is."""

    store: Store
    vault: Vault
    clock: Clock
    networks: tuple[Network, ...]
    look_up: Resolve
    is_sandbox: bool

    def http(self) -> PublicHttp:
        """For one endpoint: a pool looks at all of its connections for each request."""
        return PublicHttp(self.networks, LIMITS, self.look_up)

    async def check(self, url: str) -> None:
        """Looks the name up, so not within a transaction. Raises BadRequest for what may not be asked."""
        await self.http().check(url)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`status` None: nothing came back. `error` None: it was taken. `is_final`: it is not tried again."""

    delivery: Delivery
    at: datetime
    took_ms: int = 0
    status: int | None = None
    error: str | None = None
    answer: str | None = None
    retry_after_seconds: int = 0
    is_final: bool = False


async def attempt(http: PublicHttp, url: str, delivery: Delivery, signers: Sequence[Signer], clock: Clock) -> Outcome:
    """2xx is taken; a redirect is an answer like any other."""
    body, at = delivery.payload.encode(), clock.now()
    sent = headers(delivery.id, delivery.event_type, body, at, signers)
    if delivery.position is not None:
        sent["X-Keysat-Position"] = str(delivery.position)
    status, words, answer, wait = None, None, None, None
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            got = await http.request("POST", url, headers=sent, content=body)
        status, answer = got.status, got.body[: 4 * PREVIEW_CHARACTERS].decode(errors="replace").replace("\0", "")
        wait = got.retry_after_seconds(at, RETRY_AFTER_SECONDS_MAX)
    except TimeoutError:
        words = f"no answer within {TIMEOUT_SECONDS} s"
    except ResponseTooLarge as large:
        status = large.status
    except (NetworkError, Refused) as failed:
        words = str(failed)
    if status is not None and not 200 <= status < 300:
        words = f"answered {status}"
    return Outcome(
        delivery,
        at,
        took_ms=(clock.now() - at) // timedelta(milliseconds=1),
        status=status,
        error=words and words[:ERROR_CHARACTERS],
        answer=answer and answer[:PREVIEW_CHARACTERS],
        retry_after_seconds=wait or 0,
        is_final=delivery.event_type == PING,
    )


async def write_down(work: Work, endpoints: Mapping[EndpointId, Endpoint], outcomes: Sequence[Outcome]) -> None:
    """Of deliveries that nobody else has written about meanwhile; `endpoints` are theirs, by id."""
    if not outcomes:
        return
    ids = [outcome.delivery.id for outcome in outcomes]
    query = select(Delivery).where(Delivery.id.in_(ids)).with_for_update().execution_options(populate_existing=True)
    rows = {row.id: row for row in await work.session.scalars(query)}
    told: list[dict[str, object]] = []
    for outcome in outcomes:
        row = rows.get(outcome.delivery.id)
        if row is None or row.status != DeliveryStatus.PENDING or row.attempts != outcome.delivery.attempts:
            continue
        endpoint = endpoints[row.endpoint_id]
        await note(work, endpoint, outcome.at, outcome.error)
        await _conclude(work, endpoint, row, outcome)
        told.append(
            {
                "delivery_id": row.id,
                "number": outcome.delivery.attempts + 1,
                "at": outcome.at,
                "took_ms": outcome.took_ms,
                "answer_status": outcome.status,
                "error": outcome.error,
                "answer": outcome.answer,
            }
        )
    if told:
        await work.session.execute(insert(DeliveryAttempt), told)


async def _conclude(work: Work, endpoint: Endpoint, row: Delivery, outcome: Outcome) -> None:
    """Delivered, tried again after a while, or a dead letter."""
    attempts = row.attempts + 1
    seen = {"attempts": attempts, "answer_status": outcome.status, "error": outcome.error}
    if outcome.error is None:
        await work.advance(
            DELIVERY, row, DeliveryStep.DELIVER, status_at=work.now, next_try_at=None, failures=0, **seen
        )
        return
    failures = row.failures + 1
    wait = None if outcome.is_final else AGAIN.after(failures)
    if wait is not None:
        wait = with_jitter(wait, fraction(work.chance), JITTER_PERCENT)
        row.next_try_at = work.now + max(wait, timedelta(seconds=outcome.retry_after_seconds))
        row.attempts, row.failures, row.answer_status, row.error = attempts, failures, outcome.status, outcome.error
        return
    await work.advance(
        DELIVERY, row, DeliveryStep.GIVE_UP, status_at=work.now, next_try_at=None, failures=failures, **seen
    )
    if not outcome.is_final:
        work.record(DeliveryFailed(row.id, endpoint.id, row.event_type))
        words = f"{checked_url(endpoint.url).host} did not take a webhook in {failures} attempts: {outcome.error}."
        await work.attend(FAILED, endpoint.id, words, again=True)
