"""What the catalog hands out: frozen copies of its rows."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from keysat.catalog.tables import (
    DiscountDuration,
    DiscountId,
    DiscountKind,
    FeatureId,
    OfferId,
    PolicyId,
    ProductId,
    TrialNeeds,
)
from keysat.kit.money import Money
from keysat.kit.periods import Period, Unit


class FeatureView(msgspec.Struct, frozen=True):
    id: FeatureId
    slug: str
    name: str
    description: str


class ProductView(msgspec.Struct, frozen=True):
    id: ProductId
    slug: str
    name: str
    description: str
    price_currency: str
    price_value: int
    active: bool
    downgrade_at_renewal: bool
    """Buyers may go to a lower tier by themselves, from their next renewal on."""
    merchant_profile_id: UUID | None
    """Who sells it. None: the default profile."""
    details: dict[str, Any]
    """The operator's free-form metadata. Only its `public` object is for the world."""
    features: tuple[FeatureView, ...]
    created_at: datetime
    updated_at: datetime

    @property
    def price(self) -> Money:
        return Money(self.price_currency, self.price_value)


class OfferView(msgspec.Struct, frozen=True):
    id: OfferId
    policy_id: PolicyId
    slug: str
    price_value: int
    period_count: int | None
    period_unit: Unit | None
    active: bool
    created_at: datetime
    updated_at: datetime

    @property
    def own_period(self) -> Period | None:
        """None: the tier's period."""
        return period_of(self.period_count, self.period_unit)


class PolicyView(msgspec.Struct, frozen=True):
    id: PolicyId
    product_id: ProductId
    slug: str
    name: str
    description: str
    price_value: int | None
    duration_seconds: int
    grace_seconds: int
    max_machines: int
    seats_evict_after_days: int | None
    is_trial: bool
    trial_days: int
    trial_needs: TrialNeeds
    is_recurring: bool
    period_count: int | None
    period_unit: Unit | None
    grace_period_days: int
    renewal_lead_days: int
    tier_rank: int | None
    entitlements: tuple[str, ...]
    marketing_bullets: tuple[str, ...]
    marketing_bullets_position: str
    hidden_entitlements: tuple[str, ...]
    highlighted: bool
    details: dict[str, Any]
    active: bool
    public: bool
    archived_at: datetime | None
    offers: tuple[OfferView, ...]
    created_at: datetime
    updated_at: datetime

    @property
    def is_open(self) -> bool:
        """Anyone may buy it. What is not open is given by the operator, a coupon or an import."""
        return self.active and self.public and self.archived_at is None

    @property
    def period(self) -> Period | None:
        """None: bought once."""
        return period_of(self.period_count, self.period_unit) if self.is_recurring else None

    @property
    def trial_begins_in_browser(self) -> bool:
        """A page cannot tell what a device's fingerprint is: such a trial begins in the app."""
        return self.trial_days > 0 and self.trial_needs != TrialNeeds.FINGERPRINT


class CodeView(msgspec.Struct, frozen=True):
    code: str
    kind: str
    created_at: datetime


class DiscountView(msgspec.Struct, frozen=True):
    """A discount code. `amount` is basis points, or minor units of `currency`, which only an amount of money has."""

    id: DiscountId
    code: str
    kind: DiscountKind
    amount: int
    currency: str | None
    product_id: ProductId | None
    policy_ids: tuple[PolicyId, ...]
    """Empty: every tier."""
    max_uses: int | None
    used_count: int
    expires_at: datetime | None
    active: bool
    featured: bool
    duration: DiscountDuration
    duration_cycles: int | None
    referrer_label: str | None
    description: str
    created_at: datetime
    updated_at: datetime

    @property
    def remaining_uses(self) -> int | None:
        """None: without limit. A late payment can take a use beyond the limit, which leaves 0."""
        return None if self.max_uses is None else max(0, self.max_uses - self.used_count)

    @property
    def cycles(self) -> int | None:
        """How many cycles of a subscription it holds for, the purchase included. None: for ever."""
        match self.duration:
            case DiscountDuration.ONCE:
                return 1
            case DiscountDuration.CYCLES:
                return self.duration_cycles
            case DiscountDuration.FOREVER:
                return None


def period_of(count: int | None, unit: Unit | None) -> Period | None:
    return Period(count, unit) if count is not None and unit is not None else None
