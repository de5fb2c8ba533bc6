"""What must always hold in the catalog. `upkeep.doctor` asks; nothing here repairs."""

from datetime import datetime

import msgspec
from sqlalchemy import select

from keysat.catalog.codes import normal
from keysat.catalog.policy_values import PolicyValues
from keysat.catalog.tables import Code, Feature, Offer, Policy, Product
from keysat.infra.work import Read
from keysat.kit.currencies import is_known
from keysat.kit.errors import BadRequest


async def broken(read: Read, _now: datetime) -> list[str]:
    """One sentence for each thing that does not hold."""
    return [*await _products(read), *await _policies(read), *await _offers(read), *await _codes(read)]


async def _products(read: Read) -> list[str]:
    rows = await read.session.execute(select(Product.slug, Product.price_currency))
    return [f"Product {slug} is priced in {code}, which is no currency." for slug, code in rows if not is_known(code)]


async def _policies(read: Read) -> list[str]:
    """What could not be written today: a tier whose sale might fail after it was paid."""
    catalogs: dict[object, list[str]] = {}
    for product_id, slug in await read.session.execute(select(Feature.product_id, Feature.slug)):
        catalogs.setdefault(product_id, []).append(slug)
    found: list[str] = []
    rows = await read.session.execute(
        select(Policy, Product.price_currency).join(Product, Product.id == Policy.product_id).order_by(Policy.id)
    )
    for row, currency in rows:
        try:
            msgspec.convert(row, PolicyValues, from_attributes=True).check(catalogs.get(row.product_id, []), currency)
        except BadRequest as error:
            found.append(f"Policy {row.id} ({row.slug}): {error.message}")
    return found


async def _offers(read: Read) -> list[str]:
    rows = await read.session.scalars(
        select(Offer.id)
        .join(Policy, Policy.id == Offer.policy_id)
        .where(Offer.period_unit.is_not(None), ~Policy.is_recurring)
    )
    return [f"Offer {offer_id} has a period, but its tier does not recur." for offer_id in rows]


async def _codes(read: Read) -> list[str]:
    codes = await read.session.scalars(select(Code.code))
    return [f"Code {code!r} is not normalised: nobody can type it." for code in codes if not _is_normal(code)]


def _is_normal(code: str) -> bool:
    try:
        return normal(code) == code
    except BadRequest:
        return False
