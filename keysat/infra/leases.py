"""Leases: how jobs of one or many daemons share work without doing it twice at the same time.

One UPDATE takes due rows for a while, the errand runs outside any transaction, and a compare-and-set on `leased_by`
ends it. A lease that ran out is taken by another, so every errand must be safe to repeat (`architecture.md` 5).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, select, update
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column

from keysat.infra.store import Store
from keysat.infra.tables import Base
from keysat.infra.work import Work


class Leased:
    """Mixin: the two columns of a row that a job can hold for a while."""

    leased_until: Mapped[datetime | None] = mapped_column(default=None)
    leased_by: Mapped[str | None] = mapped_column(default=None)

    def end_lease(self, holder: str) -> None:
        """As `give_back`, of a row that the caller holds."""
        if self.leased_by == holder:
            self.leased_until = self.leased_by = None


Row = TypeVar("Row", bound=Base)


async def is_any_due(store: Store, first_due: Select[datetime | None], now: datetime) -> bool:
    """One point read, so that no write lock is taken at each look for nothing. `first_due` selects the earliest."""
    first = await store.point(first_due)
    return first is not None and first[0] is not None and first[0] <= now


async def take(
    work: Work,
    model: type[Row],
    due: ColumnElement[bool],
    oldest_first: InstrumentedAttribute[datetime | None],
    *,
    most: int,
    seconds: int,
) -> tuple[str, Sequence[Row]]:
    """Lease at most `most` due rows for `seconds`. Returns the lease's name and the rows, oldest first."""
    holder = work.token(80)
    table = model.__table__.c
    free = (table.leased_until.is_(None)) | (table.leased_until < work.now)
    chosen = select(table.id).where(due, free).order_by(oldest_first).limit(most).with_for_update(skip_locked=True)
    rows = await work.session.scalars(
        update(model)
        .where(table.id.in_(chosen.scalar_subquery()))
        .values(leased_until=work.now + timedelta(seconds=seconds), leased_by=holder)
        .returning(model)
        .execution_options(synchronize_session=False, populate_existing=True)
    )
    return holder, sorted(rows, key=lambda row: getattr(row, oldest_first.key))


async def give_back(work: Work, model: type[Row], row_id: object, holder: str, **values: object) -> bool:
    """End a lease and write `values` with it. False: it ran out and belongs to another now; nothing was written."""
    table = model.__table__.c
    done = await work.session.execute(
        update(model)
        .where(table.id == row_id, table.leased_by == holder)
        .values(leased_until=None, leased_by=None, **values)
        .returning(table.id)
        .execution_options(synchronize_session=False)
    )
    return done.first() is not None
