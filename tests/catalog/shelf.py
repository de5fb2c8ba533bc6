"""A product and its tiers in a few words."""

from typing import Any

import msgspec
from sqlalchemy import select

from keysat.catalog import policies, products
from keysat.catalog.views import PolicyView, ProductView
from keysat.infra.store import Store
from keysat.infra.tables import EventRow
from tests.conftest import NOON, TESTER


async def a_product(store: Store, slug: str = "app", **fields: Any) -> ProductView:
    """5000 sats unless told otherwise; the fields are those of the admin API."""
    body = {
        "slug": slug,
        "name": slug.title(),
        **({} if "price_currency" in fields else {"price_sats": 5000}),
        **fields,
    }
    async with store.work(NOON, TESTER) as work:
        return await products.create(work, msgspec.convert(body, products.NewProduct))


async def a_tier(store: Store, slug: str, product: str = "app", **fields: Any) -> PolicyView:
    body = {"product_slug": product, "slug": slug, "name": slug.title(), **fields}
    async with store.work(NOON, TESTER) as work:
        return await policies.create(work, msgspec.convert(body, policies.NewPolicy))


async def events(store: Store) -> list[str]:
    async with store.read() as read:
        return list(await read.session.scalars(select(EventRow.name).order_by(EventRow.id)))
