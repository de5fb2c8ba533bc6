"""Which code holds for which tier of a buy page: the one that was typed, else each tier's featured one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from keysat.catalog.discount_read import any_code, discount_of
from keysat.catalog.pricing import Refusal, refusal
from keysat.catalog.tables import PolicyId
from keysat.catalog.views import DiscountView, PolicyView, ProductView
from keysat.checkout.codes import CodeRefused
from keysat.checkout.featured import featured
from keysat.infra.work import Read

PAIR = "="


@dataclass(frozen=True, slots=True)
class Deals:
    """`featured` by tier; `typed` is a code that exists."""

    typed: DiscountView | None
    featured: Mapping[PolicyId, DiscountView]
    takes_featured: bool
    has_codes: bool
    """Somebody may have been given one: the page has a field for it."""
    now: datetime

    def of(self, product: ProductView, policy_id: PolicyId | None) -> DiscountView | None:
        if self.typed is not None:
            return self.typed if self.why_not(product, policy_id) is None else None
        return self.featured.get(policy_id) if policy_id is not None and self.takes_featured else None

    def why_not(self, product: ProductView, policy_id: UUID | None) -> Refusal | None:
        """Why the typed code does not hold for the tier."""
        if self.typed is None:
            return None
        if self.typed.remaining_uses == 0:
            return Refusal.EXHAUSTED
        return refusal(self.typed, product.id, policy_id, product.price_currency, self.now)

    def automatic(self, tiers: list[PolicyView]) -> str:
        """For the form: `pro=SALE max=LAUNCH`, what the page promised without being asked."""
        if self.typed is not None or not self.takes_featured:
            return ""
        return " ".join(f"{tier.slug}{PAIR}{self.featured[tier.id].code}" for tier in tiers if tier.id in self.featured)


async def deals(
    read: Read,
    product: ProductView,
    tiers: list[PolicyView],
    code: str,
    now: datetime,
    *,
    takes_featured: bool,
) -> Deals:
    """A code that does not exist counts as not typed: `known` refuses it where it was just typed."""
    typed = await discount_of(read, code) if code.strip() else None
    shown = await featured(read, product, tiers, now)
    return Deals(typed, shown, takes_featured, await any_code(read, product.id), now)


def promised(automatic: str, tier: str) -> str:
    """The code that the page which was sent in promised for this tier; empty: none."""
    pairs = (pair.partition(PAIR) for pair in automatic.split())
    return next((code for slug, _, code in pairs if slug == tier), "")


def known(deals: Deals, product: ProductView, policy_id: UUID | None) -> None:
    """Raises CodeRefused for a code that was just typed and does not hold for the tier that is chosen."""
    why = deals.why_not(product, policy_id) if deals.typed is not None else Refusal.UNKNOWN
    if why is not None:
        raise CodeRefused(why)
