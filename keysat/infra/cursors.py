"""How far a reader of the sealed events has come: one row, moved in the transaction that writes what was read."""

from datetime import datetime
from typing import TypeVar

from sqlalchemy import String, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from keysat.infra.tables import ROW_ID, Base
from keysat.infra.work import Read, Work


class Cursor(Base):
    """The one row says up to which sealed position the events were read."""

    __abstract__ = True

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    position: Mapped[int] = mapped_column(ROW_ID)
    moved_at: Mapped[datetime]


Row = TypeVar("Row", bound=Cursor)


async def position_of(read: Read, model: type[Row]) -> int:
    """0: nothing was read."""
    return await read.session.scalar(select(func.max(model.position))) or 0


async def move(work: Work, model: type[Row], name: str, begun: int, upto: int) -> bool:
    """A compare-and-set, so that of two daemons one writes what follows from the events between."""
    await work.session.execute(
        work.insert(model)
        .values(name=name, position=0, moved_at=work.now)
        .on_conflict_do_nothing(index_elements=["name"])
    )
    moved = await work.session.execute(
        update(model)
        .where(model.name == name, model.position == begun)
        .values(position=upto, moved_at=work.now)
        .returning(model.name)
        .execution_options(synchronize_session=False)
    )
    return moved.first() is not None
