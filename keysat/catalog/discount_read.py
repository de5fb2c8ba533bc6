"""Looking at discount codes, and counting their uses in one statement."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, or_, select, update
from sqlalchemy.orm import selectinload

from keysat.catalog.codes import code_of
from keysat.catalog.tables import DiscountCode, DiscountKind, Policy, Product
from keysat.catalog.views import DiscountView
from keysat.infra.filtered import paged
from keysat.infra.work import Read, Work
from keysat.kit.errors import NotFound
from keysat.kit.paging import Page

DISCOUNT = "discount"
"""The kind of theirs in the namespace of codes."""
FEATURED_MAX = 100
"""So many featured codes are looked at for one product, the oldest first."""


async def discount(read: Read, discount_id: UUID) -> DiscountView:
    """Raises NotFound."""
    row = await read.session.scalar(_discounts().where(DiscountCode.id == discount_id))
    if row is None:
        raise NotFound(f"There is no discount code {discount_id}.")
    return discount_view(row)


async def discount_of(read: Read, typed: str) -> DiscountView | None:
    """None: it is no code of this kind, however it was typed."""
    code = await code_of(read, typed)
    if code is None or code.kind != DISCOUNT:
        return None
    row = await read.session.scalar(_discounts().where(DiscountCode.code == code.code))
    return discount_view(row) if row is not None else None


async def discounts(
    read: Read,
    *,
    include_inactive: bool,
    limit: int,
    cursor: str | None,
    product_id: UUID | None = None,
    kind: DiscountKind | None = None,
) -> Page[DiscountView]:
    """By code. Raises BadRequest for a cursor that is none."""
    wanted = _discounts()
    if not include_inactive:
        wanted = wanted.where(DiscountCode.active)
    if product_id is not None:
        wanted = wanted.where(DiscountCode.product_id == product_id)
    if kind is not None:
        wanted = wanted.where(DiscountCode.kind == kind)
    of = ("discount_codes", include_inactive, product_id, kind)
    return (await paged(read, wanted, [DiscountCode.code], limit, cursor, of=of)).map(discount_view)


async def slugs_of(read: Read, views: Sequence[DiscountView]) -> dict[UUID, str]:
    """Of the products and tiers that these codes are for, by their ids."""
    products = select(Product.id, Product.slug).where(Product.id.in_({view.product_id for view in views}))
    tiers = select(Policy.id, Policy.slug).where(Policy.id.in_({id for view in views for id in view.policy_ids}))
    return {row.id: row.slug for query in (products, tiers) for row in await read.session.execute(query)}


async def featured_codes(read: Read, product_id: UUID, now: datetime) -> list[DiscountView]:
    """What may be shown with this product without being typed; `pricing.best_featured` chooses among them."""
    row = DiscountCode
    wanted = (
        _discounts()
        .where(
            row.featured,
            row.active,
            or_(row.expires_at.is_(None), row.expires_at > now),
            or_(row.max_uses.is_(None), row.used_count < row.max_uses),
            or_(row.product_id.is_(None), row.product_id == product_id),
        )
        .order_by(row.product_id.is_(None), row.created_at, row.id)
        .limit(FEATURED_MAX)
    )
    return [discount_view(one) for one in await read.session.scalars(wanted)]


async def take_use(work: Work, discount_id: UUID) -> bool:
    """One of the uses that are left, in one statement; False: none is, or the code has ended since it was read."""
    row = DiscountCode
    taken = await work.session.execute(
        update(row)
        .where(
            row.id == discount_id,
            row.active,
            or_(row.expires_at.is_(None), row.expires_at > work.now),
            or_(row.max_uses.is_(None), row.used_count < row.max_uses),
        )
        .values(used_count=row.used_count + 1)
        .returning(row.id)
        .execution_options(synchronize_session=False)
    )
    return taken.first() is not None


async def count_use(work: Work, discount_id: UUID, by: int) -> None:
    """Whatever the limit says: `by` is 1 for late money that took its use up again, -1 for a use that is given back."""
    row = DiscountCode
    await work.session.execute(
        update(row)
        .where(row.id == discount_id)
        .values(used_count=row.used_count + by)
        .execution_options(synchronize_session=False)
    )


def discount_view(row: DiscountCode) -> DiscountView:
    """Of a row that was loaded with its tiers."""
    return DiscountView(
        policy_ids=tuple(sorted(tier.policy_id for tier in row.tiers)),
        **{field: getattr(row, field) for field in DiscountView.__struct_fields__ if field != "policy_ids"},
    )


def _discounts() -> Select[DiscountCode]:
    return select(DiscountCode).options(selectinload(DiscountCode.tiers)).execution_options(populate_existing=True)


async def any_code(read: Read, product_id: UUID) -> bool:
    """Some active code is there for this product."""
    row = DiscountCode
    wanted = select(row.id).where(row.active, or_(row.product_id.is_(None), row.product_id == product_id)).limit(1)
    return await read.session.scalar(wanted) is not None
