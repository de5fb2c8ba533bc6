"""Rows as the verbs need them: with the product locked, so that what is checked still holds when it is written."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from keysat.catalog.tables import Policy, Product
from keysat.infra.work import Work
from keysat.kit.errors import NotFound


async def locked_product(work: Work, product: UUID | str) -> Product:
    """By id or by slug, with its features. Raises NotFound."""
    if isinstance(product, str):
        found = await work.session.scalar(select(Product.id).where(Product.slug == product))
        if found is None:
            raise NotFound(f"There is no product {product[:64]}.")
        product = found
    return await work.hold(Product, product, selectinload(Product.features))


async def locked_policy(work: Work, policy_id: UUID) -> tuple[Product, Policy]:
    """A tier with its offers, and its product, which carries the lock. Raises NotFound."""
    product = await locked_product(work, (await work.get(Policy, policy_id)).product_id)
    row = await work.session.get(Policy, policy_id, options=[selectinload(Policy.offers)], populate_existing=True)
    if row is None:
        raise NotFound(f"There is no policy {policy_id}.")
    return product, row
