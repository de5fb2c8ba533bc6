"""Tiers as cards on the buy page: what each one gives, and the prices it can be had for. Pure."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote as quoted
from uuid import UUID

from keysat.catalog.tables import PolicyId, TrialNeeds
from keysat.catalog.tiers import Choice, choice_of, pick, trial_days
from keysat.catalog.views import DiscountView, PolicyView, ProductView
from keysat.checkout.quote import Quote, known_quote
from keysat.kit.currencies import SAT
from keysat.kit.errors import BadRequest, NotFound
from keysat.kit.money import Money
from keysat.kit.periods import one_after
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
    base: Money
    """The list price."""
    price: Money
    was: Money | None
    """The list price, where a code lowers it."""
    deal: str
    """What the code does to this price; empty where none does."""
    sats: Money | None
    """None: no rate is known right now, or the price is in sats anyway."""
    cadence: str
    validity: str
    act: str
    """The words of the button that begins the trial, where there is one; else of the one that buys."""
    follows: str
    """What comes after the trial, or after the period that is paid; empty: nothing."""
    trial: "Trial | None"

    @property
    def is_free(self) -> bool:
        return self.price.minor == 0

    @property
    def starts_free(self) -> bool:
        return self.is_free or self.trial is not None

    @property
    def slugs(self) -> tuple[str, str]:
        tier, _, offer = self.value.partition(BETWEEN)
        return tier, offer


@dataclass(frozen=True, slots=True)
class Trial:
    """What comes before the price."""

    days: str
    asks_email: bool
    buy: str
    """The words of the button that buys without it."""
    then: str
    """What follows when it is bought without it; empty: nothing."""


@dataclass(frozen=True, slots=True)
class Card:
    name: str
    description: str
    is_highlighted: bool
    is_trial: bool
    ribbon: str
    """What is special about its price; empty: nothing."""
    seats: str
    lines: tuple[Line, ...]
    options: tuple[Option, ...]


Codes = Callable[[PolicyId | None], DiscountView | None]
"""The code that holds for a tier, or for a product without tiers."""


def no_codes(_policy_id: PolicyId | None) -> DiscountView | None:
    return None


def cards(
    product: ProductView,
    tiers: Sequence[PolicyView],
    rate: RateEvidence | None,
    rails: Collection[Rail],
    codes: Codes = no_codes,
    *,
    now: datetime,
    has_trials: bool = True,
) -> list[Card]:
    """`tiers` as they are shown; none for a product that sells itself. `has_trials`: no code was typed."""
    if tiers:
        return [_card(product, tier, rate, rails, codes(tier.id), now, has_trials=has_trials) for tier in tiers]
    option = _option(choice_of(product, None, None), rate, rails, codes(None))
    return [Card(product.name, "", False, False, "", words.seats(1), (), (option,))]


def preselected(product: ProductView, tiers: Sequence[PolicyView], policy: str | None, offer: str | None) -> Option:
    """What the address asks for, else what a purchase without a tier would buy. Only its slugs are of use."""
    for policy_slug, offer_slug in ((policy, offer), (policy, None), (None, None)):
        try:
            choice = pick(product, tiers, policy_slug, offer_slug)
        except (NotFound, BadRequest):
            continue
        return _option(choice, None, (), None)
    raise NotFound(f"Nothing of {product.slug} is on sale.")


def _card(
    product: ProductView,
    tier: PolicyView,
    rate: RateEvidence | None,
    rails: Collection[Rail],
    discount: DiscountView | None,
    now: datetime,
    *,
    has_trials: bool,
) -> Card:
    offers = [None, *(offer for offer in tier.offers if offer.active)]
    choices = [choice_of(product, tier, offer) for offer in offers]
    options = [
        _option(choice, rate, rails, discount, _next(choice, rate, discount, now), has_trials=has_trials)
        for choice in choices
    ]
    is_special = discount is not None and discount.featured and any(option.was for option in options)
    return Card(
        name=tier.name,
        description=tier.description,
        is_highlighted=tier.highlighted,
        is_trial=tier.is_trial,
        ribbon=words.ribbon(discount) if discount is not None and is_special else "",
        seats=words.seats(tier.max_machines),
        lines=tuple(_lines(product, tier)),
        options=tuple(options),
    )


def _lines(product: ProductView, tier: PolicyView) -> list[Line]:
    bullets = [Line(bullet) for bullet in tier.marketing_bullets]
    entitlements = entitlement_lines(product, tier.entitlements, tier.hidden_entitlements)
    if tier.trial_days and not tier.trial_begins_in_browser:
        entitlements = [Line(words.trial_in_app(tier.trial_days)), *entitlements]
    return entitlements + bullets if tier.marketing_bullets_position == "below" else bullets + entitlements


def entitlement_lines(product: ProductView, slugs: Collection[str], hidden: Collection[str] = ()) -> list[Line]:
    """By their names in the product's catalog."""
    catalog = {feature.slug: feature for feature in product.features}
    return [
        Line(catalog[slug].name, catalog[slug].description) if slug in catalog else Line(slug)
        for slug in slugs
        if slug not in hidden
    ]


