"""The audit log: every event with who caused it and from where, the latest first. Nothing else writes one.

What an event tells is decided where it is recorded: ids, codes, amounts and states (`infra/events`). A credential is
the id of a key or session, never its text.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, tuple_

from keysat.infra.tables import EventOrigin, EventRow, EventSeal
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest
from keysat.kit.paging import LIMIT_DEFAULT, Page, cursor_parts, page_of


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Of several all must hold. `action` is an event's name; `since` is included, `until` is not."""

    action: str | None = None
    actor: str | None = None
    credential: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """`position` in the chain of events: null for the fraction of a second until it is sealed. `body` is JSON."""

    id: int
    position: int | None
    occurred_at: datetime
    action: str
    subject: str
    actor: str
    credential: str | None
    address: str | None
    body: str


async def entries(
    read: Read, wanted: AuditFilter, limit: int = LIMIT_DEFAULT, cursor: str | None = None
) -> Page[AuditEntry]:
    """The latest first. Raises BadRequest for a cursor that is not ours, and for a time without a zone."""
    for moment in (wanted.since, wanted.until):
        if moment is not None and moment.tzinfo is None:
            raise BadRequest("Write a time with its zone: 2026-01-31T12:00:00Z.")
    of = ("audit", wanted)
    query = (
        select(EventRow, EventSeal.position, EventOrigin.credential, EventOrigin.address)
        .outerjoin(EventSeal, EventSeal.event_id == EventRow.id)
        .outerjoin(EventOrigin, EventOrigin.event_id == EventRow.id)
        .order_by(EventRow.at.desc(), EventRow.id.desc())
        .limit(limit + 1)
    )
    for column, value in (
        (EventRow.name, wanted.action),
        (EventRow.actor, wanted.actor),
        (EventOrigin.credential, wanted.credential),
        (EventRow.subject, wanted.subject),
    ):
        query = query.where(column == value) if value is not None else query
    query = query.where(EventRow.at >= wanted.since) if wanted.since is not None else query
    query = query.where(EventRow.at < wanted.until) if wanted.until is not None else query
    if cursor is not None:
        query = query.where(tuple_(EventRow.at, EventRow.id) < tuple_(*cursor_parts(cursor, datetime, int, of=of)))
    return page_of(
        [
            AuditEntry(
                id=row.id,
                position=position,
                occurred_at=row.at,
                action=row.name,
                subject=row.subject,
                actor=row.actor,
                credential=credential,
                address=address,
                body=row.body,
            )
            for row, position, credential, address in await read.session.execute(query)
        ],
        limit,
        lambda entry: (entry.occurred_at, entry.id),
        of=of,
    )
