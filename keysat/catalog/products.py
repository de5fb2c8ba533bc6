"""Verbs on products. Each returns the product as it is afterwards."""

from typing import Any
from uuid import UUID

from msgspec import UNSET, UnsetType
from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload

from keysat.catalog import checks, offers, policies, read
from keysat.catalog.features import FeatureInput, check_catalog, write_features
from keysat.catalog.happenings import ProductCreated, ProductDeleted, ProductUpdated
from keysat.catalog.rows import locked_product
from keysat.catalog.tables import Feature, Offer, Policy, Product, ProductId
from keysat.catalog.views import ProductView
from keysat.infra.edition import Cap
from keysat.infra.work import Work, flushed
from keysat.kit.currencies import SAT
from keysat.kit.errors import BadRequest, Conflict, NotFound
from keysat.kit.money import Money


class ProductFields(checks.Input, frozen=True, kw_only=True):
    """What can be edited: an absent field stays, null clears.

    The price is `price_sats`, or `price_currency` with `price_value` in its minor unit; both only if they agree.
    """

    description: str | UnsetType | None = UNSET
    price_sats: int | UnsetType | None = UNSET
    price_currency: str | UnsetType | None = UNSET
    price_value: int | UnsetType | None = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET
    entitlements_catalog: list[FeatureInput] | UnsetType | None = UNSET
    downgrade_at_renewal: bool | UnsetType = UNSET
    merchant_profile_id: UUID | UnsetType | None = UNSET


class NewProduct(ProductFields, frozen=True, kw_only=True):
    slug: str
    name: str


class ProductEdit(ProductFields, frozen=True, kw_only=True):
    """`tier_prices` goes with another currency: the prices of tiers (`pro`) and offers (`pro/yearly`) in it."""

    name: str | UnsetType = UNSET
    tier_prices: dict[str, int | None] | UnsetType = UNSET


async def create(work: Work, request: NewProduct) -> ProductView:
    """Raises BadRequest; Conflict when the slug is taken; TierCap."""
    checks.slug(request.slug)
    await work.within(Cap.PRODUCTS, select(func.count()).select_from(Product))
    price = _price(request)
    if price is None:
        raise BadRequest("The price is missing. Give price_sats, or price_currency and price_value; 0 is free.")
    row = Product(id=ProductId(work.secret_id()), slug=request.slug, details={}, description="")
    row.price_currency, row.price_value, row.active = price.currency, price.minor, True
    row.downgrade_at_renewal = False
    row.created_at = row.updated_at = work.now
    _write_texts(row, request)
    catalog = request.entitlements_catalog or []
    check_catalog(catalog)
    async with flushed(work, f"There is a product {request.slug} already. Choose another slug."):
        work.session.add(row)
    await _sold_by(work, row, request)
    await write_features(work, await locked_product(work, row.id), catalog)
    work.record(
        ProductCreated(product_id=row.id, slug=row.slug, price_currency=row.price_currency, price_value=row.price_value)
    )
    return await read.product(work, row.id)


async def edit(work: Work, product_id: UUID, request: ProductEdit) -> ProductView:
    """Raises NotFound; BadRequest; Conflict when tiers grant what would leave the entitlement catalog."""
    row = await locked_product(work, product_id)
    changed = _write_texts(row, request) + await _sold_by(work, row, request)
    price = _price(request) or Money(row.price_currency, row.price_value)
    if price != Money(row.price_currency, row.price_value):
        changed.append("price")
    if price.currency != row.price_currency:
        await _reprice(work, row, {} if request.tier_prices is UNSET else request.tier_prices, price.currency)
    elif request.tier_prices is not UNSET:
        raise BadRequest("tier_prices goes with another price_currency only. Edit the tiers one by one.")
    row.price_currency, row.price_value = price.currency, price.minor
    if request.entitlements_catalog is not UNSET and await write_features(
        work, row, request.entitlements_catalog or []
    ):
        changed.append("entitlements_catalog")
    _tell(work, row, changed)
    return await read.product(work, row.id)


async def set_active(work: Work, product_id: UUID, active: bool) -> ProductView:
    """An inactive product is not shown and not sold; its licenses go on. Raises NotFound."""
    row = await locked_product(work, product_id)
    changed = ["active"] if row.active != active else []
    row.active = active
    _tell(work, row, changed)
    return await read.product(work, row.id)