def buy_page(product: ProductView, tier: PolicyView | None, offer_id: UUID | None) -> str:
    """Where the same is bought again."""
    offers = tier.offers if tier is not None else ()
    offer = next((f"&offer={quoted(one.slug)}" for one in offers if one.id == offer_id), "")
    return f"/buy/{quoted(product.slug)}" + (f"?policy={quoted(tier.slug)}{offer}" if tier is not None else "")


def value_of(choice: Choice) -> str:
    """What the form sends for it."""
    tier, offer = choice.policy, choice.offer
    return (tier.slug if tier else "") + (BETWEEN + offer.slug if offer else "")


def _option(
    choice: Choice,
    rate: RateEvidence | None,
    rails: Collection[Rail],
    discount: DiscountView | None,
    then: words.Next | None = None,
    *,
    has_trials: bool = False,
) -> Option:
    """`then`: what is paid after the first period; None: nothing."""
    tier, base, period = choice.policy, choice.price, choice.period
    validity = words.span(period) if period else words.duration(tier.duration_seconds if tier else 0)
    found = known_quote(base, rate, discount)
    price = found.asked if found else base
    was = base if found and found.price < base else None
    act = words.act(price, rails)
    grace_days = tier.grace_period_days if tier else 0
    follows = words.renewal(then, grace_days, has_cards=Rail.CARD in rails) if then is not None else ""
    trial = _trial(choice, act, then) if has_trials else None
    if tier is not None and trial is not None:  # the list price follows it, whatever a code does to a purchase now
        act, follows = words.trial_act(tier.trial_days), words.after_trial(tier.trial_days, base, period, grace_days)
    return Option(
        value=value_of(choice),
        base=base,
        price=price,
        was=was,
        deal=words.deal(discount, price, was) if discount is not None and found is not None else "",
        sats=_sats(price, found),
        cadence=words.cadence(period) if period and price.minor else "",
        validity=validity if validity == "for ever" else f"for {validity}",
        act=act,
        follows=follows,
        trial=trial,
    )


def _trial(choice: Choice, buy: str, then: words.Next | None) -> Trial | None:
    """None: there is none in the browser."""
    tier = choice.policy
    if tier is None or not tier.trial_begins_in_browser or not trial_days(tier, choice.price):
        return None
    return Trial(
        days=words.counted(tier.trial_days, "day"),
        asks_email=tier.trial_needs == TrialNeeds.EMAIL,
        buy=buy,
        then=words.without_trial(then) if then is not None and then.price.minor else "",
    )


def _next(choice: Choice, rate: RateEvidence | None, discount: DiscountView | None, now: datetime) -> words.Next | None:
    """The second period costs the list price, unless the code holds for it too. None: there is none."""
    base, period = choice.price, choice.period
    if period is None or not base.minor:
        return None
    found = known_quote(base, rate, discount if discount is not None and discount.cycles != 1 else None)
    at = one_after(now, period)
    return words.Next(found.price, at, found.is_in_sats) if found else words.Next(base, at)


def _sats(price: Money, found: Quote | None) -> Money | None:
    if found is None or price.currency == SAT or not found.amount_sats:
        return None
    return Money(SAT, found.amount_sats)
