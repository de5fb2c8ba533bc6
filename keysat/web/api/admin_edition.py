"""The license of the shop itself, and what its edition may hold."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import delete, get, post
from litestar.params import JSONBody
from msgspec import Meta
from sqlalchemy import func, select

from keysat.catalog.tables import DiscountCode, Product
from keysat.infra.edition import Cap
from keysat.infra.house import Mode
from keysat.infra.work import Read
from keysat.operators.scopes import Scope
from keysat.upkeep import self_license
from keysat.upkeep.self_license import NotLicensed, refresh_edition
from keysat.upkeep.shop import Shop
from keysat.web.auth import needs
from keysat.web.problems import refusals
from keysat.web.provide import WithNow, WithRead, WithShop, WithVisit
from keysat.web.wire import Outbound, StrictInbound


class PresentedLicense(StrictInbound, frozen=True, kw_only=True):
    license_key: Annotated[str, Meta(min_length=1, max_length=100_000, examples=["LIC1-AEBA..."])]


class SelfLicense(Outbound, frozen=True, kw_only=True):
    """`tier` is `licensed`, `unlicensed` with the reason, or `uncapped`: this Keysat needs no license."""

    tier: str
    reason: str | None = None
    license_id: UUID | None = None
    product_id: UUID | None = None
    expires_at: datetime | None = None
    entitlements: tuple[str, ...] = ()


class Tier(Outbound, frozen=True, kw_only=True):
    """`caps`: how many there may be, null without a limit; 0 of what is not counted: it is not in this edition."""

    tier: str
    tier_name: str
    sandbox: bool
    entitlements: list[str]
    usage: Mapping[str, int]
    caps: Mapping[str, int | None]
    next_tier: str | None
    upgrade_url: str | None


@get("/self-license", operation_id="getSelfLicense", opt=needs(Scope.OWNER))
async def get_self_license(shop: WithShop, now: WithNow) -> SelfLicense:
    """What licenses this shop, if it needs that."""
    return await _standing(shop, now)


@post(
    "/self-license", operation_id="presentSelfLicense", status_code=200, opt=needs(Scope.OWNER), responses=refusals(409)
)
async def present_self_license(data: JSONBody[PresentedLicense], shop: WithShop, visit: WithVisit) -> SelfLicense:
    """Take another license for this shop. What its edition allows holds at once."""
    async with visit.work() as work:
        await self_license.present(work, shop.vault, shop.settings, shop.vendor, data.license_key)
    return await _looked_again(shop, visit.now)


@post("/self-license/refresh", operation_id="refreshSelfLicense", status_code=200, opt=needs(Scope.OWNER))
async def refresh_self_license(shop: WithShop, now: WithNow) -> SelfLicense:
    """Look at it again now, as an hourly job does."""
    return await _looked_again(shop, now)


@delete(
    "/self-license", operation_id="dropSelfLicense", status_code=200, opt=needs(Scope.OWNER), responses=refusals(409)
)
async def drop_self_license(shop: WithShop, visit: WithVisit) -> SelfLicense:
    """Forget it. What there is more than the least edition allows stays."""
    async with visit.work() as work:
        await self_license.drop(work, shop.settings)
    return await _looked_again(shop, visit.now)


@get("/tier", operation_id="getTier")
async def get_tier(read: WithRead, shop: WithShop) -> Tier:
    """The edition of this Keysat: what it allows, and how much of that is used."""
    edition = shop.store.edition
    following = shop.vendor.after(edition.slug) if shop.vendor is not None else None
    return Tier(
        tier=edition.slug,
        tier_name=edition.name,
        sandbox=shop.mode == Mode.SANDBOX,
        entitlements=list(edition.entitlements),
        usage=await _usage(read),
        caps={cap.value: edition.caps.get(cap) for cap in Cap},
        next_tier=following.slug if following else None,
        upgrade_url=edition.upgrade_url,
    )


async def _usage(read: Read) -> Mapping[str, int]:
    counted = {
        Cap.PRODUCTS: select(func.count()).select_from(Product),
        Cap.CODES: select(func.count()).where(DiscountCode.active),
    }
    return {cap.value: (await read.session.scalars(count)).one() for cap, count in counted.items()}


async def _looked_again(shop: Shop, now: datetime) -> SelfLicense:
    await refresh_edition(shop, now)
    return await _standing(shop, now)


async def _standing(shop: Shop, now: datetime) -> SelfLicense:
    if shop.vendor is None:
        return SelfLicense(tier="uncapped")
    async with shop.read() as read:
        try:
            held = await self_license.standing(read, shop.settings, shop.vault, shop.vendor, now)
        except NotLicensed as reason:
            return SelfLicense(tier="unlicensed", reason=reason.message)
    return SelfLicense(
        tier="licensed",
        license_id=held.license_id,
        product_id=held.product_id,
        expires_at=held.expires_at,
        entitlements=held.entitlements,
    )


ROUTES = (get_self_license, present_self_license, refresh_self_license, drop_self_license, get_tier)
