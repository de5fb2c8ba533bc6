"""What happened to something, told from the events about it."""

from collections.abc import Iterable
from datetime import datetime

import msgspec
from sqlalchemy import select

from keysat.infra.filtered import paged
from keysat.infra.tables import EventRow
from keysat.infra.work import Read
from keysat.kit.paging import Page


class Told(msgspec.Struct, frozen=True):
    """One event. `about`: the id of what it is about. `actor` says who: `buyer`, `admin_key`, `cli`, `job:...`."""

    id: int
    at: datetime
    name: str
    about: str
    actor: str
    details: msgspec.Raw


async def timeline(read: Read, subjects: Iterable[object], limit: int, cursor: str | None = None) -> Page[Told]:
    """Of the first of the subjects and what belongs to it, the latest first.

    Raises BadRequest for a cursor that is not ours.
    """
    about = [str(subject) for subject in subjects]
    of = ("timeline", about[:1])  # what belongs to it may grow between two pages
    query = select(EventRow).where(EventRow.subject.in_(about))
    return (await paged(read, query, [EventRow.id], limit, cursor, of=of, latest_first=True)).map(_told)


def _told(row: EventRow) -> Told:
    return Told(row.id, row.at, row.name, row.subject, row.actor, msgspec.Raw(row.body.encode()))
