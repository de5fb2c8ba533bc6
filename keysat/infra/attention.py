"""The "needs attention" list: what only a person can decide. `Work.attend` puts something on it."""

from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, case, delete, func, select, tuple_, update

from keysat.infra.happenings import AttentionSettled
from keysat.infra.store import Store
from keysat.infra.tables import AttentionRow
from keysat.infra.work import Read, Work
from keysat.kit.errors import NotFound
from keysat.kit.paging import LIMIT_DEFAULT, Page, cursor_parts, page_of

ID_MAX = 2**63 - 1
_open = select(func.count()).where(AttentionRow.settled_at.is_(None))


class AttentionView(msgspec.Struct, frozen=True):
    """`subject` is the id of what it is about: an order, an attempt or a connection, as the `kind` tells."""

    id: int
    kind: str
    subject: str
    reason: str
    called_at: datetime
    settled_at: datetime | None


async def attention(
    read: Read,
    *,
    include_settled: bool = False,
    limit: int = LIMIT_DEFAULT,
    cursor: str | None = None,
    kind: str | None = None,
    subject: str | None = None,
) -> Page[AttentionView]:
    """What is open first, the latest call first. Raises BadRequest for a cursor that is not ours."""
    of = ("attention", include_settled, kind, subject)
    is_settled = case((AttentionRow.settled_at.is_(None), 0), else_=1)
    query = select(AttentionRow).order_by(is_settled, AttentionRow.id.desc()).limit(limit + 1)
    if not include_settled:
        query = query.where(AttentionRow.settled_at.is_(None))
    if kind is not None:
        query = query.where(AttentionRow.kind == kind)
    if subject is not None:
        query = query.where(AttentionRow.subject == subject)
    if cursor is not None:
        settled, last = cursor_parts(cursor, int, int, of=of)
        query = query.where(tuple_(is_settled, -AttentionRow.id) > tuple_(settled, -last))
    rows = (await read.session.scalars(query)).all()
    return page_of(
        [msgspec.convert(row, AttentionView, from_attributes=True) for row in rows],
        limit,
        lambda view: (int(view.settled_at is not None), view.id),
        of=of,
    )


async def open_calls(store: Store) -> int:
    """How many wait for a person: a point read."""
    found = await store.point(_open)
    return found[0] if found is not None else 0


async def call(read: Read, attention_id: int) -> AttentionView:
    """Raises NotFound."""
    return msgspec.convert(await _row(read, attention_id), AttentionView, from_attributes=True)


async def settle(work: Work, attention_id: int) -> AttentionView:
    """A person has dealt with it: it is not called again. What is settled stays as it is. Raises NotFound."""
    row = await _row(work, attention_id)
    if await _settle(work, AttentionRow.id == attention_id):
        await work.session.refresh(row)
    return msgspec.convert(row, AttentionView, from_attributes=True)


async def settle_about(work: Work, subject: object) -> None:
    """What was decided about the subject answers every open call about it."""
    await _settle(work, AttentionRow.subject == str(subject))


async def clear(work: Work, subject: object, *kinds: str) -> None:
    """These conditions ended by themselves: they leave the list, and are called anew when they come back."""
    await work.session.execute(
        delete(AttentionRow).where(AttentionRow.subject == str(subject), AttentionRow.kind.in_(kinds))
    )


async def _row(read: Read, attention_id: int) -> AttentionRow:
    row = await read.session.get(AttentionRow, attention_id) if abs(attention_id) <= ID_MAX else None
    if row is None:
        raise NotFound(f"There is nothing with the number {attention_id} on the list.")
    return row


async def _settle(work: Work, which: ColumnElement[bool]) -> bool:
    settled = await work.session.execute(
        update(AttentionRow)
        .where(which, AttentionRow.settled_at.is_(None))
        .values(settled_at=work.now)
        .returning(AttentionRow.id, AttentionRow.kind, AttentionRow.subject)
        .execution_options(synchronize_session=False)
    )
    rows = settled.all()
    for row_id, kind, subject in rows:
        work.record(AttentionSettled(row_id, kind, subject))
    return bool(rows)
