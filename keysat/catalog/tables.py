"""What is sold. Amounts are minor units of the product's currency; slugs never change once written."""

from datetime import datetime
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy import Uuid as UuidType
from sqlalchemy.orm import Mapped, mapped_column, relationship

from keysat.infra.tables import Base
from keysat.kit.periods import Unit

ProductId = NewType("ProductId", UUID)
FeatureId = NewType("FeatureId", UUID)
PolicyId = NewType("PolicyId", UUID)
OfferId = NewType("OfferId", UUID)
DiscountId = NewType("DiscountId", UUID)


class Product(Base):
    """`id` stands in every key sold, so it is random and tells nothing. Without a profile the default one sells it."""

    __tablename__ = "products"

    id: Mapped[ProductId] = mapped_column(UuidType(), primary_key=True)
    slug: Mapped[str] = mapped_column(String(63), unique=True)
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text, default="")
    price_currency: Mapped[str] = mapped_column(String(3))
    price_value: Mapped[int]
    active: Mapped[bool] = mapped_column(default=True)
    downgrade_at_renewal: Mapped[bool] = mapped_column(default=False)  # buyers may, by themselves
    merchant_profile_id: Mapped[UUID | None] = mapped_column(ForeignKey("merchant_profiles.id"), index=True)
    details: Mapped[dict[str, Any]] = mapped_column("metadata", JSON, default=dict)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    features: Mapped[list["Feature"]] = relationship(order_by="Feature.position", lazy="raise", viewonly=True)

    __table_args__ = (CheckConstraint("price_value >= 0", name="price"),)


class Feature(Base):
    """One entry of a product's entitlement catalog: what a tier's entitlements may name."""

    __tablename__ = "features"

    id: Mapped[FeatureId] = mapped_column(UuidType(), primary_key=True)
    product_id: Mapped[ProductId] = mapped_column(UuidType(), ForeignKey("products.id"))
    slug: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text, default="")
    position: Mapped[int]

    __table_args__ = (UniqueConstraint("product_id", "slug"),)


class TrialNeeds(StrEnum):
    """What tells who has had a trial already."""

    EMAIL = "email"
    FINGERPRINT = "fingerprint"  # of a device, as the app sends it
    NOTHING = "nothing"  # the address is limited


class Policy(Base):
    """A tier. `price_value` None takes the product's price, 0 is free; `max_machines` 0 is unlimited."""

    __tablename__ = "policies"

    id: Mapped[PolicyId] = mapped_column(UuidType(), primary_key=True)
    product_id: Mapped[ProductId] = mapped_column(UuidType(), ForeignKey("products.id"))
    slug: Mapped[str] = mapped_column(String(63))
    name: Mapped[str] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text, default="")
    price_value: Mapped[int | None]
    duration_seconds: Mapped[int] = mapped_column(default=0)
    grace_seconds: Mapped[int] = mapped_column(default=0)
    max_machines: Mapped[int] = mapped_column(default=1)
    seats_evict_after_days: Mapped[int | None]
    is_trial: Mapped[bool] = mapped_column(default=False)
    trial_days: Mapped[int] = mapped_column(default=0)
    trial_needs: Mapped[TrialNeeds] = mapped_column(default=TrialNeeds.EMAIL)
    is_recurring: Mapped[bool] = mapped_column(default=False)
    period_count: Mapped[int | None]
    period_unit: Mapped[Unit | None]
    grace_period_days: Mapped[int] = mapped_column(default=7)
    renewal_lead_days: Mapped[int] = mapped_column(default=3)
    tier_rank: Mapped[int | None]
    entitlements: Mapped[list[str]] = mapped_column(JSON, default=list)
    marketing_bullets: Mapped[list[str]] = mapped_column(JSON, default=list)
    marketing_bullets_position: Mapped[str] = mapped_column(String(8), default="above")
    hidden_entitlements: Mapped[list[str]] = mapped_column(JSON, default=list)
    highlighted: Mapped[bool] = mapped_column(default=False)
    details: Mapped[dict[str, Any]] = mapped_column("metadata", JSON, default=dict)
    active: Mapped[bool] = mapped_column(default=True)
    public: Mapped[bool] = mapped_column(default=True)
    archived_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    offers: Mapped[list["Offer"]] = relationship(order_by="Offer.price_value, Offer.slug", lazy="raise", viewonly=True)

    __table_args__ = (
        UniqueConstraint("product_id", "slug"),
        CheckConstraint("price_value IS NULL OR price_value >= 0", name="price"),
        CheckConstraint("(period_count IS NULL) = (period_unit IS NULL)", name="period"),
        CheckConstraint("period_count IS NOT NULL OR NOT is_recurring", name="recurring"),
    )


