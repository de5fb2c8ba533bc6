"""Products: create, list, show, edit, activate, deactivate, delete."""

from pathlib import Path
from typing import Any

import rich_click as click
from click import argument, option

from keysat.cli.options import as_json, data_dir, paged
from keysat.cli.output import print_json, show_list, show_one
from keysat.cli.prices import forced, priced


@click.group()
def product() -> None:
    """What is sold. PRODUCT is a product's slug."""


@product.command()
@data_dir
@as_json
@argument("slug")
@option("--name", required=True)
@option("--description")
@priced
@option("--feature", "features", multiple=True, metavar="SLUG:NAME:DESCRIPTION", help="Of its entitlement catalog.")
def create(
    data_dir: Path | None,
    as_json: bool,
    slug: str,
    name: str,
    description: str | None,
    price: str | None,
    currency: str | None,
    sats: int | None,
    features: tuple[str, ...],
) -> None:
    """Write a product: `keysat product create aurora --name Aurora --price 25.00 --currency USD`."""
    from keysat.cli.catalog import given

    fields = given(slug=slug, name=name, description=description)
    _write(data_dir, None, fields, (price, currency, sats), features, as_json=as_json)


@product.command()
@data_dir
@as_json
@argument("product_slug", metavar="PRODUCT")
@option("--name")
@option("--description")
@priced
@option("--feature", "features", multiple=True, metavar="SLUG:NAME:DESCRIPTION", help="The whole catalog anew.")
@option("--no-features", is_flag=True, help="Empty the catalog: tiers may grant any entitlement.")
@option(
    "--tier-price", "tier_prices", multiple=True, metavar="TIER=PRICE", help="For another currency; tier/offer=PRICE."
)
@option("--downgrade-at-renewal/--no-downgrade-at-renewal", default=None, help="Whether buyers may, by themselves.")
def edit(
    data_dir: Path | None,
    as_json: bool,
    product_slug: str,
    name: str | None,
    description: str | None,
    price: str | None,
    currency: str | None,
    sats: int | None,
    features: tuple[str, ...],
    no_features: bool,
    tier_prices: tuple[str, ...],
    downgrade_at_renewal: bool | None,
) -> None:
    """Change what is given, and leave the rest. Another currency wants every tier's price with it."""
    from keysat.cli.catalog import given, money
    from keysat.kit.errors import BadRequest
    from keysat.kit.money import Money

    asked = money(price, currency, sats)
    if tier_prices and asked is None:
        raise BadRequest("--tier-price goes with another --price and --currency.")
    fields = given(name=name, description=description, downgrade_at_renewal=downgrade_at_renewal)
    if no_features:
        fields["entitlements_catalog"] = []
    if tier_prices and asked is not None:
        pairs = (typed.partition("=")[::2] for typed in tier_prices)
        fields["tier_prices"] = {
            one: Money.parse(amount, asked.currency).minor if amount else None for one, amount in pairs
        }
    _write(data_dir, product_slug, fields, (price, currency, sats), features, as_json=as_json)


def _write(
    data_dir: Path | None,
    product_slug: str | None,
    fields: dict[str, Any],
    typed_price: tuple[str | None, str | None, int | None],
    typed_features: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Creates without a product's slug, else edits."""
    import msgspec

    from keysat.catalog import products
    from keysat.catalog.read import product_by_slug
    from keysat.catalog.views import ProductView
    from keysat.cli.catalog import features, money, product_json, product_row
    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.upkeep.shop import Shop

    price = money(*typed_price)
    if price is not None:
        fields |= {"price_currency": price.currency, "price_value": price.minor}
    if typed_features:
        fields["entitlements_catalog"] = features(typed_features)

    async def verb(_shop: Shop, work: Work) -> ProductView:
        if product_slug is None:
            return await products.create(work, msgspec.convert(fields, products.NewProduct))
        found = await product_by_slug(work, product_slug)
        return await products.edit(work, found.id, msgspec.convert(fields, products.ProductEdit))

    made = work_in(data_dir, verb)
    show_one(product_json(made) if as_json else product_row(made), as_json=as_json)


@product.command("list")
@data_dir
@as_json
@paged
def list_products(data_dir: Path | None, as_json: bool, limit: int, cursor: str | None) -> None:
    """By name, inactive ones too."""
    from keysat.catalog.read import products
    from keysat.catalog.views import ProductView
    from keysat.cli.catalog import product_json, product_row
    from keysat.cli.opened import read_in
    from keysat.infra.work import Read
    from keysat.kit.paging import Page
    from keysat.upkeep.shop import Shop

    async def look(_shop: Shop, read: Read) -> Page[ProductView]:
        return await products(read, include_inactive=True, limit=limit, cursor=cursor)

    page = read_in(data_dir, look)
    rows = [(product_json if as_json else product_row)(view) for view in page.items]
    nothing = "There is no product yet: keysat product create aurora --name Aurora --price 25.00 --currency USD"
    show_list(rows, as_json=as_json, nothing=nothing, next_cursor=page.next_cursor)


@product.command()
@data_dir
@as_json
@argument("product_slug", metavar="PRODUCT")
def show(data_dir: Path | None, as_json: bool, product_slug: str) -> None:
    """One product, and the slugs of its tiers."""
    from keysat.catalog.read import policies, product_by_slug
    from keysat.cli.catalog import product_json, product_row
    from keysat.cli.opened import read_in
    from keysat.infra.work import Read
    from keysat.upkeep.shop import Shop

    async def look(_shop: Shop, read: Read) -> dict[str, object]:
        view = await product_by_slug(read, product_slug)
        if as_json:
            return product_json(view)
        tiers = [policy.slug for policy in await policies(read, view)]
        return {**product_row(view), "tiers": tiers, "description": view.description}

    show_one(read_in(data_dir, look), as_json=as_json)


@product.command()
@data_dir
@argument("product_slug", metavar="PRODUCT")
def activate(data_dir: Path | None, product_slug: str) -> None:
    """Show and sell it again."""
    _switch(data_dir, product_slug, active=True)


@product.command()
@data_dir
@argument("product_slug", metavar="PRODUCT")
def deactivate(data_dir: Path | None, product_slug: str) -> None:
    """Neither show nor sell it. What was sold goes on."""
    _switch(data_dir, product_slug, active=False)


def _switch(data_dir: Path | None, product_slug: str, *, active: bool) -> None:
    from keysat.catalog.products import set_active
    from keysat.catalog.read import product_by_slug
    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.upkeep.shop import Shop

    async def verb(_shop: Shop, work: Work) -> None:
        await set_active(work, (await product_by_slug(work, product_slug)).id, active)

    work_in(data_dir, verb)
    click.echo(f"{product_slug} is {'on sale' if active else 'no longer on sale'}.")


@product.command()
@data_dir
@as_json
@argument("product_slug", metavar="PRODUCT")
@forced
def delete(data_dir: Path | None, as_json: bool, product_slug: str, force: bool, name: str | None) -> None:
    """Remove it with its tiers, if nobody ordered it. What was sold stays."""
    from keysat.catalog.read import product_by_slug
    from keysat.checkout.retire import Removed, delete_product
    from keysat.cli.catalog import removed_words
    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.upkeep.shop import Shop

    async def verb(_shop: Shop, work: Work) -> Removed:
        return await delete_product(work, (await product_by_slug(work, product_slug)).id, force, name)

    removed = work_in(data_dir, verb)
    if as_json:
        print_json(removed)
    else:
        click.echo(removed_words(removed))