async def delete_product(work: Work, product_id: UUID) -> None:
    """Removes a product without tiers, and its features. Whether it was ever sold is asked by `checkout.retire`.

    Raises NotFound; Conflict, which names the tiers, or when a row of another slice still refers to it.
    """
    row = await locked_product(work, product_id)
    tiers = (
        await work.session.scalars(select(Policy.slug).where(Policy.product_id == row.id).order_by(Policy.slug))
    ).all()
    if tiers:
        raise Conflict(f"The product {row.slug} has tiers: {', '.join(tiers)}. Delete them first, or set it inactive.")
    async with flushed(work, f"The product {row.slug} is still referred to. Set it inactive instead."):
        await work.session.execute(delete(Feature).where(Feature.product_id == row.id))
        await work.session.delete(row)
    work.record(ProductDeleted(row.id, row.slug))


def _price(request: ProductFields) -> Money | None:
    """None when no price is given. Raises BadRequest for half a price, and for two that differ."""
    sats = None if request.price_sats is UNSET else request.price_sats
    currency = request.price_currency.upper() if isinstance(request.price_currency, str) else None
    value = None if request.price_value is UNSET else request.price_value
    if (currency is None) != (value is None):
        raise BadRequest("price_currency and price_value go together. Give both, or price_sats alone.")
    typed = None
    if currency is not None and value is not None:
        checks.price("price_value", value, currency)
        typed = Money(currency, value)
    if sats is None:
        return typed
    checks.price("price_sats", sats, SAT)
    if typed not in (None, Money(SAT, sats)):
        raise BadRequest("price_sats and price_value say different prices. Give one of them.")
    return Money(SAT, sats)


def _write_texts(row: Product, request: NewProduct | ProductEdit) -> list[str]:
    """Checks and writes all but price and features; returns the names of what is different now."""
    changed: list[str] = []
    if request.name is not UNSET and request.name != row.name:
        checks.name(request.name)
        row.name = request.name
        changed.append("name")
    if request.description is not UNSET and (request.description or "") != row.description:
        row.description = request.description or ""
        checks.text("description", row.description, checks.DESCRIPTION_MAX)
        changed.append("description")
    if request.metadata is not UNSET and (request.metadata or {}) != row.details:
        row.details = request.metadata or {}
        checks.metadata(row.details)
        changed.append("metadata")
    if request.downgrade_at_renewal is not UNSET and request.downgrade_at_renewal != row.downgrade_at_renewal:
        row.downgrade_at_renewal = request.downgrade_at_renewal
        changed.append("downgrade_at_renewal")
    return changed


async def _sold_by(work: Work, row: Product, request: ProductFields) -> list[str]:
    """Profiles are another slice's: the foreign key knows whether there is this one. Raises NotFound."""
    wanted = request.merchant_profile_id
    if wanted is UNSET or wanted == row.merchant_profile_id:
        return []
    row.merchant_profile_id = wanted
    try:
        await work.session.flush()
    except IntegrityError as error:
        raise NotFound(f"There is no merchant profile {wanted}.") from error
    return ["merchant_profile_id"]


async def _reprice(work: Work, product: Product, given: dict[str, int | None], currency: str) -> None:
    """Prices are never converted: with another currency every tier and offer that has its own needs it once more."""
    tiers = await work.session.scalars(
        select(Policy)
        .where(Policy.product_id == product.id)
        .options(selectinload(Policy.offers))
        .execution_options(populate_existing=True)
    )
    prices: dict[str, Policy | Offer] = {}
    for tier in tiers:
        prices[tier.slug] = tier
        prices.update({f"{tier.slug}/{offer.slug}": offer for offer in tier.offers})
    unknown = sorted(given.keys() - prices.keys())
    if unknown:
        raise BadRequest(f"tier_prices names {', '.join(unknown)}, which {product.slug} does not have.")
    missing = sorted(name for name, row in prices.items() if row.price_value is not None and name not in given)
    if missing:
        raise BadRequest(
            f"Prices are not converted from {product.price_currency} to {currency}. Send tier_prices with a price in "
            f"{currency} for each of: {', '.join(missing)} (null takes the product's)."
        )
    for name, value in given.items():
        row = prices[name]
        if value is not None:
            checks.price(f"tier_prices.{name}", value, currency)
        if isinstance(row, Policy):
            row.price_value = value
            policies.tell(work, row, ["price_value"])
        elif value is not None:
            row.price_value = value
            offers.tell(work, row, ["price_value"])
        else:
            raise BadRequest(f"The offer {name} needs a price of its own in tier_prices.")


def _tell(work: Work, row: Product, changed: list[str]) -> None:
    if changed:
        row.updated_at = work.now
        work.record(
            ProductUpdated(
                product_id=row.id,
                slug=row.slug,
                price_currency=row.price_currency,
                price_value=row.price_value,
                active=row.active,
                changed=changed,
            )
        )
