"""The base of every table, the column types both databases share, and infra's own tables."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy import Uuid as UuidType
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment. Refuses naive values on the way in; always UTC on the way out, also from SQLite, which forgets."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone was about to be stored")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _values(members: type[StrEnum]) -> list[str]:
    return [member.value for member in members]


ROW_ID = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows by itself only for INTEGER


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        datetime: UtcDateTime,
        UUID: UuidType(),
        int: BigInteger,
        bool: Boolean(create_constraint=False),
        StrEnum: Enum(StrEnum, native_enum=False, length=32, values_callable=_values),
    }


def where(condition: str) -> Mapping[str, Any]:
    """For an Index: only of the rows that fit."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class House(Base):
    """Facts about this shop (`house.py`): most are written once, such as its mode and the admin key's hash."""

    __tablename__ = "house"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    written_at: Mapped[datetime]


class EventRow(Base):
    """What happened, in the past tense. Never updated but for `sealed`, never deleted."""

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    name: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(64))  # id of what it is about: the first field of the happening
    actor: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    origin_hash: Mapped[str | None] = mapped_column(String(64))
    sealed: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (
        Index("ix_events_unsealed", "id", **where("NOT sealed")),
        Index("ix_events_subject", "subject", "id"),
        Index("ix_events_at", "at", "id"),
        Index("ix_events_name", "name", "at", "id"),
        Index("ix_events_actor", "actor", "at", "id"),
    )


class EventOrigin(Base):
    """Who caused an event, and from where. Personal: may be erased; the chain covers only its salted hash."""

    __tablename__ = "event_origins"

    event_id: Mapped[int] = mapped_column(ROW_ID, ForeignKey("events.id"), primary_key=True, autoincrement=False)
    salt: Mapped[str] = mapped_column(String(64))
    credential: Mapped[str | None] = mapped_column(String(255))
    address: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (Index("ix_event_origins_credential", "credential", "event_id"),)


class EventSeal(Base):
    """The order in which readers follow the events: positions without a gap, each hash covering the one before."""

    __tablename__ = "event_seals"

    position: Mapped[int] = mapped_column(ROW_ID, primary_key=True, autoincrement=False)
    event_id: Mapped[int] = mapped_column(ROW_ID, ForeignKey("events.id"), unique=True)
    hash: Mapped[str] = mapped_column(String(64))


class Tally(Base):
    """A figure that the events add up to, so that nobody counts a million rows. `upkeep/tallies.py` says which."""

    __tablename__ = "tallies"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    amount: Mapped[int]


class AttentionRow(Base):
    """Something only a person can decide. One row for each kind and subject; `Work.attend` says what comes again."""

    __tablename__ = "attention"

    id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(Text)
    called_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("kind", "subject"),
        Index("ix_attention_open", "id", **where("settled_at IS NULL")),
    )


class OneTimeLink(Base):
    """An address that was mailed to somebody and opens one thing once. `hash` is SHA-256 of the token in it."""

    __tablename__ = "one_time_links"

    id: Mapped[UUID] = mapped_column(UuidType(), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(64))  # id of what it opens
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_one_time_links_expires", "expires_at"),)
