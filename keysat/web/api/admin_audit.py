"""The audit log, as its operator reads it."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get
from litestar.params import FromQuery, QueryParameter

from keysat.kit.paging import LIMIT_DEFAULT
from keysat.operators.audit import AuditFilter, entries
from keysat.web.filters import Cursor, Limit, Moment
from keysat.web.provide import WithRead
from keysat.web.wire import Outbound


class AuditEntry(Outbound, frozen=True, kw_only=True):
    """One thing that happened. `action` is the event's name, `target_id` what it is about, `details` what it tells.

    `actor_kind` says who: `buyer`, `admin_key`, `cli`, `job:...`; `credential` which key or session, by its id. That
    and `request_ip` are null where there is none, or where they were erased. `position` in the chain of events that
    `keysat audit verify` walks.
    """

    id: int
    position: int | None
    action: str
    target_kind: str
    target_id: str
    actor_kind: str
    credential: str | None
    request_ip: str | None
    details: msgspec.Raw
    occurred_at: datetime


class AuditLog(Outbound, frozen=True, kw_only=True):
    entries: list[AuditEntry]
    next_cursor: str | None


@get("/audit", operation_id="listAudit")
async def list_audit(
    read: WithRead,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    action: FromQuery[str | None] = None,
    who: Annotated[str | None, QueryParameter(name="actor")] = None,
    credential: FromQuery[str | None] = None,
    subject: FromQuery[str | None] = None,
    since: Moment = None,
    until: Moment = None,
) -> AuditLog:
    """What happened, the latest first. Of several filters all must hold; `until` itself is left out."""
    wanted = AuditFilter(action=action, actor=who, credential=credential, subject=subject, since=since, until=until)
    page = await entries(read, wanted, limit, cursor)
    return AuditLog(
        entries=[
            AuditEntry(
                id=one.id,
                position=one.position,
                action=one.action,
                target_kind=one.action.partition(".")[0],
                target_id=one.subject,
                actor_kind=one.actor,
                credential=one.credential,
                request_ip=one.address,
                details=msgspec.Raw(one.body.encode()),
                occurred_at=one.occurred_at,
            )
            for one in page.items
        ],
        next_cursor=page.next_cursor,
    )


ROUTES = (list_audit,)
