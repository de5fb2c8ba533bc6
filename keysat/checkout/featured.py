"""Which code each tier is shown and sold with when none is typed, and what it then costs."""

from collections.abc import Sequence
from datetime import datetime

from keysat.catalog.discount_read import featured_codes
from keysat.catalog.pricing import best_featured
from keysat.catalog.shapes import FeaturedDiscount
from keysat.catalog.tables import PolicyId
from keysat.catalog.tiers import list_price
from keysat.catalog.views import DiscountView, PolicyView, ProductView
from keysat.checkout.quote import Quote, known_quote
from keysat.infra.work import Read
from keysat.payments.rates.board import RateEvidence


async def featured(
    read: Read, product: ProductView, tiers: Sequence[PolicyView], now: datetime
) -> dict[PolicyId, DiscountView]:
    """By tier; those without one are left out."""
    candidates = await featured_codes(read, product.id, now) if tiers else []
    found: dict[PolicyId, DiscountView] = {}
    for tier in tiers if candidates else ():
        best = best_featured(candidates, product.id, tier.id, list_price(product, tier), now)
        if best is not None:
            found[tier.id] = best
    return found


def quoted(product: ProductView, tier: PolicyView, discount: DiscountView, rate: RateEvidence | None) -> Quote | None:
    """None: the code needs a rate that nobody knows right now, or takes nothing off. A purchase leaves it out too."""
    found = known_quote(list_price(product, tier), rate, discount)
    return found if found is not None and found.price < found.base else None


async def featured_shapes(
    read: Read, product: ProductView, tiers: Sequence[PolicyView], rate: RateEvidence | None, now: datetime
) -> dict[PolicyId, FeaturedDiscount]:
    """For the tier list of contract 3.6."""
    shown: dict[PolicyId, FeaturedDiscount] = {}
    codes = await featured(read, product, tiers, now)
    for tier in tiers:
        discount = codes.get(tier.id)
        found = quoted(product, tier, discount, rate) if discount is not None else None
        if discount is not None and found is not None:
            shown[tier.id] = _shape(discount, found)
    return shown


def _shape(discount: DiscountView, found: Quote) -> FeaturedDiscount:
    off = found.base - found.price
    return FeaturedDiscount(
        code=discount.code,
        kind=discount.kind,
        amount=discount.amount,
        discount_currency=discount.currency,
        description=discount.description,
        expires_at=discount.expires_at,
        max_uses=discount.max_uses,
        used_count=discount.used_count,
        remaining_uses=discount.remaining_uses,
        discount_applied_sats=off.minor,
        discounted_price_sats=found.price.minor,
        price_currency=found.price.currency,
        discount_applied_value=off.minor,
        discounted_price_value=found.price.minor,
    )
