"""A product's entitlement catalog: which entitlements its tiers may grant. An empty catalog lets them grant any."""

from collections.abc import Iterable, Sequence

from sqlalchemy import delete, select

from keysat.catalog import checks
from keysat.catalog.tables import Feature, FeatureId, Policy, Product
from keysat.infra.work import Work, flushed
from keysat.kit.errors import BadRequest, Conflict
from keysat.kit.licensekey import check_entitlements


class FeatureInput(checks.Input, frozen=True):
    slug: str
    name: str
    description: str = ""


def check_catalog(features: Sequence[FeatureInput]) -> None:
    slugs = [feature.slug for feature in features]
    check_entitlements(slugs)
    twice = sorted({slug for slug in slugs if slugs.count(slug) > 1})
    if twice:
        raise BadRequest(f"entitlements_catalog names {', '.join(twice)} more than once. Leave one of each.")
    for feature in features:
        checks.name(feature.name)
        checks.text("description", feature.description, checks.DESCRIPTION_MAX)


def check_granted(entitlements: Sequence[str], catalog: Iterable[str]) -> None:
    """Raises BadRequest for an entitlement that a key cannot hold or the product's catalog does not know."""
    check_entitlements(entitlements)
    known = list(catalog)
    unknown = sorted(set(entitlements) - set(known))
    if known and unknown:
        raise BadRequest(
            f"The product's entitlements_catalog has no {', '.join(unknown)}. Add it there first, or choose of: "
            f"{', '.join(known)}."
        )


async def write_features(work: Work, product: Product, wanted: Sequence[FeatureInput]) -> bool:
    """Make the catalog of a locked product this one; a feature that stays keeps its id. True if anything changed.

    Raises Conflict when a tier grants what would no longer be in the catalog.
    """
    check_catalog(wanted)
    here = {feature.slug: feature for feature in product.features}
    if [(one.slug, one.name, one.description) for one in wanted] == [
        (one.slug, one.name, one.description) for one in product.features
    ]:
        return False
    await _check_tiers(work, product, {feature.slug for feature in wanted})
    gone = [feature.id for slug, feature in here.items() if slug not in {one.slug for one in wanted}]
    async with flushed(work, "Something still refers to a feature that would go. Keep it in the catalog."):
        await work.session.execute(delete(Feature).where(Feature.id.in_(gone)))
        for position, one in enumerate(wanted):
            row = here.get(one.slug)
            if row is None:
                row = Feature(id=FeatureId(work.new_id()), product_id=product.id, slug=one.slug)
                work.session.add(row)
            row.name, row.description, row.position = one.name, one.description, position
    return True


async def _check_tiers(work: Work, product: Product, catalog: set[str]) -> None:
    if not catalog:
        return
    tiers = await work.session.execute(
        select(Policy.slug, Policy.entitlements).where(Policy.product_id == product.id).order_by(Policy.slug)
    )
    lost = {slug: sorted(set(granted) - catalog) for slug, granted in tiers}
    named = "; ".join(f"{slug} grants {', '.join(missing)}" for slug, missing in lost.items() if missing)
    if named:
        raise Conflict(f"Tiers grant what this entitlements_catalog does not have: {named}. Change the tiers first.")
