"""Verbs on offers: other prices and periods of a tier, such as yearly beside monthly."""

from uuid import UUID

from msgspec import UNSET, UnsetType
from sqlalchemy import delete

from keysat.catalog import checks, read
from keysat.catalog.happenings import OfferCreated, OfferDeleted, OfferUpdated
from keysat.catalog.rows import locked_policy
from keysat.catalog.tables import Offer, OfferId, Policy, Product
from keysat.catalog.views import OfferView
from keysat.infra.work import Work, flushed
from keysat.kit.errors import BadRequest, NotFound
from keysat.kit.periods import Period

OFFERS_MAX = 20
"""Offers of one tier."""


class NewOffer(checks.Input, frozen=True, kw_only=True):
    """`price_value` is in minor units of the product's currency. Without a period it is the tier's own."""

    slug: str
    price_value: int
    renewal_period_days: int | None = None
    renewal_period: checks.PeriodInput | None = None
    active: bool = True


class OfferEdit(checks.Input, frozen=True, kw_only=True):
    """The period of an offer stays what it was: another period is another offer."""

    price_value: int | UnsetType = UNSET
    active: bool | UnsetType = UNSET


async def create(work: Work, policy_id: UUID, request: NewOffer) -> OfferView:
    """Raises NotFound for the tier; BadRequest; Conflict when the slug is taken."""
    product, policy = await locked_policy(work, policy_id)
    checks.slug(request.slug)
    checks.price("price_value", request.price_value, product.price_currency)
    if len(policy.offers) >= OFFERS_MAX:
        raise BadRequest(f"The tier {policy.slug} has {OFFERS_MAX} offers, which is the most. Delete some.")
    period = _period(policy, request)
    row = Offer(id=OfferId(work.new_id()), policy_id=policy.id, slug=request.slug, price_value=request.price_value)
    row.period_count = period.count if period is not None else None
    row.period_unit = period.unit if period is not None else None
    row.active = request.active
    row.created_at = row.updated_at = work.now
    async with flushed(work, f"The tier {policy.slug} has an offer {row.slug} already. Choose another slug."):
        work.session.add(row)
    work.record(OfferCreated(offer_id=row.id, policy_id=row.policy_id, slug=row.slug, price_value=row.price_value))
    return read.offer_view(row)


async def edit(work: Work, policy_id: UUID, offer_id: UUID, request: OfferEdit) -> OfferView:
    """Raises NotFound, also for an offer of another tier; BadRequest."""
    product, row = await _offer(work, policy_id, offer_id)
    changed: list[str] = []
    if request.price_value is not UNSET and request.price_value != row.price_value:
        checks.price("price_value", request.price_value, product.price_currency)
        row.price_value = request.price_value
        changed.append("price_value")
    if request.active is not UNSET and request.active != row.active:
        row.active = request.active
        changed.append("active")
    if changed:
        tell(work, row, changed)
    return read.offer_view(row)


def tell(work: Work, row: Offer, changed: list[str]) -> None:
    """Its `changed` fields are written: that is dated and told."""
    row.updated_at = work.now
    work.record(
        OfferUpdated(
            offer_id=row.id,
            policy_id=row.policy_id,
            slug=row.slug,
            price_value=row.price_value,
            active=row.active,
            changed=changed,
        )
    )


async def delete_offer(work: Work, policy_id: UUID, offer_id: UUID) -> None:
    """Raises NotFound; Conflict when it was sold."""
    _, row = await _offer(work, policy_id, offer_id)
    async with flushed(work, f"The offer {row.slug} was sold. Set it inactive instead."):
        await work.session.execute(delete(Offer).where(Offer.id == row.id))
    work.record(OfferDeleted(row.id, row.policy_id, row.slug))


async def _offer(work: Work, policy_id: UUID, offer_id: UUID) -> tuple[Product, Offer]:
    product, policy = await locked_policy(work, policy_id)
    row = next((offer for offer in policy.offers if offer.id == offer_id), None)
    if row is None:
        raise NotFound(f"The tier {policy.slug} has no offer {offer_id}.")
    return product, row


def _period(policy: Policy, request: NewOffer) -> Period | None:
    period = checks.one_period(request.renewal_period_days, request.renewal_period)
    if period is not None and not policy.is_recurring:
        raise BadRequest(f"The tier {policy.slug} does not recur, so its offers have no period. Leave it out.")
    return period
