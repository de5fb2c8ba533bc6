"""Tiers, called policies because clients know them so: create, list, show, edit, archive, publish, hide, delete."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click
from click import argument, option

from keysat.cli.options import as_json, data_dir
from keysat.cli.output import print_json, show_list, show_one
from keysat.cli.prices import forced, priced

F = TypeVar("F", bound=Callable[..., Any])


def the_tier(command: F) -> F:
    """`product_slug: str`, `tier_slug: str`."""
    return argument("product_slug", metavar="PRODUCT")(argument("tier_slug", metavar="TIER")(command))


def valued(command: F) -> F:
    """What `create` and `edit` both take, beside the name: the keywords of `_fields`."""
    for one in reversed(
        (
            option("--description"),
            priced,
            option("--every", metavar="PERIOD", help="Paid again and again: month, 3 months, 30 days, year."),
            option("--days", type=click.IntRange(0), help="How long a license lasts; 0: for ever."),
            option("--grace-days", type=click.IntRange(0), help="How long it goes on working after that."),
            option("--machines", type=click.IntRange(0), help="Seats; 0: unlimited."),
            option("--evict-after-days", type=click.IntRange(1), help="A seat unused for so long makes way."),
            option("--trial-days", type=click.IntRange(0), help="So long for nothing, once for each buyer."),
            option("--trial-needs", type=click.Choice(["email", "fingerprint", "nothing"]), help="To have one once."),
            option("--rank", type=click.IntRange(0), help="The higher tier has the higher one."),
            option("--entitlement", "entitlements", multiple=True, metavar="SLUG", help="Repeat for several."),
            option("--hidden-entitlement", "hidden", multiple=True, metavar="SLUG", help="Granted, but not shown."),
            option("--bullet", "bullets", multiple=True, metavar="TEXT", help="A line of what it offers."),
            option("--highlighted/--not-highlighted", default=None, help="The one to look at first."),
        )
    ):
        command = one(command)
    return command


@click.group()
def policy() -> None:
    """The tiers of a product. PRODUCT and TIER are slugs."""


@policy.command()
@data_dir
@as_json
@the_tier
@option("--name", required=True)
@valued
@option("--private", is_flag=True, help="Given by hand only.")
def create(
    data_dir: Path | None, as_json: bool, product_slug: str, tier_slug: str, private: bool, **typed: Any
) -> None:
    """Write a tier: `keysat policy create aurora pro --name Pro --price 75.00 --entitlement core`.

    Without a price it has its product's.
    """
    from keysat.catalog import policies
    from keysat.catalog.read import product_by_slug
    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.upkeep.shop import Shop

    async def verb(shop: Shop, work: Work) -> dict[str, object]:
        product = await product_by_slug(work, product_slug)
        fields = _fields(product, **typed) | {"product_slug": product_slug, "slug": tier_slug, "public": not private}
        return _shown(shop, product, await policies.create(work, _as(policies.NewPolicy, fields)), as_json)

    show_one(work_in(data_dir, verb), as_json=as_json)


@policy.command()
@data_dir
@as_json
@the_tier
@option("--name")
@valued
@option("--product-price", is_flag=True, help="No price of its own any more.")
@option("--once", is_flag=True, help="Paid once, no longer again and again.")
def edit(
    data_dir: Path | None,
    as_json: bool,
    product_slug: str,
    tier_slug: str,
    product_price: bool,
    once: bool,
    **typed: Any,
) -> None:
    """Change what is given, and leave the rest. Holds for what is sold from now on."""
    from keysat.catalog import policies
    from keysat.cli.catalog import tier
    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.upkeep.shop import Shop

    async def verb(shop: Shop, work: Work) -> dict[str, object]:
        product, found = await tier(work, product_slug, tier_slug)
        fields = _fields(product, **typed)
        if product_price:
            fields["price_value"] = None
        if once:
            fields |= {"is_recurring": False, "renewal_period": None}
        return _shown(shop, product, await policies.edit(work, found.id, _as(policies.PolicyEdit, fields)), as_json)

    show_one(work_in(data_dir, verb), as_json=as_json)


def _fields(
    product: Any,
    *,
    name: str | None,
    description: str | None,
    price: str | None,
    currency: str | None,
    sats: int | None,
    every: str | None,
    days: int | None,
    grace_days: int | None,
    machines: int | None,
    evict_after_days: int | None,
    trial_days: int | None,
    trial_needs: str | None,
    rank: int | None,
    entitlements: tuple[str, ...],
    hidden: tuple[str, ...],
    bullets: tuple[str, ...],
    highlighted: bool | None,
) -> dict[str, Any]:
    """The admin API's words for what was typed. A grace holds for the tier whether it recurs or not."""
    from keysat.cli.catalog import DAY_SECONDS, given, money_of, period

    asked = money_of(product, price, currency, sats)
    return given(
        name=name,
        description=description,
        price_value=asked.minor if asked else None,
        is_recurring=True if every else None,
        renewal_period=period(every) if every else None,
        duration_seconds=days * DAY_SECONDS if days is not None else None,
        grace_seconds=grace_days * DAY_SECONDS if grace_days is not None else None,
        grace_period_days=grace_days,
        max_machines=machines,
        seats_evict_after_days=evict_after_days,
        trial_days=trial_days,
        trial_needs=trial_needs,
        tier_rank=rank,
        entitlements=entitlements,
        hidden_entitlements=hidden,
        marketing_bullets=bullets,
        highlighted=highlighted,
    )


