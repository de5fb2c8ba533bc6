"""Verbs on tiers, called policies because clients know them so. Each returns the tier as it is afterwards.

Edits hold for what is sold from now on: licenses and subscriptions keep what they were sold with.
"""

from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import delete, func, select

from keysat.catalog import checks, read
from keysat.catalog.happenings import PolicyArchived, PolicyCreated, PolicyDeleted, PolicyUnarchived, PolicyUpdated
from keysat.catalog.policy_values import PolicyValues, lifted
from keysat.catalog.rows import locked_policy, locked_product
from keysat.catalog.tables import Offer, Policy, PolicyId, Product, TrialNeeds
from keysat.catalog.views import PolicyView
from keysat.infra.edition import Cap
from keysat.infra.work import Work, flushed
from keysat.kit.errors import BadRequest

POLICIES_MAX = 100
"""Tiers of one product, archived ones included."""


class PolicyFields(checks.Input, frozen=True, kw_only=True):
    """An absent field stays (or takes its default), null clears.

    `price_sats_override` is in the minor unit of the product's currency, whatever its name says: null takes the
    product's price, 0 is free. `price_value` is another word for it, and `renewal_period` the richer word for
    `renewal_period_days`.
    """

    description: str | UnsetType | None = UNSET
    price_sats_override: int | UnsetType | None = UNSET
    price_value: int | UnsetType | None = UNSET
    duration_seconds: int | UnsetType = UNSET
    grace_seconds: int | UnsetType = UNSET
    max_machines: int | UnsetType = UNSET
    seats_evict_after_days: int | UnsetType | None = UNSET
    is_trial: bool | UnsetType = UNSET
    trial_days: int | UnsetType = UNSET
    trial_needs: TrialNeeds | UnsetType = UNSET
    is_recurring: bool | UnsetType = UNSET
    renewal_period_days: int | UnsetType | None = UNSET
    renewal_period: checks.PeriodInput | UnsetType | None = UNSET
    grace_period_days: int | UnsetType = UNSET
    renewal_lead_days: int | UnsetType = UNSET
    tier_rank: int | UnsetType | None = UNSET
    entitlements: list[str] | UnsetType = UNSET
    marketing_bullets: list[str] | UnsetType = UNSET
    marketing_bullets_position: str | UnsetType = UNSET
    hidden_entitlements: list[str] | UnsetType = UNSET
    highlighted: bool | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType | None = UNSET


class NewPolicy(PolicyFields, frozen=True, kw_only=True):
    product_slug: str
    slug: str
    name: str
    active: bool = True
    public: bool = True


class PolicyEdit(PolicyFields, frozen=True, kw_only=True):
    name: str | UnsetType = UNSET


async def create(work: Work, request: NewPolicy) -> PolicyView:
    """Raises NotFound for the product; BadRequest; Conflict when the slug is taken; TierCap."""
    checks.slug(request.product_slug)
    product = await locked_product(work, request.product_slug)
    checks.slug(request.slug)
    values = PolicyValues(name=request.name, **_given(request))
    values.check(_catalog(product), product.price_currency)
    counted = select(func.count()).where(Policy.product_id == product.id)
    await work.within(Cap.POLICIES, counted)
    if values.is_recurring:
        await work.within(Cap.RECURRING)
    count = await work.session.scalar(counted) or 0
    if count >= POLICIES_MAX:
        raise BadRequest(f"The product {product.slug} has {count} tiers, and there may be {POLICIES_MAX}. Delete some.")
    row = Policy(id=PolicyId(work.new_id()), product_id=product.id, slug=request.slug, **msgspec.structs.asdict(values))
    row.active, row.public = request.active, request.public
    row.created_at = row.updated_at = work.now
    async with flushed(work, f"The product {product.slug} has a tier {row.slug} already. Choose another slug."):
        work.session.add(row)
    work.record(PolicyCreated(policy_id=row.id, product_id=row.product_id, slug=row.slug, price_value=row.price_value))
    return await read.policy(work, row.id)


