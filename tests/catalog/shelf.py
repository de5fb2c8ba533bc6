"""A product and its tiers in a few words."""

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import select

from keysat.catalog import discounts, policies, products
from keysat.catalog.discount_read import discount_of
from keysat.catalog.views import DiscountView, PolicyView, ProductView
from keysat.infra.store import Store
from keysat.infra.tables import EventRow
from tests.conftest import NOON, TESTER

MONTHLY: Mapping[str, Any] = {"is_recurring": True, "renewal_period": {"count": 1, "unit": "month"}}
"""Of a tier."""


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


async def a_code(store: Store, code: str, kind: str = "percent", amount: int = 2000, **fields: Any) -> DiscountView:
    """20 % off everything unless told otherwise; the fields are those of the admin API."""
    body = {"code": code, "kind": kind, "amount": amount, **fields}
    async with store.work(NOON, TESTER) as work:
        return await discounts.create(work, msgspec.convert(body, discounts.NewDiscount))


async def code_now(store: Store, code: str) -> DiscountView:
    async with store.read() as read:
        found = await discount_of(read, code)
    assert found is not None
    return found
