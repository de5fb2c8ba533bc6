"""Read and Work: what a function is handed when it may look at, or change, the database.

`Work` in a signature means: inside one transaction, database only. It carries the moment, the actor and the source of
chance, so that nothing below reads a clock. Only `Store` commits.
"""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

from sqlalchemy import Select, insert, inspect, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.interfaces import ORMOption

from keysat.infra import locks
from keysat.infra.edition import IN_WORDS, UNCAPPED, Cap, Edition
from keysat.infra.events import Actor, Happening, origin_hash
from keysat.infra.tables import AttentionRow, Base, EventOrigin, EventRow
from keysat.kit.errors import Conflict, NotFound, TierCap
from keysat.kit.ids import Chance, random_uuid, token, uuid7
from keysat.kit.states import next_state

Row = TypeVar("Row", bound=Base)
State = TypeVar("State", bound=StrEnum)
State_co = TypeVar("State_co", bound=StrEnum, covariant=True)
Step = TypeVar("Step", bound=StrEnum)


class Stateful(Protocol[State_co]):
    """A row with an id and a status that only `Work.advance` writes."""

    @property
    def id(self) -> Mapped[Any]: ...

    @property
    def status(self) -> Mapped[State_co]: ...


class Read:
    """A snapshot of the database. Writing through it fails."""

    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def get(self, model: type[Row], key: object) -> Row:
        """The row with this primary key; raises NotFound."""
        row = await self.session.get(model, key)
        if row is None:
            raise _no(model, key)
        return row

    @property
    def dialect(self) -> str:
        return self.session.get_bind().dialect.name


