"""What every part of an import shares: the transaction, the file, the report, and the one way to write rows."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, inspect, select

from keysat.infra.tables import Base
from keysat.infra.vault import Vault
from keysat.infra.work import Work, flushed
from keysat.upkeep.imports.report import Report
from keysat.upkeep.imports.source import Source, moment
from keysat.upkeep.rows import parted

AT_ONCE = 500
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Move:
    work: Work
    source: Source
    vault: Vault
    report: Report = field(default_factory=Report)
    default_profiles: set[UUID] = field(default_factory=set[UUID])
    """What sells what names no other: here that is no profile at all."""

    def at(self, text: str | None) -> datetime:
        """A moment that has to be there; now, where nobody can read it."""
        return moment(text) or self.work.now

    async def write(self, kind: str, model: type[Base], rows: Iterable[Values]) -> set[UUID]:
        """Rows by their id: those that are not here yet are written; returns their ids. Raises Conflict."""
        added: set[UUID] = set()
        for batch in parted(rows, AT_ONCE):
            new = await self._new(model, batch)
            self.report.there[kind] += len(batch) - len(new)
            self.report.brought[kind] += len(new)
            if new:
                names = f"One of the {kind} stands in the way of another that is here: import into a shop of its own."
                async with flushed(self.work, names):
                    await self.work.session.execute(insert(model), [dict(row) for row in new])
                added |= {row["id"] for row in new}
        return added

    async def _new(self, model: type[Base], batch: Sequence[Values]) -> list[Values]:
        ids = inspect(model).attrs["id"].class_attribute
        known = set(await self.work.session.scalars(select(ids).where(ids.in_([row["id"] for row in batch]))))
        return [row for row in batch if row["id"] not in known]
