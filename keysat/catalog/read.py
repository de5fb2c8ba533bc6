"""Looking into the catalog."""

from collections.abc import Iterable
from uuid import UUID

import msgspec
from sqlalchemy import Select, select
from sqlalchemy.orm import selectinload

from keysat.catalog.tables import Offer, Policy, Product
from keysat.catalog.tiers import Choice, ladder, pick
from keysat.catalog.views import OfferView, PolicyView, ProductView
from keysat.infra.filtered import paged
from keysat.infra.work import Read
from keysat.kit.errors import NotFound
from keysat.kit.paging import LIMIT_DEFAULT, Page

PUBLIC_PRODUCTS_MAX = 1000
"""The public list has no pages in the contract, so it has an end."""


async def products(
    read: Read, *, include_inactive: bool = False, limit: int = LIMIT_DEFAULT, cursor: str | None = None
) -> Page[ProductView]:
    """By name, then by slug. Raises BadRequest for a cursor that is none."""
    wanted = _products() if include_inactive else _products().where(Product.active)
    of = ("products", include_inactive)
    return (await paged(read, wanted, (Product.name, Product.slug), limit, cursor, of=of)).map(product_view)


async def product(read: Read, product_id: UUID) -> ProductView:
    """Raises NotFound."""
    row = await read.session.scalar(_products().where(Product.id == product_id))
    if row is None:
        raise NotFound(f"There is no product {product_id}.")
    return product_view(row)


async def product_by_slug(read: Read, slug: str) -> ProductView:
    """Active or not. Raises NotFound."""
    known = "\0" not in slug  # which PostgreSQL cannot even be asked for
    row = await read.session.scalar(_products().where(Product.slug == slug)) if known else None
    if row is None:
        raise NotFound(f"There is no product {slug[:64]!r}.")
    return product_view(row)


async def policy(read: Read, policy_id: UUID) -> PolicyView:
    """Raises NotFound."""
    row = await read.session.scalar(_policies().where(Policy.id == policy_id))
    if row is None:
        raise NotFound(f"There is no policy {policy_id}.")
    return policy_view(row)


async def offer(read: Read, offer_id: UUID, policy_id: UUID | None = None) -> OfferView:
    """Raises NotFound, also for one of another tier than `policy_id`."""
    row = await read.get(Offer, offer_id)
    if policy_id not in (None, row.policy_id):
        raise NotFound(f"The tier {policy_id} has no offer {offer_id}.")
    return offer_view(row)


async def offers(read: Read, policy_id: UUID, limit: int, cursor: str | None = None) -> Page[OfferView]:
    """Of one tier, by slug. Raises NotFound; BadRequest for a cursor that is none."""
    wanted = select(Offer).where(Offer.policy_id == (await read.get(Policy, policy_id)).id)
    return (await paged(read, wanted, [Offer.slug], limit, cursor, of=("offers", policy_id))).map(offer_view)


async def policies(
    read: Read, product: ProductView, *, include_inactive: bool = True, include_archived: bool = True
) -> list[PolicyView]:
    """The product's tiers, private ones too, sorted as they are shown."""
    wanted = _policies().where(Policy.product_id == product.id)
    if not include_inactive:
        wanted = wanted.where(Policy.active)
    if not include_archived:
        wanted = wanted.where(Policy.archived_at.is_(None))
    return ladder(product, [policy_view(row) for row in await read.session.scalars(wanted)])


async def products_of(read: Read, policy_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """The products that these tiers belong to, by the tiers' ids."""
    rows = await read.session.execute(select(Policy.id, Policy.product_id).where(Policy.id.in_(set(policy_ids))))
    return {row.id: row.product_id for row in rows}


class Names(msgspec.Struct, frozen=True):
    slug: str
    name: str


async def names_of(
    read: Read, product_ids: Iterable[UUID], policy_ids: Iterable[UUID]
) -> tuple[dict[UUID, Names], dict[UUID, Names]]:
    """Of products and of tiers, by their ids."""
    products = await read.session.execute(
        select(Product.id, Product.slug, Product.name).where(Product.id.in_(set(product_ids)))
    )
    tiers = await read.session.execute(
        select(Policy.id, Policy.slug, Policy.name).where(Policy.id.in_(set(policy_ids)))
    )
    return (
        {product_id: Names(slug, name) for product_id, slug, name in products},
        {policy_id: Names(slug, name) for policy_id, slug, name in tiers},
    )


async def public_tiers(read: Read, product: ProductView) -> list[PolicyView]:
    """What anyone may buy, by effective price, then by name."""
    return [tier for tier in await policies(read, product) if tier.is_open]


async def choose(
    read: Read, product_slug: str, policy_slug: str | None = None, offer_slug: str | None = None
) -> Choice:
    """What these slugs buy: public contract 3.7, steps 1 and 2, as corrected by the design's decisions.

    Raises NotFound for an unknown product, tier or offer; BadRequest for one that is not on sale.
    """
    product = await product_by_slug(read, product_slug)
    return pick(product, await policies(read, product), policy_slug, offer_slug)


def product_view(row: Product) -> ProductView:
    return msgspec.convert(row, ProductView, from_attributes=True)


def policy_view(row: Policy) -> PolicyView:
    return msgspec.convert(row, PolicyView, from_attributes=True)


def offer_view(row: Offer) -> OfferView:
    return msgspec.convert(row, OfferView, from_attributes=True)


def _products() -> Select[Product]:
    return select(Product).options(selectinload(Product.features)).execution_options(populate_existing=True)


def _policies() -> Select[Policy]:
    return select(Policy).options(selectinload(Policy.offers)).execution_options(populate_existing=True)
