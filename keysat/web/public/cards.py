"""Tiers as cards on the buy page: what each one gives, and the prices it can be had for. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from keysat.catalog.tiers import list_price, pick
from keysat.catalog.views import OfferView, PolicyView, ProductView
from keysat.checkout.quote import quote
from keysat.kit.currencies import SAT
from keysat.kit.errors import BadRequest, NotFound
from keysat.kit.money import Money
from keysat.payments.provider import Rail
from keysat.payments.rates.board import RateEvidence
from keysat.web.public import words

BETWEEN = "/"
"""Stands between tier and offer in the form's value; no slug can hold it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that a tier gives."""

    text: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Option:
    """One price of a tier: a radio button."""

    value: str
    """What the form sends: `pro`, `pro/yearly`, or nothing for a product without tiers."""
    price: Money
    sats: Money | None
    """None: no rate is known right now, or the price is in sats anyway."""
    cadence: str
    validity: str
    act: str

    @property
    def is_free(self) -> bool:
        return self.price.minor == 0

    @property
    def slugs(self) -> tuple[str, str]:
        tier, _, offer = self.value.partition(BETWEEN)
        return tier, offer


@dataclass(frozen=True, slots=True)
class Card:
    name: str
    description: str
    is_highlighted: bool
    is_trial: bool
    seats: str
    lines: tuple[Line, ...]
    options: tuple[Option, ...]


def cards(
    product: ProductView, tiers: Sequence[PolicyView], rate: RateEvidence | None, rails: Collection[Rail]
) -> list[Card]:
    """`tiers` as they are shown; none for a product that sells itself."""
    if not tiers:
        return [Card(product.name, "", False, False, words.seats(1), (), (_option(product, None, None, rate, rails),))]
    return [_card(product, tier, rate, rails) for tier in tiers]


def preselected(product: ProductView, tiers: Sequence[PolicyView], policy: str | None, offer: str | None) -> Option:
    """What the address asks for, else what a purchase without a tier would buy. Only its slugs are of use."""
    for policy_slug, offer_slug in ((policy, offer), (policy, None), (None, None)):
        try:
            choice = pick(product, tiers, policy_slug, offer_slug)
        except (NotFound, BadRequest):
            continue
        return _option(product, choice.policy, choice.offer, None, ())
    raise NotFound(f"Nothing of {product.slug} is on sale.")


def _card(product: ProductView, tier: PolicyView, rate: RateEvidence | None, rails: Collection[Rail]) -> Card:
    offers = [None, *(offer for offer in tier.offers if offer.active)]
    return Card(
        name=tier.name,
        description=tier.description,
        is_highlighted=tier.highlighted,
        is_trial=tier.is_trial,
        seats=words.seats(tier.max_machines),
        lines=tuple(_lines(product, tier)),
        options=tuple(_option(product, tier, offer, rate, rails) for offer in offers),
    )


def _lines(product: ProductView, tier: PolicyView) -> list[Line]:
    bullets = [Line(bullet) for bullet in tier.marketing_bullets]
    entitlements = entitlement_lines(product, tier.entitlements, tier.hidden_entitlements)
    return entitlements + bullets if tier.marketing_bullets_position == "below" else bullets + entitlements


def entitlement_lines(product: ProductView, slugs: Collection[str], hidden: Collection[str] = ()) -> list[Line]:
    """By their names in the product's catalog."""
    catalog = {feature.slug: feature for feature in product.features}
    return [
        Line(catalog[slug].name, catalog[slug].description) if slug in catalog else Line(slug)
        for slug in slugs
        if slug not in hidden
    ]


def _option(
    product: ProductView,
    tier: PolicyView | None,
    offer: OfferView | None,
    rate: RateEvidence | None,
    rails: Collection[Rail],
) -> Option:
    price = list_price(product, tier, offer)
    period = (offer.own_period if offer else None) or (tier.period if tier else None)
    validity = words.span(period) if period else words.duration(tier.duration_seconds if tier else 0)
    return Option(
        value=(tier.slug if tier else "") + (BETWEEN + offer.slug if offer else ""),
        price=price,
        sats=_sats(price, rate),
        cadence=words.cadence(period) if period and price.minor else "",
        validity=validity if validity == "for ever" else f"for {validity}",
        act=words.act(price, rails),
    )


def _sats(price: Money, rate: RateEvidence | None) -> Money | None:
    if rate is None or price.currency == SAT or price.minor == 0:
        return None
    try:
        sats = quote(price, rate).amount_sats
    except BadRequest:  # more bitcoin than there is: the purchase will say so
        return None
    return None if sats is None else Money(SAT, sats)
