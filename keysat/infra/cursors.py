"""How far a reader of the sealed events has come: one row, moved in the transaction that writes what was read."""

from datetime import datetime
from typing import ClassVar

from sqlalchemy import String, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from keysat.infra.tables import ROW_ID, Base
from keysat.infra.work import Read, Work


class Cursor(Base):
    """The one row, called `READER`, says up to which position the events were read."""

    __abstract__ = True
    READER: ClassVar[str]

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    position: Mapped[int] = mapped_column(ROW_ID)
    moved_at: Mapped[datetime]

    @classmethod
    async def begun(cls, read: Read) -> int:
        """0: nothing was read."""
        return await read.session.scalar(select(func.max(cls.position))) or 0

    @classmethod
    async def move(cls, work: Work, begun: int, upto: int) -> bool:
        """A compare-and-set, so that of two daemons one writes what follows from the events between."""
        first = work.insert(cls).values(name=cls.READER, position=0, moved_at=work.now)
        await work.session.execute(first.on_conflict_do_nothing(index_elements=["name"]))
        moved = await work.session.execute(
            update(cls)
            .where(cls.name == cls.READER, cls.position == begun)
            .values(position=upto, moved_at=work.now)
            .returning(cls.name)
            .execution_options(synchronize_session=False)
        )
        return moved.first() is not None
