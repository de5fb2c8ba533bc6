"""What `product`, `policy` and `offer` share. Imports the catalog: commands import it when they run."""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from keysat.catalog import read as catalog
from keysat.catalog.shapes import admin_policy, admin_product
from keysat.catalog.tiers import list_price, tier_named
from keysat.catalog.views import OfferView, PolicyView, ProductView
from keysat.checkout.retire import Removed
from keysat.infra.work import Read
from keysat.infra.written import counts
from keysat.kit.currencies import SAT
from keysat.kit.errors import BadRequest, NotFound
from keysat.kit.money import Money
from keysat.upkeep.shop import Shop

T = TypeVar("T")
DAY_SECONDS = 86_400
_PERIOD = re.compile(r"(?:(\d{1,4}) *)?(day|month|year)s?")


def money(price: str | None, currency: str | None, sats: int | None) -> Money | None:
    """What `--price 25.00 --currency USD` or `--sats 50000` say; None for neither. Raises BadRequest."""
    currency = currency.upper() if currency is not None else None
    if sats is not None:
        if price is not None or currency not in (None, SAT):
            raise BadRequest("--sats and --price are two words for one thing. Give one of them.")
        return Money(SAT, sats)
    if price is None:
        if currency is not None:
            raise BadRequest("--currency goes with --price. Give both.")
        return None
    if currency is None:
        raise BadRequest("Say in which currency: --price 25.00 --currency USD, or --sats 50000.")
    return Money.parse(price, currency)


def money_of(product: ProductView, price: str | None, currency: str | None, sats: int | None) -> Money | None:
    """The same for a tier or an offer, where the currency is its product's and need not be said."""
    if price is not None and currency is None:
        currency = product.price_currency
    found = money(price, currency, sats)
    if found is not None and found.currency != product.price_currency:
        raise BadRequest(f"{product.slug} is priced in {product.price_currency}, and so are its tiers.")
    return found


def features(typed: Sequence[str]) -> list[dict[str, str]]:
    """Of `slug:Name:Description`; the last two may be left out."""
    parts = [one.split(":", 2) for one in typed]
    return [
        {
            "slug": slug,
            "name": rest[0] if rest and rest[0] else slug,
            "description": rest[1] if len(rest) > 1 else "",
        }
        for slug, *rest in parts
    ]


def period(typed: str) -> dict[str, object]:
    """`month`, `3 months`, `30 days`. Raises BadRequest."""
    found = _PERIOD.fullmatch(typed.strip().lower())
    if found is None:
        raise BadRequest(f"{typed!r} is no period: write month, 3 months, 30 days or year.")
    return {"count": int(found[1] or 1), "unit": found[2]}


def given(**fields: object) -> dict[str, Any]:
    """What was typed. None, and an option that repeats and was not given, count as absent."""
    return {name: value for name, value in fields.items() if value not in (None, ())}


async def tier(read: Read, product_slug: str, tier_slug: str) -> tuple[ProductView, PolicyView]:
    """Raises NotFound, which names the tiers there are."""
    product = await catalog.product_by_slug(read, product_slug)
    return product, tier_named(product, await catalog.policies(read, product), tier_slug, by_operator=True)


def offer_of(policy: PolicyView, slug: str) -> OfferView:
    """Raises NotFound."""
    offers = {offer.slug: offer for offer in policy.offers}
    if slug not in offers:
        raise NotFound(f"{policy.slug} has no offer {slug!r}; it has {', '.join(offers) or 'none'}.")
    return offers[slug]


def product_row(product: ProductView) -> dict[str, object]:
    return {
        "id": product.id,
        "slug": product.slug,
        "name": product.name,
        "price": shown(product.price),
        "active": product.active,
        "entitlements": [feature.slug for feature in product.features],
    }


def product_json(product: ProductView) -> dict[str, object]:
    """As the admin API shows it."""
    return msgspec.to_builtins(admin_product(product))


def policy_row(product: ProductView, policy: PolicyView) -> dict[str, object]:
    return {
        "id": policy.id,
        "slug": policy.slug,
        "name": policy.name,
        "price": shown(list_price(product, policy)),
        "every": f"{policy.period.count} {policy.period.unit}" if policy.period else None,
        "seats": policy.max_machines or "unlimited",
        "sold": _sold(policy),
        "entitlements": policy.entitlements,
        "offers": [offer.slug for offer in policy.offers],
    }


def policy_json(shop: Shop, product: ProductView, policy: PolicyView) -> dict[str, object]:
    """As the admin API shows it."""
    return msgspec.to_builtins(admin_policy(product, policy, shop.now()))


def offer_row(product: ProductView, policy: PolicyView, offer: OfferView) -> dict[str, object]:
    period = offer.own_period or policy.period
    return {
        "id": offer.id,
        "slug": offer.slug,
        "price": shown(list_price(product, policy, offer)),
        "every": f"{period.count} {period.unit}" if period else None,
        "active": offer.active,
    }


def shown(price: Money) -> str:
    return f"{price.currency} {price.decimal_text()}"


def removed_words(removed: Removed) -> str:
    with_it = counts(
        (removed.cascaded_policies, "tier"),
        (removed.cascaded_offers, "offer"),
        (removed.cascaded_orders, "ended order"),
    )
    return f"{removed.deleted} is gone{f', and with it {with_it}' if with_it else ''}."


def _sold(policy: PolicyView) -> str:
    if policy.archived_at is not None:
        return "archived"
    if not policy.active:
        return "inactive"
    return "to anyone" if policy.public else "by hand only"