class Work(Read):
    """One transaction. `record` and `attend` say what happened; both are written with it, or not at all."""

    def __init__(
        self, session: AsyncSession, now: datetime, actor: Actor, chance: Chance, edition: Edition = UNCAPPED
    ) -> None:
        super().__init__(session)
        self.now = now
        self.actor = actor
        self.chance = chance
        self.edition = edition
        self.happenings: list[Happening] = []
        self.topics: set[str] = set()

    def new_id(self) -> UUID:
        """A UUIDv7 of this transaction's moment: rows that are made together lie together."""
        return uuid7(self.now, self.chance)

    def secret_id(self) -> UUID:
        """A random UUID, for ids that stand in keys: it does not tell when and in what order something was sold."""
        return random_uuid(self.chance)

    def token(self, bits: int = 160) -> str:
        return token(self.chance, bits)

    def record(self, happening: Happening) -> None:
        self.happenings.append(happening)
        self.topics.add("events")

    def wake(self, topic: str) -> None:
        """Tell the job of this name, once the transaction is committed, that there is something to do."""
        self.topics.add(topic)

    async def within(self, cap: Cap, counted: Select[int] | None = None) -> None:
        """To be asked before one more is made; `counted` tells how many there are. Raises TierCap.

        Under a lock where it is capped, so that of two who see the last free place one gets it.
        """
        most = self.edition.caps.get(cap)
        if most is None:
            return
        if self.dialect == "postgresql":
            await self.session.execute(text(locks.advisory(locks.EDITION)))
        if counted is not None and (await self.session.scalars(counted)).one() < most:
            return
        allowed = f"at most {most} {IN_WORDS[cap]}" if most else f"no {IN_WORDS[cap]}"
        words = f"The edition {self.edition.name} of Keysat has {allowed}. What is there stays."
        if self.edition.upgrade_url is None:
            raise TierCap(words)
        raise TierCap(words, upgrade_url=self.edition.upgrade_url)

    async def attend(self, kind: str, subject: object, reason: str, *, again: bool = False) -> bool:
        """Put something on the "needs attention" list. False: it was there before, and stays as it is.

        `again` is for conditions that can come back: what was settled is called anew. A fact is called once.
        """
        new = {"kind": kind, "subject": str(subject), "reason": reason, "called_at": self.now, "settled_at": None}
        added = self.insert(AttentionRow).values(new)
        key = ["kind", "subject"]
        if again:
            added = added.on_conflict_do_update(
                index_elements=key, set_=new, where=AttentionRow.settled_at.is_not(None)
            )
        else:
            added = added.on_conflict_do_nothing(index_elements=key)
        called = await self.session.execute(added.returning(AttentionRow.id))
        return called.first() is not None

    async def hold(self, model: type[Row], key: object, *options: ORMOption) -> Row:
        """The row as committed, held against other transactions until this one ends. Raises NotFound.

        Options say what is loaded with it.

        (SQLite has one writer anyway and ignores FOR UPDATE.)
        """
        row = await self.session.scalar(
            select(model)
            .where(inspect(model).primary_key[0] == key)
            .options(*options)
            .with_for_update(of=model)
            .execution_options(populate_existing=True)
        )
        if row is None:
            raise _no(model, key)
        return row

    async def advance(
        self, table: Mapping[tuple[State, Step], State], row: Stateful[State], step: Step, **values: object
    ) -> None:
        """Take a step of a state table: a compare-and-set on `status` that writes `values` with it.

        Raises IllegalStep when the table has no such step, Conflict when another transaction was faster.
        """
        model = cast("type[Base]", type(row))
        columns = model.__table__.c
        old = cast("State", row.status)  # the type checker sees the column, not its value
        new = next_state(table, old, step)
        done = await self.session.execute(
            update(model)
            .where(columns.id == row.id, columns.status == old)
            .values(status=new, **values)
            .returning(columns.id)
            .execution_options(synchronize_session=False)
        )
        if done.first() is None:
            raise Conflict("This was changed by someone else a moment ago. Look again and repeat.")
        for name, value in {"status": new, **values}.items():
            set_committed_value(row, name, value)

    def insert(self, model: type[Base]) -> sqlite.Insert | postgresql.Insert:
        """The database's own INSERT, which knows ON CONFLICT (the same words on both)."""
        return postgresql.insert(model) if self.dialect == "postgresql" else sqlite.insert(model)

    @asynccontextmanager
    async def savepoint(self) -> AsyncGenerator[None, None]:
        """What raises inside leaves nothing behind, neither rows nor events; the transaction goes on."""
        told = len(self.happenings)
        try:
            async with self.session.begin_nested():
                yield
        except BaseException:
            del self.happenings[told:]
            raise

    async def write_events(self) -> None:
        """Called once by Store, right before the commit."""
        if not self.happenings:
            return
        salts = [token(self.chance) if self.actor.is_personal else None for _ in self.happenings]
        who = self.actor
        rows = [
            {
                "at": self.now,
                "name": happening.name,
                "subject": happening.subject,
                "actor": who.kind,
                "body": happening.body(),
                "origin_hash": origin_hash(salt, who.credential, who.address) if salt else None,
                "sealed": False,
            }
            for happening, salt in zip(self.happenings, salts, strict=True)
        ]
        if not who.is_personal:
            await self.session.execute(insert(EventRow), rows)  # asked for their ids, SQLite takes one row at a time
        else:
            ids = await self.session.scalars(
                insert(EventRow).returning(EventRow.id, sort_by_parameter_order=True), rows
            )
            origins = [
                {"event_id": event_id, "salt": salt, "credential": who.credential, "address": who.address}
                for event_id, salt in zip(ids, salts, strict=True)
            ]
            await self.session.execute(insert(EventOrigin), origins)


def _no(model: type[Base], key: object) -> NotFound:
    """In words: of IssuerKey "issuer key", of ConnectionRow "connection"."""
    noun = re.sub(r"(?<!^)(?=[A-Z])", " ", model.__name__.removesuffix("Row")).lower()
    return NotFound(f"There is no {noun} {key}.")


@asynccontextmanager
async def flushed(work: Work, conflict: str) -> AsyncGenerator[None, None]:
    """Writes what the block did. A row that exists already, or is still referred to, raises Conflict with this text."""
    try:
        yield
        await work.session.flush()
    except IntegrityError:
        raise Conflict(conflict) from None  # foreseen: no failure that the log should tell of
