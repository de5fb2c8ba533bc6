"""A table of the tests' own, outside the schema: something with a lease, and with a status."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped, mapped_column

from keysat.infra.leases import Leased
from keysat.infra.store import Store
from keysat.infra.tables import Base


class ErrandStatus(StrEnum):
    OPEN = "open"
    DONE = "done"
    DROPPED = "dropped"


class ErrandStep(StrEnum):
    FINISH = "finish"
    DROP = "drop"


ERRAND = {
    (ErrandStatus.OPEN, ErrandStep.FINISH): ErrandStatus.DONE,
    (ErrandStatus.OPEN, ErrandStep.DROP): ErrandStatus.DROPPED,
}


class OwnBase(Base):
    __abstract__ = True
    metadata = MetaData()


class Errand(Leased, OwnBase):
    __tablename__ = "errands"

    id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[ErrandStatus]
    due_at: Mapped[datetime | None]
    result: Mapped[str | None]


async def make_table(store: Store) -> None:
    async with store.engine.begin() as connection:
        await connection.run_sync(OwnBase.metadata.create_all)
