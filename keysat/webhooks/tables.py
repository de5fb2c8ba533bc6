"""Who is told, what is owed to him, and how far the events have been read for that."""

from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy import Uuid as UuidType
from sqlalchemy.orm import Mapped, mapped_column

from keysat.infra.cursors import Cursor
from keysat.infra.leases import Leased
from keysat.infra.tables import ROW_ID, Base, where

EndpointId = NewType("EndpointId", UUID)
DeliveryId = NewType("DeliveryId", UUID)


class DeliveryStatus(StrEnum):
    """In the words of the published server."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # a dead letter: for the operator to see and replay


class DeliveryStep(StrEnum):
    DELIVER = "deliver"
    GIVE_UP = "give_up"
    REPLAY = "replay"


DELIVERY: dict[tuple[DeliveryStatus, DeliveryStep], DeliveryStatus] = {
    (DeliveryStatus.PENDING, DeliveryStep.DELIVER): DeliveryStatus.DELIVERED,
    (DeliveryStatus.PENDING, DeliveryStep.GIVE_UP): DeliveryStatus.FAILED,
    (DeliveryStatus.DELIVERED, DeliveryStep.REPLAY): DeliveryStatus.PENDING,
    (DeliveryStatus.FAILED, DeliveryStep.REPLAY): DeliveryStatus.PENDING,
}


class Endpoint(Leased, Base):
    """A receiver. Who holds its lease is the only one that sends to it.

    It is told what was sealed after `after_position`. `due_at`: when the first of its deliveries is; null: none waits.
    `deleted_at`: it is gone, but for the name that its deliveries keep. How it is: `health`.
    """

    __tablename__ = "webhook_endpoints"

    id: Mapped[EndpointId] = mapped_column(UuidType(), primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    event_types: Mapped[list[str]] = mapped_column(JSON)
    description: Mapped[str | None] = mapped_column(Text)
    active: Mapped[bool] = mapped_column(default=True)
    after_position: Mapped[int]
    due_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    last_success_at: Mapped[datetime | None]
    last_failure_at: Mapped[datetime | None]
    last_failure: Mapped[str | None] = mapped_column(String(255))  # in words
    failing_since: Mapped[datetime | None]  # the first failure after the last success
    consecutive_failures: Mapped[int] = mapped_column(default=0)


class EndpointSecret(Base):
    """What signs for an endpoint. `retires_at` null: the present one; else an older one, which signs until then.

    `sealed` holds the text of the shared secret and the seed of the Ed25519 key.
    """

    __tablename__ = "webhook_secrets"

    id: Mapped[UUID] = mapped_column(UuidType(), primary_key=True)
    endpoint_id: Mapped[EndpointId] = mapped_column(ForeignKey("webhook_endpoints.id"), index=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)
    public_key: Mapped[str] = mapped_column(String(64))  # whpk_...
    created_at: Mapped[datetime]
    retires_at: Mapped[datetime | None]


_WAITS = "next_try_at IS NOT NULL"


class Delivery(Base):
    """What is owed to one endpoint for one event; or a test, which has no `position`.

    `payload` is what is sent, byte by byte, at each attempt. What is about one object, the `subject`, is sent in order.
    `failures` in a row since the last replay; `attempts` in all. `answer_status` and `error` are those of the last one.
    """

    __tablename__ = "webhook_deliveries"

    id: Mapped[DeliveryId] = mapped_column(UuidType(), primary_key=True)
    endpoint_id: Mapped[EndpointId] = mapped_column(ForeignKey("webhook_endpoints.id"))
    position: Mapped[int | None] = mapped_column(ROW_ID)
    event_type: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(64))
    payload: Mapped[str] = mapped_column(Text)
    status: Mapped[DeliveryStatus]
    status_at: Mapped[datetime]
    created_at: Mapped[datetime]
    next_try_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    answer_status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(String(255))

    __table_args__ = (
        UniqueConstraint("endpoint_id", "position"),
        Index("ix_webhook_deliveries_created", "created_at", "id"),
        Index("ix_webhook_deliveries_endpoint", "endpoint_id", "created_at", "id"),
        Index("ix_webhook_deliveries_status", "status", "status_at"),
        Index("ix_webhook_deliveries_waiting", "endpoint_id", "position", "next_try_at", **where(_WAITS)),
        Index("ix_webhook_deliveries_order", "endpoint_id", "subject", "position", "next_try_at", **where(_WAITS)),
    )


class DeliveryAttempt(Base):
    """One try: what came back, if anything did. `answer` is the beginning of what the receiver said."""

    __tablename__ = "webhook_attempts"

    delivery_id: Mapped[DeliveryId] = mapped_column(
        ForeignKey("webhook_deliveries.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    took_ms: Mapped[int]
    answer_status: Mapped[int | None]
    error: Mapped[str | None] = mapped_column(String(255))
    answer: Mapped[str | None] = mapped_column(String(255))


class DispatchCursor(Cursor):
    __tablename__ = "webhook_cursor"
    READER = "dispatch"