async def edit(work: Work, policy_id: UUID, request: PolicyEdit) -> PolicyView:
    """Raises NotFound, BadRequest, TierCap."""
    product, row = await locked_policy(work, policy_id)
    before = msgspec.convert(row, PolicyValues, from_attributes=True)
    named = {} if request.name is UNSET else {"name": request.name}
    values = msgspec.structs.replace(before, **named, **_given(request))
    changed = [field for field in values.__struct_fields__ if getattr(values, field) != getattr(before, field)]
    if not changed:
        return await read.policy(work, row.id)
    values.check(_catalog(product), product.price_currency)
    if not values.is_recurring and any(offer.period_unit is not None for offer in row.offers):
        raise BadRequest("The tier has offers with a period of their own. Delete them before it stops recurring.")
    if values.is_recurring and not before.is_recurring:
        await work.within(Cap.RECURRING)
    for field in changed:
        setattr(row, field, getattr(values, field))
    tell(work, row, changed)
    return await read.policy(work, row.id)


async def set_active(work: Work, policy_id: UUID, active: bool) -> PolicyView:
    """An inactive tier is neither shown nor sold. Raises NotFound."""
    _, row = await locked_policy(work, policy_id)
    if row.active != active:
        row.active = active
        tell(work, row, ["active"])
    return await read.policy(work, row.id)


async def set_public(work: Work, policy_id: UUID, public: bool) -> PolicyView:
    """A private tier is given by the operator, a coupon or an import only. Raises NotFound."""
    _, row = await locked_policy(work, policy_id)
    if row.public != public:
        row.public = public
        tell(work, row, ["public"])
    return await read.policy(work, row.id)


async def set_archived(work: Work, policy_id: UUID, archived: bool) -> PolicyView:
    """An archived tier is hidden and no longer sold; what was sold goes on. Raises NotFound."""
    _, row = await locked_policy(work, policy_id)
    if (row.archived_at is not None) != archived:
        row.archived_at = work.now if archived else None
        row.updated_at = work.now
        event = PolicyArchived if archived else PolicyUnarchived
        work.record(event(row.id, row.product_id, row.slug))
    return await read.policy(work, row.id)


async def delete_policy(work: Work, policy_id: UUID) -> None:
    """Removes a tier and its offers. Whether it was ever sold is asked by `checkout.retire`, which calls this.

    Raises NotFound; Conflict when a row of another slice still refers to it.
    """
    _, row = await locked_policy(work, policy_id)
    async with flushed(work, f"The tier {row.slug} is still referred to. Archive it instead."):
        await work.session.execute(delete(Offer).where(Offer.policy_id == row.id))
        await work.session.delete(row)
    work.record(PolicyDeleted(row.id, row.product_id, row.slug))


def tell(work: Work, row: Policy, changed: list[str]) -> None:
    """Its `changed` fields are written: that is dated and told."""
    row.updated_at = work.now
    work.record(
        PolicyUpdated(
            policy_id=row.id,
            product_id=row.product_id,
            slug=row.slug,
            price_value=row.price_value,
            active=row.active,
            public=row.public,
            changed=changed,
        )
    )


def _given(request: PolicyFields) -> dict[str, Any]:
    """What the request says about columns: its own words for price, period and metadata are translated."""
    given: dict[str, Any] = {
        field: value
        for field in PolicyFields.__struct_fields__
        if (value := getattr(request, field)) is not UNSET and field not in _WORDS
    }
    if request.description is None:
        given["description"] = ""
    if request.entitlements is not UNSET:
        given["entitlements"] = list(dict.fromkeys(request.entitlements))
    if request.metadata is not UNSET:
        given = lifted(request.metadata or {}) | given
    override, price = request.price_sats_override, request.price_value
    if override is not UNSET and price is not UNSET and override != price:
        raise BadRequest("price_sats_override and price_value say different prices. Give one of them.")
    if override is not UNSET or price is not UNSET:
        given["price_value"] = override if price is UNSET else price
    return given | _period(request)


_WORDS = {"price_sats_override", "price_value", "renewal_period", "renewal_period_days", "metadata"}


def _period(request: PolicyFields) -> dict[str, Any]:
    if request.renewal_period_days is UNSET and request.renewal_period is UNSET:
        return {}
    period = checks.one_period(
        None if request.renewal_period_days is UNSET else request.renewal_period_days,
        None if request.renewal_period is UNSET else request.renewal_period,
    )
    return {"period_count": period and period.count, "period_unit": period and period.unit}


def _catalog(product: Product) -> list[str]:
    return [feature.slug for feature in product.features]
