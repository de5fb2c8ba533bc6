"""The catalog as JSON: what the public contract 3.5 and 3.6 and the admin API promise.

Amounts are minor units of `price_currency`. `price_sats` keeps its published meaning: on a product the price in sats,
0 when it is listed in another currency; on a tier the effective price in the listed unit (contract 12).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import msgspec

from keysat.catalog.policy_values import folded
from keysat.catalog.tables import DiscountDuration, DiscountId, DiscountKind, OfferId, PolicyId, ProductId, TrialNeeds
from keysat.catalog.tiers import list_price
from keysat.catalog.views import DiscountView, OfferView, PolicyView, ProductView
from keysat.kit.currencies import SAT
from keysat.kit.errors import BadRequest
from keysat.kit.money import BtcRate, to_sats
from keysat.kit.periods import Period, length_days, one_after


class Entitlement(msgspec.Struct, frozen=True):
    slug: str
    name: str
    description: str


class Product(msgspec.Struct, frozen=True):
    id: ProductId
    slug: str
    name: str
    description: str
    price_sats: int
    price_currency: str
    price_value: int
    active: bool
    downgrade_at_renewal: bool
    """Buyers may go to a lower tier by themselves, from their next renewal on."""
    metadata: dict[str, Any]
    """Publicly only what the operator put under its key `public`."""
    entitlements_catalog: list[Entitlement] | None
    merchant_profile_id: str | None
    created_at: datetime
    updated_at: datetime


class Products(msgspec.Struct, frozen=True):
    products: list[Product]


class ProductsPage(msgspec.Struct, frozen=True):
    products: list[Product]
    next_cursor: str | None


class TierProduct(msgspec.Struct, frozen=True):
    slug: str
    name: str
    description: str
    base_price_sats: int
    price_currency: str
    price_value: int
    entitlements_catalog: list[Entitlement]


# Contract 12
class FeaturedDiscount(msgspec.Struct, frozen=True):
    """A code that is applied without being typed. Filled by the higher floor that prices it.

    `amount` is basis points, or minor units of `discount_currency`. All other amounts are in the listed unit, minor
    units of `price_currency`, those with `sats` in their name too.
    """

    code: str
    kind: DiscountKind
    amount: int
    discount_currency: str | None
    description: str
    expires_at: datetime | None
    max_uses: int | None
    used_count: int
    remaining_uses: int | None
    discount_applied_sats: int
    discounted_price_sats: int
    price_currency: str
    discount_applied_value: int
    discounted_price_value: int


class DiscountCode(msgspec.Struct, frozen=True):
    """`amount` is basis points, or minor units of `discount_currency`, which is null for what is no amount of money.

    `applies_to_policy_id` is the one tier of a code that is restricted to a single one.
    """

    id: DiscountId
    code: str
    kind: DiscountKind
    amount: int
    discount_currency: str | None
    max_uses: int | None
    used_count: int
    remaining_uses: int | None
    expires_at: datetime | None
    applies_to_product_id: ProductId | None
    applies_to_policy_id: PolicyId | None
    applies_to_policy_ids: list[PolicyId]
    duration: DiscountDuration
    duration_cycles: int | None
    referrer_label: str | None
    description: str
    active: bool
    featured: bool
    created_at: datetime
    updated_at: datetime


class TierOffer(msgspec.Struct, frozen=True):
    slug: str
    price_sats: int
    price_currency: str
    price_value: int
    renewal_period_days: int
    renewal_period: Period | None


class Tier(msgspec.Struct, frozen=True):
    """No integer is ever null: the Python SDK raises on it."""

    slug: str
    name: str
    description: str
    price_sats: int
    price_currency: str
    price_value: int
    duration_seconds: int
    max_machines: int
    is_trial: bool
    entitlements: list[str]
    marketing_bullets: list[str]
    marketing_bullets_position: str
    hidden_entitlements: list[str]
    highlighted: bool
    is_recurring: bool
    renewal_period_days: int
    renewal_period: Period | None
    trial_days: int
    trial_needs: TrialNeeds
    featured_discount: FeaturedDiscount | None
    offers: list[TierOffer]


class Tiers(msgspec.Struct, frozen=True):
    product: TierProduct
    policies: list[Tier]


class Offer(msgspec.Struct, frozen=True):
    id: OfferId
    policy_id: PolicyId
    slug: str
    price_value: int
    renewal_period: Period | None
    active: bool
    created_at: datetime
    updated_at: datetime


class Policy(msgspec.Struct, frozen=True):
    """A tier as its operator sees it. `price_sats_override` is `price_value`, by its published name."""

    id: PolicyId
    product_id: ProductId
    name: str
    slug: str
    description: str
    price_sats_override: int | None
    price_currency: str
    price_value: int | None
    duration_seconds: int
    grace_seconds: int
    max_machines: int
    seats_evict_after_days: int | None
    is_trial: bool
    trial_days: int
    trial_needs: TrialNeeds
    is_recurring: bool
    renewal_period_days: int | None
    renewal_period: Period | None
    grace_period_days: int
    renewal_lead_days: int
    tier_rank: int | None
    entitlements: list[str]
    marketing_bullets: list[str]
    marketing_bullets_position: str
    hidden_entitlements: list[str]
    highlighted: bool
    metadata: dict[str, Any]
    active: bool
    public: bool
    archived_at: datetime | None
    offers: list[Offer]
    created_at: datetime
    updated_at: datetime


class Policies(msgspec.Struct, frozen=True):
    policies: list[Policy]
    next_cursor: str | None


class Offers(msgspec.Struct, frozen=True):
    offers: list[Offer]
    next_cursor: str | None


def public_product(view: ProductView) -> Product:
    public = view.details.get("public")
    return _product(view, cast("dict[str, Any]", public) if isinstance(public, dict) else {})


def admin_product(view: ProductView) -> Product:
    return _product(view, view.details)


def tiers(
    product: ProductView,
    policies: Sequence[PolicyView],
    now: datetime,
    featured: dict[PolicyId, FeaturedDiscount] | None = None,
    rate: BtcRate | None = None,
) -> Tiers:
    """The public list of contract 3.6, of policies in the order of `read.public_tiers`."""
    head = TierProduct(
        slug=product.slug,
        name=product.name,
        description=product.description,
        base_price_sats=_converted(product, rate),
        price_currency=product.price_currency,
        price_value=product.price_value,
        entitlements_catalog=_catalog(product),
    )
    found = featured or {}
    return Tiers(head, [_tier(product, policy, now, found.get(policy.id)) for policy in policies])


def admin_policy(product: ProductView, policy: PolicyView, now: datetime) -> Policy:
    period = policy.period
    return Policy(
        id=policy.id,
        product_id=policy.product_id,
        name=policy.name,
        slug=policy.slug,
        description=policy.description,
        price_sats_override=policy.price_value,
        price_currency=product.price_currency,
        price_value=policy.price_value,
        duration_seconds=policy.duration_seconds,
        grace_seconds=policy.grace_seconds,
        max_machines=policy.max_machines,
        seats_evict_after_days=policy.seats_evict_after_days,
        is_trial=policy.is_trial,
        trial_days=policy.trial_days,
        trial_needs=policy.trial_needs,
        is_recurring=policy.is_recurring,
        renewal_period_days=period_days(period, now) if period is not None else None,
        renewal_period=period,
        grace_period_days=policy.grace_period_days,
        renewal_lead_days=policy.renewal_lead_days,
        tier_rank=policy.tier_rank,
        entitlements=list(policy.entitlements),
        marketing_bullets=list(policy.marketing_bullets),
        marketing_bullets_position=policy.marketing_bullets_position,
        hidden_entitlements=list(policy.hidden_entitlements),
        highlighted=policy.highlighted,
        metadata=folded(policy),
        active=policy.active,
        public=policy.public,
        archived_at=policy.archived_at,
        offers=[admin_offer(offer) for offer in policy.offers],
        created_at=policy.created_at,
        updated_at=policy.updated_at,
    )


def admin_offer(offer: OfferView) -> Offer:
    return Offer(
        id=offer.id,
        policy_id=offer.policy_id,
        slug=offer.slug,
        price_value=offer.price_value,
        renewal_period=offer.own_period,
        active=offer.active,
        created_at=offer.created_at,
        updated_at=offer.updated_at,
    )


def discount_code(view: DiscountView) -> DiscountCode:
    only = view.policy_ids[0] if len(view.policy_ids) == 1 else None
    return DiscountCode(
        id=view.id,
        code=view.code,
        kind=view.kind,
        amount=view.amount,
        discount_currency=view.currency,
        max_uses=view.max_uses,
        used_count=view.used_count,
        remaining_uses=view.remaining_uses,
        expires_at=view.expires_at,
        applies_to_product_id=view.product_id,
        applies_to_policy_id=only,
        applies_to_policy_ids=list(view.policy_ids),
        duration=view.duration,
        duration_cycles=view.duration_cycles,
        referrer_label=view.referrer_label,
        description=view.description,
        active=view.active,
        featured=view.featured,
        created_at=view.created_at,
        updated_at=view.updated_at,
    )


def period_days(period: Period | None, now: datetime) -> int:
    """Length of the period that would begin now, in whole days; 0 for what is bought once."""
    return length_days(now, one_after(now, period)) if period is not None else 0


def _product(view: ProductView, metadata: dict[str, Any]) -> Product:
    return Product(
        id=view.id,
        slug=view.slug,
        name=view.name,
        description=view.description,
        price_sats=_sats(view),
        price_currency=view.price_currency,
        price_value=view.price_value,
        active=view.active,
        downgrade_at_renewal=view.downgrade_at_renewal,
        metadata=metadata,
        entitlements_catalog=_catalog(view) or None,
        merchant_profile_id=str(view.merchant_profile_id) if view.merchant_profile_id else None,
        created_at=view.created_at,
        updated_at=view.updated_at,
    )


def _tier(product: ProductView, policy: PolicyView, now: datetime, featured: FeaturedDiscount | None) -> Tier:
    price = list_price(product, policy)
    return Tier(
        slug=policy.slug,
        name=policy.name,
        description=policy.description,
        price_sats=price.minor,
        price_currency=price.currency,
        price_value=price.minor,
        duration_seconds=policy.duration_seconds,
        max_machines=policy.max_machines,
        is_trial=policy.is_trial,
        entitlements=list(policy.entitlements),
        marketing_bullets=list(policy.marketing_bullets),
        marketing_bullets_position=policy.marketing_bullets_position,
        hidden_entitlements=list(policy.hidden_entitlements),
        highlighted=policy.highlighted,
        is_recurring=policy.is_recurring,
        renewal_period_days=period_days(policy.period, now),
        renewal_period=policy.period,
        trial_days=policy.trial_days,
        trial_needs=policy.trial_needs,
        featured_discount=featured,
        offers=[_tier_offer(product, policy, offer, now) for offer in policy.offers if offer.active],
    )


def _tier_offer(product: ProductView, policy: PolicyView, offer: OfferView, now: datetime) -> TierOffer:
    price = list_price(product, policy, offer)
    period = offer.own_period or policy.period
    return TierOffer(offer.slug, price.minor, price.currency, price.minor, period_days(period, now), period)


def _sats(view: ProductView) -> int:
    """Never a conversion: a listing does not wait for a rate."""
    return view.price_value if view.price_currency == SAT else 0


def _converted(view: ProductView, rate: BtcRate | None) -> int:
    """0 where no rate is known (contract 12), or where it is more bitcoin than there is."""
    if view.price_currency == SAT or rate is None:
        return _sats(view)
    try:
        return to_sats(view.price, rate)
    except BadRequest:
        return 0


def _catalog(view: ProductView) -> list[Entitlement]:
    return [Entitlement(feature.slug, feature.name, feature.description) for feature in view.features]
