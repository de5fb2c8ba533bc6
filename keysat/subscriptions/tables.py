"""The calendar of a license that is paid for by the period."""

from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy import Uuid as UuidType
from sqlalchemy.orm import Mapped, mapped_column

from keysat.infra.tables import Base
from keysat.kit.periods import Unit

SubscriptionId = NewType("SubscriptionId", UUID)


class SubscriptionStatus(StrEnum):
    ACTIVE = "active"


class Subscription(Base):
    """Cycle k ends at `anchor_at` + k periods in the calendar of `zone`, however late a payment was.

    `paid_through` is the truth about what is paid; the license's expiry follows it. The price tuple (currency, value,
    period) is the list price at which it renews: a discount on the first purchase is not in it.
    """

    __tablename__ = "subscriptions"

    id: Mapped[SubscriptionId] = mapped_column(UuidType(), primary_key=True)
    license_id: Mapped[UUID] = mapped_column(ForeignKey("licenses.id"), unique=True)
    policy_id: Mapped[UUID] = mapped_column(ForeignKey("policies.id"))
    offer_id: Mapped[UUID | None] = mapped_column(ForeignKey("offers.id"))
    status: Mapped[SubscriptionStatus]
    anchor_at: Mapped[datetime]
    zone: Mapped[str] = mapped_column(String(64))
    period_count: Mapped[int]
    period_unit: Mapped[Unit]
    listed_currency: Mapped[str] = mapped_column(String(3))
    listed_value: Mapped[int]
    cycle_number: Mapped[int]
    paid_through: Mapped[datetime]
    started_at: Mapped[datetime]

    __table_args__ = (Index("ix_subscriptions_paid_through", "status", "paid_through"),)
