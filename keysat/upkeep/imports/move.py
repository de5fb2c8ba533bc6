"""What every part of an import shares: the transaction, the file, the report, and the one way to write rows."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import RowMapping, insert, inspect, select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import InstrumentedAttribute

from keysat.checkout.tables import Order
from keysat.customers.tables import Customer
from keysat.infra.events import Actor
from keysat.infra.tables import Base, EventRow
from keysat.infra.vault import Vault
from keysat.infra.work import Work
from keysat.licenses.tables import License
from keysat.upkeep.imports.fields import Values, misfit
from keysat.upkeep.imports.report import Report
from keysat.upkeep.imports.source import Row, Senseless, Source
from keysat.upkeep.person import BLANKED
from keysat.upkeep.rows import parted

T = TypeVar("T")

IMPORT = Actor("import")
AT_ONCE = 500
TOLD_EVERY = 5_000  # rows
DELETED = ("product.deleted", "policy.deleted", "code.deleted", "merchant_profile.deleted")
SOLD = ("product_id", "policy_id")  # of a license
Tell = Callable[[str, int], None]
"""Hears from time to time how many rows of a kind are done."""


@dataclass(frozen=True, slots=True)
class Written:
    """What came now; and what an earlier import had brought: its values there, and its row here."""

    new: Sequence[Values]
    known: Sequence[tuple[Values, RowMapping]]

    @property
    def all(self) -> Sequence[Values]:
        return [*self.new, *(there for there, _ in self.known)]


@dataclass(frozen=True, slots=True)
class Move:
    work: Work
    source: Source
    vault: Vault
    tell: Tell
    report: Report = field(default_factory=Report)
    here: defaultdict[str, set[UUID]] = field(default_factory=lambda: defaultdict[str, set[UUID]](set))
    """By table, ids of the file that are here by now: what a row may hang on."""
    default_profiles: set[UUID] = field(default_factory=set[UUID])
    """What sells what names no other: here that is no profile at all."""
    gone: set[UUID] = field(default_factory=set[UUID])
    """What an earlier import had brought, and was deleted here. Not what was sold there, for its keys are to hold."""
    erased: dict[UUID, UUID] = field(default_factory=dict[UUID, UUID])
    """Orders and licenses of who was erased here, and who that was: no more is told of them."""

    async def look(self) -> None:
        """At what was decided here, before anything comes."""
        self.gone.update(await self.decided(*DELETED))
        for row in self.source.rows("licenses") if self.gone else ():
            for column in SOLD:
                with suppress(Senseless):
                    self.gone.discard(row.id(column))
        for model in (Order, License):
            theirs = select(model.id, Customer.id).join(Customer, Customer.id == model.customer_id)
            for row_id, owner in await self.work.session.execute(theirs.where(Customer.erased_at.is_not(None))):
                self.erased[row_id] = owner

    def at(self, row: Row, column: str) -> datetime:
        """A moment that has to be there; now, where nobody can read it."""
        return row.moment(column) or self.work.now

    def read(self, kind: str, table: str, values: Callable[["Move", Row], T]) -> list[T]:
        """Of each row that makes sense, its values; the others are left behind."""
        made: list[T] = []
        for row in self.source.rows(table):
            try:
                made.append(values(self, row))
            except Senseless as error:
                self.report.leave(kind, row.name, str(error))
        return made

    def fitting(self, kind: str, model: type[Base], rows: Iterable[Values]) -> list[Values]:
        """What the table can take; the others are left behind."""
        kept: dict[UUID, Values] = {}
        for row in rows:
            if row["id"] in self.gone:
                self.report.differ(kind, row["id"], "was deleted here")
                continue
            if {row["id"], row.get("license_id")} & self.erased.keys():
                row |= dict.fromkeys(row.keys() & BLANKED.get(model, {}))
            why = "has the id of another" if row["id"] in kept else misfit(model, row, self.here)
            if why is None:
                kept[row["id"]] = row
            else:
                self.report.leave(kind, row["id"], why)
        return list(kept.values())

    async def write(
        self, kind: str, model: type[Base], rows: Iterable[Values], *compared: InstrumentedAttribute[Any]
    ) -> Written:
        """Rows by their id: those that fit and are not here yet are written. The others stay as they are.

        Which of them has another value in a column that is `compared` is told. What is no attribute of the model is
        left out.
        """
        columns = {one.key: one.class_attribute for one in inspect(model).column_attrs}
        new: list[Values] = []
        known: list[tuple[Values, RowMapping]] = []
        done = 0
        for batch in parted(self.fitting(kind, model, rows), AT_ONCE):
            here = select(*columns.values()).where(columns["id"].in_([row["id"] for row in batch]))
            held = {row["id"]: row for row in (await self.work.session.execute(here)).mappings()}
            known += [(row, held[row["id"]]) for row in batch if row["id"] in held]
            new += await self._insert(kind, model, [row for row in batch if row["id"] not in held])
            done += len(batch)
            if done % TOLD_EVERY == 0:
                self.tell(kind, done)
        self.report.brought[kind] += len(new)
        self.report.there[kind] += len(known)
        for there, row in known:
            if others := [one.key for one in compared if row[one.key] != there[one.key]]:
                self.report.differ(kind, there["id"], f"has another {', '.join(others)}")
        written = Written(new, known)
        self.here[model.__tablename__] = {row["id"] for row in written.all}
        return written

    async def _insert(self, kind: str, model: type[Base], rows: Sequence[Values]) -> Sequence[Values]:
        """Those that the database takes. One that it refuses is looked for by halves."""
        if not rows:
            return rows
        try:
            async with self.work.savepoint():
                await self.work.session.execute(insert(model), rows)
            return rows
        except (IntegrityError, DataError):
            if len(rows) == 1:
                self.report.leave(kind, rows[0]["id"], "stands in the way of another that is here")
                return ()
        half = len(rows) // 2
        return [*await self._insert(kind, model, rows[:half]), *await self._insert(kind, model, rows[half:])]

    async def put(self, model: type[Base], rows: Sequence[Values]) -> None:
        """What goes with rows that came now."""
        if rows:
            await self.work.session.execute(insert(model), rows)

    async def decided(self, *names: str) -> set[UUID]:
        """What there is such an event about that no import has recorded."""
        told = select(EventRow.subject).where(EventRow.name.in_(names), EventRow.actor != IMPORT.kind)
        return set(map(UUID, await self.work.session.scalars(told)))

    async def was_decided(self, subject: object, *names: str) -> bool:
        """The same about one, and of any event where none is named: it stays as it is."""
        told = select(EventRow.id).where(EventRow.subject == str(subject), EventRow.actor != IMPORT.kind)
        if names:
            told = told.where(EventRow.name.in_(names))
        return await self.work.session.scalar(told.limit(1)) is not None
