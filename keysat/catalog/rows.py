"""Rows as the verbs need them: with the product locked, so that what is checked still holds when it is written."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from keysat.catalog.tables import Policy, Product
from keysat.infra.work import Work
from keysat.kit.errors import NotFound


async def locked_product(work: Work, product: UUID | str) -> Product:
    """By id or by slug, with its features. Raises NotFound. (SQLite has one writer anyway and ignores FOR UPDATE.)"""
    wanted = Product.slug == product if isinstance(product, str) else Product.id == product
    row = await work.session.scalar(
        select(Product)
        .where(wanted)
        .options(selectinload(Product.features))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound(f"There is no product {str(product)[:64]}.")
    return row


async def locked_policy(work: Work, policy_id: UUID) -> tuple[Product, Policy]:
    """A tier with its offers, and its product, which carries the lock. Raises NotFound."""
    product_id = await work.session.scalar(select(Policy.product_id).where(Policy.id == policy_id))
    if product_id is None:
        raise NotFound(f"There is no policy {policy_id}.")
    product = await locked_product(work, product_id)
    row = await work.session.scalar(
        select(Policy)
        .where(Policy.id == policy_id)
        .options(selectinload(Policy.offers))
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound(f"There is no policy {policy_id}.")
    return product, row
