"""Who buys. Personal data of buyers lives here alone; every other table holds a `customer_id`."""

from datetime import datetime
from typing import NewType
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy import Uuid as UuidType
from sqlalchemy.orm import Mapped, mapped_column

from keysat.infra.tables import Base, where

CustomerId = NewType("CustomerId", UUID)


def _searched(length: int) -> String:
    """Compared byte by byte on both databases, so that an index serves what begins with some text."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


class Customer(Base):
    """`email` as it was typed; `email_normal` is what addresses are compared by. Both are None once erased.

    `erased_hash`: of the address then, keyed with the vault key, so that an import does not bring it again.
    """

    __tablename__ = "customers"

    id: Mapped[CustomerId] = mapped_column(UuidType(), primary_key=True)
    email: Mapped[str | None] = mapped_column(String(254))
    email_normal: Mapped[str | None] = mapped_column(_searched(254), unique=True)
    name: Mapped[str | None] = mapped_column(_searched(200))
    note: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    erased_at: Mapped[datetime | None]
    erased_hash: Mapped[str | None] = mapped_column(String(64))

    __table_args__ = (  # what a search walks along (`read.py`), and need not leave
        Index("ix_customers_email", "email_normal", "id"),
        Index("ix_customers_name", "name", "id", "email_normal", **where("name IS NOT NULL")),
    )


class CustomerNote(Base):
    """What a known customer, or somebody with that address, wrote with an order; paid, it is the customer's note."""

    __tablename__ = "customer_notes"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True)
    customer_id: Mapped[CustomerId] = mapped_column(UuidType(), ForeignKey("customers.id"), index=True)
    note: Mapped[str] = mapped_column(Text)
