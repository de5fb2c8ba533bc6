"""The shop's front page: what is on sale."""

from dataclasses import dataclass
from typing import Any

from litestar import Request, Response

from keysat.catalog.read import policies, products
from keysat.catalog.tiers import list_price
from keysat.catalog.views import PolicyView, ProductView
from keysat.infra.written import money
from keysat.kit.errors import BadRequest
from keysat.kit.money import Money
from keysat.web.html import page
from keysat.web.visit import visit_of

PER_PAGE = 24


@dataclass(frozen=True, slots=True)
class Shelf:
    product: ProductView
    price: str
    """Empty: nothing of it can be bought at the moment."""


async def index_page(request: Request[Any, Any, Any]) -> Response[str]:
    cursor = request.query_params.get("after")
    async with visit_of(request).shop.read() as read:
        try:
            found = await products(read, limit=PER_PAGE, cursor=cursor)
        except BadRequest:  # somebody's old link: from the beginning, then
            found = await products(read, limit=PER_PAGE)
        shelves = [Shelf(product, price_words(product, await policies(read, product))) for product in found.items]
    return page(visit_of(request), "index.html", shelves=shelves, next_cursor=found.next_cursor)


def price_words(product: ProductView, tiers: list[PolicyView]) -> str:
    """`$25.00`, `from $25.00`, `Free`, `Free, or from $25.00`; empty when nothing is on sale."""
    if not tiers:
        return money(product.price) if product.price.minor else "Free"
    prices = {price for tier in tiers if tier.is_open for price in _prices(product, tier)}
    paid = sorted(price for price in prices if price.minor)
    if not paid:
        return "Free" if prices else ""
    words = money(paid[0]) if len(paid) == 1 else f"from {money(paid[0])}"
    return f"Free, or {words}" if len(prices) > len(paid) else words


def _prices(product: ProductView, tier: PolicyView) -> list[Money]:
    return [list_price(product, tier, offer) for offer in (None, *(offer for offer in tier.offers if offer.active))]
