"""The tables of the doors: answers that a repeated request gets again, and limits that all daemons share."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from keysat.infra.tables import Base


class IdempotentAnswer(Base):
    """A creating request that carried an `Idempotency-Key`. Without an answer it is in flight."""

    __tablename__ = "idempotent_answers"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # digest of caller, method, route and key
    body_hash: Mapped[str] = mapped_column(String(64))
    claim: Mapped[UUID]  # whose request it is: one that came back after it was given up finds another's claim here
    begun_at: Mapped[datetime]
    answer_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)

    __table_args__ = (Index(None, "begun_at"),)


class LimitBucket(Base):
    """How far a limit is used. `full_at`: when the whole burst is there again, and the row may go."""

    __tablename__ = "limit_buckets"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)  # keyed digest of what is counted: no address in it
    full_at: Mapped[datetime]

    __table_args__ = (Index(None, "full_at"),)
