"""The edition of this shop: what its distributor lets it hold. As shipped, nothing is capped.

A value, filled by who opens the shop (`upkeep/self_license`); `Work.within` is the one place that asks it. Source:
`published-server.md` 9.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Cap(StrEnum):
    """What may be counted. A cap of 0 on something that is not counted means: not in this edition."""

    PRODUCTS = "products"
    POLICIES = "policies_per_product"
    CODES = "active_codes"
    PROFILES = "merchant_profiles"
    RECURRING = "recurring_billing"
    ZAPRITE = "zaprite_payments"


IN_WORDS: Mapping[Cap, str] = {
    Cap.PRODUCTS: "products",
    Cap.POLICIES: "tiers of a product",
    Cap.CODES: "active codes",
    Cap.PROFILES: "merchant profiles",
    Cap.RECURRING: "recurring tiers",
    Cap.ZAPRITE: "Zaprite accounts",
}


@dataclass(frozen=True, slots=True)
class Edition:
    slug: str
    name: str
    caps: Mapping[Cap, int] = field(default_factory=dict[Cap, int])
    """How many there may be; what does not stand here is not limited."""
    entitlements: Sequence[str] = ()
    upgrade_url: str | None = None
    """Where more is sold."""


UNCAPPED = Edition("uncapped", "Keysat")