@policy.command("list")
@data_dir
@as_json
@argument("product_slug", metavar="PRODUCT")
def list_policies(data_dir: Path | None, as_json: bool, product_slug: str) -> None:
    """All tiers of a product by price, private and archived ones too."""
    from keysat.catalog.read import policies, product_by_slug
    from keysat.cli.opened import read_in
    from keysat.infra.work import Read
    from keysat.upkeep.shop import Shop

    async def look(shop: Shop, read: Read) -> list[dict[str, object]]:
        product = await product_by_slug(read, product_slug)
        return [_shown(shop, product, one, as_json) for one in await policies(read, product)]

    nothing = f"{product_slug} has no tier, and is sold as it is."
    show_list(read_in(data_dir, look), as_json=as_json, nothing=nothing)


@policy.command()
@data_dir
@as_json
@the_tier
def show(data_dir: Path | None, as_json: bool, product_slug: str, tier_slug: str) -> None:
    """One tier, with its offers."""
    from keysat.cli.catalog import tier
    from keysat.cli.opened import read_in
    from keysat.infra.work import Read
    from keysat.upkeep.shop import Shop

    async def look(shop: Shop, read: Read) -> dict[str, object]:
        return _shown(shop, *await tier(read, product_slug, tier_slug), as_json)

    show_one(read_in(data_dir, look), as_json=as_json)


@policy.command()
@data_dir
@the_tier
def archive(data_dir: Path | None, product_slug: str, tier_slug: str) -> None:
    """Hide it and sell it no more. What was sold goes on."""
    _switch(data_dir, product_slug, tier_slug, "set_archived", True, "archived")


@policy.command()
@data_dir
@the_tier
def unarchive(data_dir: Path | None, product_slug: str, tier_slug: str) -> None:
    """Bring an archived tier back."""
    _switch(data_dir, product_slug, tier_slug, "set_archived", False, "back from the archive")


@policy.command()
@data_dir
@the_tier
def publish(data_dir: Path | None, product_slug: str, tier_slug: str) -> None:
    """Sell it to anyone."""
    _switch(data_dir, product_slug, tier_slug, "set_public", True, "sold to anyone")


@policy.command()
@data_dir
@the_tier
def hide(data_dir: Path | None, product_slug: str, tier_slug: str) -> None:
    """Give it by hand only."""
    _switch(data_dir, product_slug, tier_slug, "set_public", False, "given by hand only")


def _switch(data_dir: Path | None, product_slug: str, tier_slug: str, verb_name: str, value: bool, words: str) -> None:
    from keysat.catalog import policies
    from keysat.cli.catalog import tier
    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.upkeep.shop import Shop

    act = {"set_archived": policies.set_archived, "set_public": policies.set_public}[verb_name]

    async def verb(_shop: Shop, work: Work) -> None:
        _, found = await tier(work, product_slug, tier_slug)
        await act(work, found.id, value)

    work_in(data_dir, verb)
    click.echo(f"{tier_slug} is {words}.")


@policy.command()
@data_dir
@as_json
@the_tier
@forced
def delete(
    data_dir: Path | None, as_json: bool, product_slug: str, tier_slug: str, force: bool, name: str | None
) -> None:
    """Remove it with its offers, if nobody ordered it. What was sold stays: archive it."""
    from keysat.checkout.retire import Removed, delete_policy
    from keysat.cli.catalog import removed_words, tier
    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.upkeep.shop import Shop

    async def verb(_shop: Shop, work: Work) -> Removed:
        _, found = await tier(work, product_slug, tier_slug)
        return await delete_policy(work, found.id, force, name)

    removed = work_in(data_dir, verb)
    if as_json:
        print_json(removed)
    else:
        click.echo(removed_words(removed))


def _as(kind: Any, fields: dict[str, Any]) -> Any:
    import msgspec

    return msgspec.convert(fields, kind)


def _shown(shop: Any, product: Any, found: Any, as_json: bool) -> dict[str, object]:
    from keysat.cli.catalog import policy_json, policy_row

    return policy_json(shop, product, found) if as_json else policy_row(product, found)
