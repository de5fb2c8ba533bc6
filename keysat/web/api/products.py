"""What is sold, as the SDKs and the buy page ask for it (public contract 3.5 and 3.6)."""

from datetime import datetime

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from keysat.catalog import read as catalog
from keysat.catalog import shapes
from keysat.catalog.views import ProductView
from keysat.infra.work import Read
from keysat.kit.errors import NotFound
from keysat.web.problems import refusals


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
async def tiers(read: NamedDependency[Read], now: NamedDependency[datetime], slug: FromPath[str]) -> shapes.Tiers:
    """The tiers that anyone may buy, the cheapest first. `price_sats` is in the listed currency's minor unit."""
    view = await _on_sale(read, slug)
    return shapes.tiers(view, await catalog.public_tiers(read, view), now)


async def _on_sale(read: Read, slug: str) -> ProductView:
    """Raises NotFound for an inactive product too: what is not sold is nobody's business."""
    view = await catalog.product_by_slug(read, slug)
    if not view.active:
        raise NotFound(f"There is no product {slug[:64]!r}.")
    return view


ROUTES = (products, product, tiers)