class Offer(Base):
    """Another price and period of the same tier, which has its own as the default. No period: the tier's."""

    __tablename__ = "offers"

    id: Mapped[OfferId] = mapped_column(UuidType(), primary_key=True)
    policy_id: Mapped[PolicyId] = mapped_column(UuidType(), ForeignKey("policies.id"))
    slug: Mapped[str] = mapped_column(String(63))
    price_value: Mapped[int]
    period_count: Mapped[int | None]
    period_unit: Mapped[Unit | None]
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("policy_id", "slug"),
        CheckConstraint("price_value >= 0", name="price"),
        CheckConstraint("(period_count IS NULL) = (period_unit IS NULL)", name="period"),
    )


class Code(Base):
    """The one namespace of everything a buyer may type: discount codes, free-license codes, coupons.

    `code` is normalised (`catalog.codes.normal`); each `kind` keeps its particulars in a table of its own.
    """

    __tablename__ = "codes"

    code: Mapped[str] = mapped_column(String(64), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime]


class DiscountKind(StrEnum):
    """What a code does to a price. The second keeps its published name, whatever currency its amount is in."""

    PERCENT = "percent"  # `amount` in basis points
    FIXED = "fixed_sats"  # `amount` is taken off
    SET_PRICE = "set_price"  # `amount` is what is left to pay
    FREE_LICENSE = "free_license"


class DiscountDuration(StrEnum):
    """For which cycles of a subscription it holds; the first one is the purchase itself."""

    ONCE = "once"
    CYCLES = "cycles"
    FOREVER = "forever"


class DiscountCode(Base):
    """`amount` is basis points, or minor units of `currency`, which only an amount of money has.

    Without a product it holds for all of them; without tiers (`DiscountTier`) for all of the product's. `used_count`
    counts what is reserved or redeemed. From `expires_at` on nobody can begin to use it.
    """

    __tablename__ = "discount_codes"

    id: Mapped[DiscountId] = mapped_column(UuidType(), primary_key=True)
    code: Mapped[str] = mapped_column(String(64), ForeignKey("codes.code"), unique=True)
    kind: Mapped[DiscountKind]
    amount: Mapped[int]
    currency: Mapped[str | None] = mapped_column(String(3))
    product_id: Mapped[ProductId | None] = mapped_column(UuidType(), ForeignKey("products.id"))
    max_uses: Mapped[int | None]
    used_count: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime | None]
    active: Mapped[bool] = mapped_column(default=True)
    featured: Mapped[bool] = mapped_column(default=False)
    duration: Mapped[DiscountDuration]
    duration_cycles: Mapped[int | None]
    referrer_label: Mapped[str | None] = mapped_column(String(200))
    description: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    tiers: Mapped[list["DiscountTier"]] = relationship(lazy="raise", viewonly=True)

    __table_args__ = (
        CheckConstraint("amount >= 0", name="amount"),
        CheckConstraint("used_count >= 0", name="used_count"),
        CheckConstraint("(currency IS NOT NULL) = (kind IN ('fixed_sats', 'set_price'))", name="currency"),
        CheckConstraint("(duration_cycles IS NOT NULL) = (duration = 'cycles')", name="duration"),
        Index("ix_discount_codes_product", "product_id"),
    )


class DiscountTier(Base):
    """A tier that a code is restricted to."""

    __tablename__ = "discount_tiers"

    discount_id: Mapped[DiscountId] = mapped_column(UuidType(), ForeignKey("discount_codes.id"), primary_key=True)
    policy_id: Mapped[PolicyId] = mapped_column(UuidType(), ForeignKey("policies.id"), primary_key=True)

    __table_args__ = (Index("ix_discount_tiers_policy", "policy_id"),)
