"""Offers, other prices and periods of a tier: create, edit, list, delete."""

from pathlib import Path

import rich_click as click
from click import argument, option

from keysat.cli.options import as_json, data_dir
from keysat.cli.output import show_list, show_one
from keysat.cli.policy import the_tier
from keysat.cli.prices import priced


@click.group()
def offer() -> None:
    """Other prices of a tier, such as yearly beside monthly. PRODUCT, TIER and OFFER are slugs."""


@offer.command()
@data_dir
@as_json
@the_tier
@argument("slug", metavar="OFFER")
@priced
@option("--every", metavar="PERIOD", help="Instead of the tier's: month, 3 months, 30 days, year.")
def create(
    data_dir: Path | None,
    as_json: bool,
    product_slug: str,
    tier_slug: str,
    slug: str,
    price: str | None,
    currency: str | None,
    sats: int | None,
    every: str | None,
) -> None:
    """Write an offer: `keysat offer create aurora pro yearly --price 750.00 --every year`."""
    import msgspec

    from keysat.catalog import offers
    from keysat.cli.catalog import given, money_of, offer_row, period, tier
    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.kit.errors import BadRequest
    from keysat.upkeep.shop import Shop

    async def verb(_shop: Shop, work: Work) -> dict[str, object]:
        product, policy = await tier(work, product_slug, tier_slug)
        asked = money_of(product, price, currency, sats)
        if asked is None:
            raise BadRequest("An offer has a price of its own: give --price or --sats.")
        fields = given(slug=slug, price_value=asked.minor, renewal_period=period(every) if every else None)
        made = await offers.create(work, policy.id, msgspec.convert(fields, offers.NewOffer))
        return offer_row(product, policy, made)

    show_one(work_in(data_dir, verb), as_json=as_json)


@offer.command()
@data_dir
@as_json
@the_tier
@argument("slug", metavar="OFFER")
@priced
@option("--active/--inactive", default=None, help="Whether it can be bought.")
def edit(
    data_dir: Path | None,
    as_json: bool,
    product_slug: str,
    tier_slug: str,
    slug: str,
    price: str | None,
    currency: str | None,
    sats: int | None,
    active: bool | None,
) -> None:
    """Change its price, or whether it can be bought. Another period is another offer."""
    import msgspec

    from keysat.catalog import offers
    from keysat.cli.catalog import given, money_of, offer_of, offer_row, tier
    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.upkeep.shop import Shop

    async def verb(_shop: Shop, work: Work) -> dict[str, object]:
        product, policy = await tier(work, product_slug, tier_slug)
        asked = money_of(product, price, currency, sats)
        fields = given(price_value=asked.minor if asked else None, active=active)
        found = offer_of(policy, slug)
        made = await offers.edit(work, policy.id, found.id, msgspec.convert(fields, offers.OfferEdit))
        return offer_row(product, policy, made)

    show_one(work_in(data_dir, verb), as_json=as_json)


@offer.command("list")
@data_dir
@as_json
@the_tier
def list_offers(data_dir: Path | None, as_json: bool, product_slug: str, tier_slug: str) -> None:
    """All offers of a tier, by price."""
    from keysat.cli.catalog import offer_row, tier
    from keysat.cli.opened import read_in
    from keysat.infra.work import Read
    from keysat.upkeep.shop import Shop

    async def look(_shop: Shop, read: Read) -> list[dict[str, object]]:
        product, policy = await tier(read, product_slug, tier_slug)
        return [offer_row(product, policy, one) for one in policy.offers]

    show_list(read_in(data_dir, look), as_json=as_json, nothing=f"{tier_slug} has no offers beside its own price.")


@offer.command()
@data_dir
@the_tier
@argument("slug", metavar="OFFER")
def delete(data_dir: Path | None, product_slug: str, tier_slug: str, slug: str) -> None:
    """Remove an offer that was never sold."""
    from keysat.catalog.offers import delete_offer
    from keysat.cli.catalog import offer_of, tier
    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.upkeep.shop import Shop

    async def verb(_shop: Shop, work: Work) -> None:
        _, policy = await tier(work, product_slug, tier_slug)
        await delete_offer(work, policy.id, offer_of(policy, slug).id)

    work_in(data_dir, verb)
    click.echo(f"{slug} is gone.")
