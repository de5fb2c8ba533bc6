"""What a discount code does to a price, and whether it may be used at all. Pure."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from keysat.catalog.tables import DiscountKind
from keysat.catalog.views import DiscountView
from keysat.kit.currencies import SAT
from keysat.kit.money import Money

BASIS_POINTS = 10_000
"""All of it."""


class Refusal(StrEnum):
    """Why a code does not apply, in the order in which that is looked for."""

    UNKNOWN = "unknown_code"
    DISABLED = "disabled"
    EXPIRED = "expired"
    WRONG_PRODUCT = "wrong_product"
    WRONG_CURRENCY = "wrong_currency"  # ours: its amount is in a currency that the product is not priced in
    WRONG_TIER = "wrong_tier"
    EXHAUSTED = "exhausted"


class Cut(Protocol):
    """What a code takes off: a `DiscountView`, or what a subscription carries of one."""

    @property
    def kind(self) -> DiscountKind: ...

    @property
    def amount(self) -> int: ...

    @property
    def currency(self) -> str | None: ...


def refusal(
    discount: DiscountView, product_id: UUID, policy_id: UUID | None, currency: str, now: datetime
) -> Refusal | None:
    """Of a code for this tier of a product that is priced in `currency`. None: it may be used, if a use is left."""
    if not discount.active:
        return Refusal.DISABLED
    if discount.expires_at is not None and discount.expires_at <= now:
        return Refusal.EXPIRED
    if discount.product_id is not None and discount.product_id != product_id:
        return Refusal.WRONG_PRODUCT
    if discount.currency not in (None, SAT, currency):
        return Refusal.WRONG_CURRENCY
    if discount.policy_ids and policy_id not in discount.policy_ids:
        return Refusal.WRONG_TIER
    return None


def works_in_sats(discount: Cut, currency: str) -> bool:
    """Its amount is in sats and the price is not: it is taken off what the price is in sats."""
    return discount.currency == SAT and currency != SAT


def reduced(price: Money, discount: Cut) -> Money:
    """What is left to pay: from 0 to the price, in the price's currency.

    What a percentage takes off is rounded down (contract 6.3). Raises ValueError for an amount in another currency.
    """
    amount = discount.amount
    if discount.currency not in (None, price.currency):
        raise ValueError(f"{discount.currency} cannot be taken off {price.currency}")
    match discount.kind:
        case DiscountKind.PERCENT:
            left = price.minor - price.minor * amount // BASIS_POINTS
        case DiscountKind.FIXED:
            left = price.minor - amount
        case DiscountKind.SET_PRICE:
            left = amount
        case DiscountKind.FREE_LICENSE:
            left = 0
    return Money(price.currency, max(0, min(left, price.minor)))


def best_featured(
    candidates: Iterable[DiscountView], product_id: UUID, policy_id: UUID, price: Money, now: datetime
) -> DiscountView | None:
    """The code that a tier is shown and sold with when none is typed (contract 6.4).

    One that names the tier wins over one for the product, and that over one for all; of equals the oldest. A free tier
    has none, and neither has a price that it would not lower.
    """
    fitting = [
        discount
        for discount in candidates
        if discount.featured
        and discount.remaining_uses != 0
        and refusal(discount, product_id, policy_id, price.currency, now) is None
        and (works_in_sats(discount, price.currency) or reduced(price, discount) < price)
    ]
    return min(fitting, key=_rank, default=None) if price.minor else None


def _rank(discount: DiscountView) -> tuple[int, datetime, UUID]:
    score = 0 if discount.policy_ids else 1 if discount.product_id else 2
    return score, discount.created_at, discount.id
