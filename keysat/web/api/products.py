"""What is sold, as the SDKs and the buy page ask for it (public contract 3.5 and 3.6)."""

from datetime import datetime

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from keysat.catalog import read as catalog
from keysat.catalog import shapes
from keysat.catalog.views import ProductView
from keysat.checkout.featured import featured_shapes
from keysat.infra.work import Read
from keysat.kit.errors import NotFound
from keysat.payments.rates.pins import pin_of
from keysat.web.problems import refusals
from keysat.web.provide import WithShop


@get("/v1/products", operation_id="listProducts")
async def products(read: NamedDependency[Read]) -> shapes.Products:
    """All products on sale, by name."""
    page = await catalog.products(read, limit=catalog.PUBLIC_PRODUCTS_MAX)
    return shapes.Products([shapes.public_product(view) for view in page.items])


@get("/v1/products/{slug:str}", operation_id="getProduct", responses=refusals(404))
async def product(read: NamedDependency[Read], slug: FromPath[str]) -> shapes.Product:
    """One product on sale."""
    return shapes.public_product(await _on_sale(read, slug))


@get("/v1/products/{slug:str}/policies", operation_id="listTiers", responses=refusals(404))
async def tiers(
    read: NamedDependency[Read], shop: WithShop, now: NamedDependency[datetime], slug: FromPath[str]
) -> shapes.Tiers:
    """The tiers that anyone may buy, the cheapest first. `price_sats` is in the listed currency's minor unit."""
    view = await _on_sale(read, slug)
    found = await catalog.public_tiers(read, view)
    rate = shop.board.peek(view.price_currency, await pin_of(read, view.price_currency))
    codes = await featured_shapes(read, view, found, rate, now)
    return shapes.tiers(view, found, now, codes, rate.rate if rate else None)


async def _on_sale(read: Read, slug: str) -> ProductView:
    """Raises NotFound for an inactive product too: what is not sold is nobody's business."""
    view = await catalog.product_by_slug(read, slug)
    if not view.active:
        raise NotFound(f"There is no product {slug[:64]!r}.")
    return view


ROUTES = (products, product, tiers)
