"""Which tier is sold at which price: the rules of the public contract 3.7 (steps 1 and 2), without a database."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keysat.catalog.views import OfferView, PolicyView, ProductView
from keysat.kit.errors import BadRequest, NotFound
from keysat.kit.money import Money
from keysat.kit.paging import Page, cursor_parts, page_of
from keysat.kit.periods import Period


@dataclass(frozen=True, slots=True)
class Choice:
    """What a buyer is about to buy. `policy` is None only for a product that has no tier at all."""

    product: ProductView
    policy: PolicyView | None
    offer: OfferView | None
    price: Money
    """The list price: no discount has been taken off, and 0 is free."""
    period: Period | None
    """None: bought once."""


def list_price(product: ProductView, policy: PolicyView | None = None, offer: OfferView | None = None) -> Money:
    """The offer's price, else the tier's, else the product's; all in the product's currency."""
    if offer is not None:
        return Money(product.price_currency, offer.price_value)
    if policy is not None and policy.price_value is not None:
        return Money(product.price_currency, policy.price_value)
    return product.price


def trial_days(policy: PolicyView | None, price: Money) -> int:
    """Of what is sold at this price. 0: there is nothing to try, as of what is free anyway."""
    return policy.trial_days if policy is not None and price.minor > 0 else 0


def ladder(product: ProductView, policies: Iterable[PolicyView]) -> list[PolicyView]:
    """Sorted as tiers are shown: by the price that is really asked, then by name."""
    return sorted(policies, key=lambda policy: _step(product, policy))


def page(
    product: ProductView, tiers: Sequence[PolicyView], limit: int, cursor: str | None, of: object
) -> Page[PolicyView]:
    """Of a ladder, which is short (POLICIES_MAX) and sorted by what no row holds. `of`: which of the product's tiers.

    Raises BadRequest for the cursor.
    """
    of = ("policies", product.id, of)
    after = cursor_parts(cursor, int, str, str, of=of) if cursor is not None else (-1, "", "")
    rest = [tier for tier in tiers if _step(product, tier) > after]
    return page_of(rest[: limit + 1], limit, lambda tier: _step(product, tier), of=of)


def _step(product: ProductView, policy: PolicyView) -> tuple[int, str, str]:
    return list_price(product, policy).minor, policy.name, policy.slug


def pick(
    product: ProductView, policies: Sequence[PolicyView], policy_slug: str | None, offer_slug: str | None
) -> Choice:
    """Answer for an existing product with all its tiers. An empty slug is an absent one, as the SDKs send it.

    Raises BadRequest for what is not on sale, NotFound for an unknown tier or offer.
    """
    if not product.active:
        raise BadRequest(f"The product {product.slug} is not on sale at the moment.")
    policy = _on_sale(product, policies, policy_slug) if policy_slug else _default(product, policies)
    return choice_of(product, policy, _offer(product, policy, offer_slug) if offer_slug else None)


def choice_of(product: ProductView, policy: PolicyView | None, offer: OfferView | None) -> Choice:
    """The offer's period, else the tier's, at the list price; whether it is on sale is not asked."""
    period = (offer.own_period if offer is not None else None) or (policy.period if policy is not None else None)
    return Choice(product, policy, offer, list_price(product, policy, offer), period)


def tier_named(product: ProductView, policies: Sequence[PolicyView], slug: str, *, by_operator: bool) -> PolicyView:
    """On sale or not. Raises NotFound, which names the product's tiers, private ones too, to its operator alone."""
    for policy in policies:
        if policy.slug == slug:
            return policy
    others = f"; it has {', '.join(policy.slug for policy in policies) or 'none'}" if by_operator else ""
    raise NotFound(f"The product {product.slug} has no tier {slug[:64]!r}{others}.")


def _on_sale(product: ProductView, policies: Sequence[PolicyView], slug: str) -> PolicyView:
    policy = tier_named(product, policies, slug, by_operator=False)
    if policy.archived_at is not None:
        raise BadRequest(f"The tier {slug} is archived and no longer sold. Choose another one of {product.slug}.")
    if not policy.active:
        raise BadRequest(f"The tier {slug} is not on sale at the moment.")
    if not policy.public:
        raise BadRequest(f"The tier {slug} is not sold publicly. Ask the seller for it.")
    return policy


def _default(product: ProductView, policies: Sequence[PolicyView]) -> PolicyView | None:
    """The tier with slug `default`, else the highlighted, else the cheapest paid, else the free one."""
    if not policies:
        return None
    tiers = ladder(product, (policy for policy in policies if policy.is_open))
    if not tiers:
        raise BadRequest(
            f"No tier of {product.slug} is on sale. The seller has to make one of them active and public, "
            "or issue the license by hand."
        )
    for wanted in (
        [tier for tier in tiers if tier.slug == "default"],
        [tier for tier in tiers if tier.highlighted],
        [tier for tier in tiers if list_price(product, tier).minor > 0],
    ):
        if wanted:
            return wanted[0]
    return tiers[0]


def _offer(product: ProductView, policy: PolicyView | None, slug: str) -> OfferView:
    offers = policy.offers if policy is not None else ()
    offer = next((offer for offer in offers if offer.slug == slug), None)
    if offer is None:
        where = f"tier {policy.slug} of {product.slug}" if policy is not None else f"product {product.slug}"
        raise NotFound(f"The {where} has no offer {slug[:64]!r}.")
    if not offer.active:
        raise BadRequest(f"The offer {slug} is not on sale at the moment.")
    return offer
