"""Who sells, connections to providers, the attempts to be paid through them, and the hints they send."""

from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy import Uuid as UuidType
from sqlalchemy.orm import Mapped, mapped_column

from keysat.infra.tables import Base, where
from keysat.kit.money import Money
from keysat.payments.provider import Network, PayState, Rail

ProfileId = NewType("ProfileId", UUID)
ConnectionId = NewType("ConnectionId", UUID)
AttemptId = NewType("AttemptId", UUID)


class MerchantProfile(Base):
    """Under which name something is sold, and whose accounts take the money. Exactly one is the default.

    The one that came with the shop has no name until it is given one: the settings say the shop's.
    """

    __tablename__ = "merchant_profiles"

    id: Mapped[ProfileId] = mapped_column(UuidType(), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(200))
    legal_name: Mapped[str | None] = mapped_column(String(200))
    support_url: Mapped[str | None] = mapped_column(String(2000))
    support_email: Mapped[str | None] = mapped_column(String(320))
    post_purchase_redirect_url: Mapped[str | None] = mapped_column(String(2000))
    is_default: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = (Index("ux_merchant_profiles_default", "is_default", unique=True, **where("is_default")),)


class ConnectionStatus(StrEnum):
    ACTIVE = "active"
    DISCONNECTED = "disconnected"  # the row stays: its orders go on being watched as long as the credential holds


class ConnectionStep(StrEnum):
    DISCONNECT = "disconnect"
    RECONNECT = "reconnect"


CONNECTION = {
    (ConnectionStatus.ACTIVE, ConnectionStep.DISCONNECT): ConnectionStatus.DISCONNECTED,
    (ConnectionStatus.DISCONNECTED, ConnectionStep.RECONNECT): ConnectionStatus.ACTIVE,
}


class ConnectionRow(Base):
    """One account at one provider. `id` is random: it is the unguessable part of the webhook's path."""

    __tablename__ = "provider_connections"

    id: Mapped[ConnectionId] = mapped_column(UuidType(), primary_key=True)
    merchant_profile_id: Mapped[ProfileId | None] = mapped_column(UuidType(), ForeignKey("merchant_profiles.id"))
    provider: Mapped[str] = mapped_column(String(32))
    label: Mapped[str] = mapped_column(String(200))
    base_url: Mapped[str] = mapped_column(String(2000))
    public_url: Mapped[str | None] = mapped_column(String(2000))
    account_id: Mapped[str] = mapped_column(String(200))
    secrets_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    network: Mapped[Network]
    webhook_id: Mapped[str | None] = mapped_column(String(200))
    webhook_url: Mapped[str | None] = mapped_column(String(2000))  # where it is to send to
    status: Mapped[ConnectionStatus]
    health: Mapped[dict[str, object] | None] = mapped_column(JSON)  # what the last look found, for the operator
    connected_at: Mapped[datetime]
    checked_at: Mapped[datetime | None]
    unreachable_since: Mapped[datetime | None]  # None: the last look was answered
    swept_at: Mapped[datetime | None]  # all invoices created before this moment were looked through
    disconnected_at: Mapped[datetime | None]
    released_at: Mapped[datetime | None]  # our webhook and our key are gone from the account

    __table_args__ = (
        Index("ix_provider_connections_profile", "merchant_profile_id"),
        Index("ux_provider_connections_account", "provider", "account_id", unique=True, **where("status = 'active'")),
    )


class RailPreference(Base):
    """Which of a profile's connections takes what is paid by this rail."""

    __tablename__ = "rail_preferences"

    merchant_profile_id: Mapped[ProfileId] = mapped_column(
        UuidType(), ForeignKey("merchant_profiles.id"), primary_key=True
    )
    rail: Mapped[Rail] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId] = mapped_column(UuidType(), ForeignKey("provider_connections.id"), index=True)


class ConnectRequest(Base):
    """An operator went to a provider's page to allow us in. A one-time link of this id is what comes back from there.

    `actor` and `credential` say who began it; the return comes without any credential of ours.
    """

    __tablename__ = "connect_requests"

    id: Mapped[UUID] = mapped_column(UuidType(), primary_key=True)
    provider: Mapped[str] = mapped_column(String(32))
    base_url: Mapped[str] = mapped_column(String(2000))
    public_url: Mapped[str | None] = mapped_column(String(2000))
    merchant_profile_id: Mapped[ProfileId] = mapped_column(UuidType(), ForeignKey("merchant_profiles.id"), index=True)
    actor: Mapped[str] = mapped_column(String(64))
    credential: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime]


class Attempt(Base):
    """One try to be paid for one order. Written before the provider is asked, so that no crash loses an invoice.

    Price and sats are those of this try: a later try may be quoted anew. `seen_*` is what the provider showed last;
    it is an observation and decides nothing by itself.
    """

    __tablename__ = "payment_attempts"

    id: Mapped[AttemptId] = mapped_column(UuidType(), primary_key=True)
    echo: Mapped[str] = mapped_column(String(64), unique=True)  # random; the provider carries it back to us
    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), index=True)
    connection_id: Mapped[ConnectionId] = mapped_column(UuidType(), ForeignKey("provider_connections.id"))
    provider_invoice_id: Mapped[str | None] = mapped_column(String(200))
    checkout_url: Mapped[str | None] = mapped_column(Text)
    price_currency: Mapped[str] = mapped_column(String(3))
    price_minor: Mapped[int]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    monitor_until: Mapped[datetime]
    failed: Mapped[str | None] = mapped_column(String(64))  # the provider refused to make an invoice
    customer_ref: Mapped[str | None] = mapped_column(String(200))  # the provider's id of who may save a card with it
    seen_state: Mapped[PayState | None]
    seen_status: Mapped[str | None] = mapped_column(String(64))  # the provider's own words
    seen_paid_minor: Mapped[int | None]
    seen_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ux_payment_attempts_invoice", "connection_id", "provider_invoice_id", unique=True),
        Index("ix_payment_attempts_invoice", "provider_invoice_id"),
        Index("ix_payment_attempts_created", "created_at", "id"),
        Index("ix_payment_attempts_connection", "connection_id", "created_at", "id"),
        Index("ix_payment_attempts_seen", "seen_state", "created_at", "id"),
    )

    @property
    def asked(self) -> Money:
        return Money(self.price_currency, self.price_minor)

    @property
    def seen(self) -> Money | None:
        """What has arrived, as far as the provider showed. None: nothing, or it did not say."""
        return Money(self.price_currency, self.seen_paid_minor) if self.seen_paid_minor else None

    @property
    def missing(self) -> Money | None:
        """None: nothing is."""
        left = self.price_minor - (self.seen_paid_minor or 0)
        return Money(self.price_currency, left) if left > 0 else None

    @property
    def is_refused(self) -> bool:
        """The provider calls it invalid: what was paid was taken back, or never confirmed."""
        return self.seen_state is PayState.INVALID


class NudgeRow(Base):
    """A provider's message, kept as it came in. It only made us look; nothing is decided from it."""

    __tablename__ = "nudges"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    connection_id: Mapped[ConnectionId] = mapped_column(UuidType(), ForeignKey("provider_connections.id"))
    delivery_id: Mapped[str] = mapped_column(String(200))
    event: Mapped[str] = mapped_column(String(64))
    invoice_id: Mapped[str | None] = mapped_column(String(200))
    received_at: Mapped[datetime]

    __table_args__ = (Index("ux_nudges_delivery", "connection_id", "delivery_id", unique=True),)
