"""The table of rates: what the operator pinned. Prices from the sources live in memory only."""

from datetime import datetime

from sqlalchemy import CheckConstraint, String
from sqlalchemy.orm import Mapped, mapped_column

from keysat.infra.tables import Base


class RatePin(Base):
    """The operator's own price of one bitcoin: while it stands, no source is asked."""

    __tablename__ = "rate_pins"

    currency: Mapped[str] = mapped_column(String(3), primary_key=True)
    centibps: Mapped[int]  # 1/10,000 of the major unit
    set_at: Mapped[datetime]  # when this price was pinned

    __table_args__ = (CheckConstraint("centibps > 0", name="positive"),)
