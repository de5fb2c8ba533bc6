"""What buyers are told by mail: the letters that are owed, and how far the events have been read for them."""

from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

from sqlalchemy import Index, String, Text, UniqueConstraint
from sqlalchemy import Uuid as UuidType
from sqlalchemy.orm import Mapped, mapped_column

from keysat.infra.cursors import Cursor
from keysat.infra.leases import Leased
from keysat.infra.tables import Base, where

LetterId = NewType("LetterId", UUID)


class LetterKind(StrEnum):
    RECEIPT = "receipt"  # subject: the order
    RECOVERY = "recovery"  # subject: the one-time link
    RENEWAL_PENDING = "renewal_pending"  # subject of these: the subscription
    RENEWED = "renewed"
    PAST_DUE = "past_due"
    LAPSED = "lapsed"
    CANCELLED = "cancelled"
    PRICE_CHANGED = "price_changed"
    CARD_DECLINED = "card_declined"
    TIER_CHANGED = "tier_changed"  # subject: the license


class LetterStatus(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    PARKED = "parked"  # refused for good, or too often: for the operator to see and send again
    DROPPED = "dropped"  # there is nothing to say any more, or nobody to say it to


class LetterStep(StrEnum):
    SEND = "send"
    PARK = "park"
    DROP = "drop"
    RETRY = "retry"


LETTER: dict[tuple[LetterStatus, LetterStep], LetterStatus] = {
    (LetterStatus.WAITING, LetterStep.SEND): LetterStatus.SENT,
    (LetterStatus.WAITING, LetterStep.PARK): LetterStatus.PARKED,
    (LetterStatus.WAITING, LetterStep.DROP): LetterStatus.DROPPED,
    (LetterStatus.PARKED, LetterStep.RETRY): LetterStatus.WAITING,
}


class LetterRow(Leased, Base):
    """A letter holds neither address nor text nor key: all three are looked up when it is sent.

    `occasion` tells letters of a kind about one subject apart: the number of the cycle, else the position of the event;
    0 where there is only one. `failures` in a row; `failure` is what the mail server said last, without the address.
    """

    __tablename__ = "letters"

    id: Mapped[LetterId] = mapped_column(UuidType(), primary_key=True)
    kind: Mapped[LetterKind]
    subject: Mapped[UUID]
    occasion: Mapped[int] = mapped_column(default=0)
    status: Mapped[LetterStatus]
    status_at: Mapped[datetime]
    created_at: Mapped[datetime]
    next_try_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    failure: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (
        UniqueConstraint("kind", "subject", "occasion"),
        Index("ix_letters_due", "next_try_at", **where("next_try_at IS NOT NULL")),
    )


class LetterBucket(Base):
    """How many letters that nobody paid for an address was sent lately: when its bucket will be full again."""

    __tablename__ = "letter_buckets"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    full_at: Mapped[datetime] = mapped_column(index=True)


class LetterCursor(Cursor):
    __tablename__ = "letter_cursor"
    READER = "letters"
