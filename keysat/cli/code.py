"""Discount codes: create, list, show, edit, disable, enable, delete, and the report of who brought the buyers."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click
from click import argument, option

from keysat.cli.options import MOMENT, as_json, data_dir, paged
from keysat.cli.output import show_list, show_one

F = TypeVar("F", bound=Callable[..., Any])
FOREVER = "forever"


def the_code(command: F) -> F:
    """`typed: str`."""
    return argument("typed", metavar="CODE")(command)


def valued(command: F) -> F:
    """What `create` and `edit` both take: the keywords of `_fields`."""
    for one in reversed(
        (
            option("--percent", metavar="NUMBER", help="Takes off so much of the price: 20 or 12.5."),
            option("--off", metavar="AMOUNT", help="Takes off an amount: 10.00 with --currency, else sats."),
            option("--set-price", metavar="AMOUNT", help="What is left to pay: 20.00 with --currency, else sats."),
            option("--max-uses", type=click.IntRange(1), help="How often it can be used."),
            option("--expires", type=MOMENT, help="No use from then on, in UTC: 2026-12-31 or 2026-12-31T18:00."),
            option("--tier", "tiers", multiple=True, metavar="SLUG", help="Only for this tier. Repeat for several."),
            option("--cycles", metavar="N", help="Of a subscription: 6, or forever. Else only the purchase."),
            option("--referrer", metavar="LABEL", help="Who brought the buyer, for the report."),
            option("--description"),
            option("--featured/--not-featured", default=None, help="Shown and applied without being typed."),
        )
    ):
        command = one(command)
    return command


@click.group()
def code() -> None:
    """Discount codes and free-license codes. CODE is what buyers type."""


@code.command()
@data_dir
@as_json
@the_code
@valued
@option("--free", is_flag=True, help="Gives a free license.")
@option("--currency", help="Of --off or --set-price, such as USD; sats without it.")
@option("--product", metavar="SLUG", help="Only for this product.")
def create(
    data_dir: Path | None,
    as_json: bool,
    typed: str,
    free: bool,
    currency: str | None,
    product: str | None,
    **values: Any,
) -> None:
    """Write a code: `keysat code create SPRING --percent 20 --max-uses 100`."""
    import msgspec

    from keysat.catalog.discounts import NewDiscount
    from keysat.catalog.discounts import create as make
    from keysat.cli.catalog import given
    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.kit.currencies import SAT
    from keysat.kit.errors import BadRequest
    from keysat.upkeep.shop import Shop

    async def verb(_shop: Shop, work: Work) -> dict[str, object]:
        worth = _worth(free, values, currency.upper() if currency else SAT)
        if worth is None:
            raise BadRequest("Say what it does: one of --percent, --off, --set-price and --free.")
        kind, amount = worth
        fields = _fields(**values) | given(code=typed, product_slug=product, discount_currency=currency)
        made = await make(work, msgspec.convert(fields | {"kind": kind, "amount": amount}, NewDiscount))
        return await _told(work, made, as_json)

    show_one(work_in(data_dir, verb), as_json=as_json)


@code.command()
@data_dir
@as_json
@the_code
@valued
@option("--no-limit", is_flag=True, help="Can be used without limit.")
@option("--no-expiry", is_flag=True, help="Does not end.")
@option("--all-tiers", is_flag=True, help="For every tier of its product.")
def edit(
    data_dir: Path | None,
    as_json: bool,
    typed: str,
    no_limit: bool,
    no_expiry: bool,
    all_tiers: bool,
    **values: Any,
) -> None:
    """Change what is given, and leave the rest. Its kind, currency and product stay what they were."""
    import msgspec

    from keysat.catalog.discounts import DiscountEdit
    from keysat.catalog.discounts import edit as change
    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.kit.currencies import SAT
    from keysat.kit.errors import BadRequest
    from keysat.upkeep.shop import Shop

    async def verb(_shop: Shop, work: Work) -> dict[str, object]:
        found = await _found(work, typed)
        fields = _fields(**values)
        worth = _worth(False, values, found.currency or SAT)
        if worth is not None:
            if worth[0] != found.kind:
                raise BadRequest(f"{found.code} is of kind {found.kind}, and stays so. Create another code.")
            fields["amount"] = worth[1]
        for cleared, field in ((no_limit, "max_uses"), (no_expiry, "expires_at"), (all_tiers, "policy_slugs")):
            if cleared:
                fields[field] = None
        changed = await change(work, found.id, msgspec.convert(fields, DiscountEdit))
        return await _told(work, changed, as_json)

    show_one(work_in(data_dir, verb), as_json=as_json)


@code.command("list")
@data_dir
@as_json
@paged
def list_codes(data_dir: Path | None, as_json: bool, limit: int, cursor: str | None) -> None:
    """All codes, disabled ones too."""
    from keysat.catalog.discount_read import discounts, slugs_of
    from keysat.cli.opened import read_in
    from keysat.infra.work import Read
    from keysat.upkeep.shop import Shop

    async def look(_shop: Shop, read: Read) -> tuple[list[dict[str, object]], str | None]:
        page = await discounts(read, include_inactive=True, limit=limit, cursor=cursor)
        slugs = await slugs_of(read, page.items)
        return [_shown(one, slugs, as_json) for one in page.items], page.next_cursor

    rows, next_cursor = read_in(data_dir, look)
    show_list(rows, as_json=as_json, nothing="There are no codes yet.", next_cursor=next_cursor)


@code.command()
@data_dir
@as_json
@the_code
def show(data_dir: Path | None, as_json: bool, typed: str) -> None:
    """One code."""
    from keysat.cli.opened import read_in
    from keysat.infra.work import Read
    from keysat.upkeep.shop import Shop

    async def look(_shop: Shop, read: Read) -> dict[str, object]:
        return await _told(read, await _found(read, typed), as_json)

    show_one(read_in(data_dir, look), as_json=as_json)


@code.command()
@data_dir
@the_code
def disable(data_dir: Path | None, typed: str) -> None:
    """It cannot be used any more. Orders that use it go on."""
    _switch(data_dir, typed, False)


@code.command()
@data_dir
@the_code
def enable(data_dir: Path | None, typed: str) -> None:
    """It can be used again."""
    _switch(data_dir, typed, True)


@code.command()
@data_dir
@the_code
def delete(data_dir: Path | None, typed: str) -> None:
    """Remove a code that no order ever used."""
    from keysat.catalog.discounts import delete_discount
    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.upkeep.shop import Shop

    async def verb(_shop: Shop, work: Work) -> str:
        found = await _found(work, typed)
        await delete_discount(work, found.id)
        return found.code

    click.echo(f"{work_in(data_dir, verb)} is gone.")


@code.command()
@data_dir
@as_json
@paged
@option("--since", type=MOMENT, help="In UTC.")
@option("--until", type=MOMENT, help="In UTC, not included.")
def report(
    data_dir: Path | None,
    as_json: bool,
    limit: int,
    cursor: str | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """What codes sold, by referrer and currency."""
    import msgspec

    from keysat.checkout.redemptions import report as sums
    from keysat.cli.catalog import shown
    from keysat.cli.opened import read_in
    from keysat.infra.work import Read
    from keysat.kit.money import Money
    from keysat.upkeep.shop import Shop

    async def look(_shop: Shop, read: Read) -> tuple[list[dict[str, object]], str | None]:
        page = await sums(read, since=since, until=until, limit=limit, cursor=cursor)
        if as_json:
            return [msgspec.to_builtins(line) for line in page.items], page.next_cursor
        rows: list[dict[str, object]] = [
            {
                "referrer": line.referrer_label or None,
                "uses": line.uses,
                "open": line.open_uses,
                "charged": shown(Money(line.price_currency, line.charged_value)),
                "taken off": shown(Money(line.price_currency, line.discount_value)),
                "sats": line.charged_sats,
            }
            for line in page.items
        ]
        return rows, page.next_cursor

    rows, next_cursor = read_in(data_dir, look)
    show_list(rows, as_json=as_json, nothing="No code was used.", next_cursor=next_cursor)


def _switch(data_dir: Path | None, typed: str, active: bool) -> None:
    from keysat.catalog.discounts import set_active
    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.upkeep.shop import Shop

    async def verb(_shop: Shop, work: Work) -> str:
        found = await _found(work, typed)
        return (await set_active(work, found.id, active)).code

    click.echo(f"{work_in(data_dir, verb)} is {'enabled' if active else 'disabled'}.")


async def _found(read: Any, typed: str) -> Any:
    """Raises NotFound."""
    from keysat.catalog.discount_read import discount_of
    from keysat.kit.errors import NotFound

    found = await discount_of(read, typed)
    if found is None:
        raise NotFound(f"There is no discount code {typed!r}.")
    return found


def _worth(free: bool, values: dict[str, Any], currency: str) -> tuple[str, int] | None:
    """Kind and amount; None when neither is said. Raises BadRequest."""
    from keysat.kit.errors import BadRequest
    from keysat.kit.money import Money

    amounts = {
        "fixed_sats": (values["off"], currency),
        "set_price": (values["set_price"], currency),
    }
    said = [(kind, Money.parse(text, unit).minor) for kind, (text, unit) in amounts.items() if text is not None]
    said += [("percent", _points(values["percent"]))] if values["percent"] is not None else []
    said += [("free_license", 0)] if free else []
    if len(said) > 1:
        raise BadRequest("Say one thing that it does: --percent, --off, --set-price or --free.")
    return said[0] if said else None


def _points(percent: str) -> int:
    """Basis points. Raises BadRequest."""
    from keysat.catalog.pricing import BASIS_POINTS
    from keysat.kit.errors import BadRequest

    whole, _, decimals = percent.partition(".")
    points = whole + decimals.ljust(2, "0")
    if not (points.isascii() and points.isdecimal() and len(points) == len(whole) + 2 and int(points) <= BASIS_POINTS):
        raise BadRequest(
            f"{percent[:32]!r} is no percentage: write 20 or 12.5, at most 100, with at most two decimals."
        )
    return int(points)


def _fields(
    *,
    max_uses: int | None,
    expires: datetime | None,
    tiers: tuple[str, ...],
    cycles: str | None,
    referrer: str | None,
    description: str | None,
    featured: bool | None,
    **_worth: str | None,
) -> dict[str, Any]:
    """The admin API's words for what was typed, but for kind and amount."""
    from keysat.cli.catalog import given

    fields = given(
        max_uses=max_uses,
        expires_at=expires,
        policy_slugs=list(tiers) or None,
        referrer_label=referrer,
        description=description,
        featured=featured,
    )
    return fields | (_duration(cycles) if cycles else {})


def _duration(cycles: str) -> dict[str, object]:
    from keysat.kit.errors import BadRequest

    if cycles == FOREVER:
        return {"duration": "forever", "duration_cycles": None}
    if not cycles.isdecimal() or len(cycles) > 9:
        raise BadRequest(f"{cycles!r} is no number of cycles: write 6, or forever.")
    return {"duration": "cycles", "duration_cycles": int(cycles)}


async def _told(read: Any, found: Any, as_json: bool) -> dict[str, object]:
    from keysat.catalog.discount_read import slugs_of

    shown = _shown(found, await slugs_of(read, [found]), as_json)
    return shown if as_json else shown | {"description": found.description or None}


def _shown(found: Any, slugs: Any, as_json: bool) -> dict[str, object]:
    import msgspec

    from keysat.catalog.shapes import discount_code
    from keysat.cli.catalog import shown
    from keysat.kit.money import Money

    if as_json:
        return msgspec.to_builtins(discount_code(found))
    points = Money("EUR", found.amount).decimal_text()
    worth = {
        "percent": f"{points} % off",
        "free_license": "a free license",
        "fixed_sats": f"{shown(Money(found.currency or 'SAT', found.amount))} off",
        "set_price": f"for {shown(Money(found.currency or 'SAT', found.amount))}",
    }
    return {
        "code": found.code,
        "worth": worth[found.kind],
        "product": slugs[found.product_id] if found.product_id else "all",
        "tiers": [slugs[id] for id in found.policy_ids] or "all",
        "used": found.used_count,
        "of": found.max_uses or "unlimited",
        "expires": found.expires_at,
        "cycles": found.cycles or FOREVER,
        "referrer": found.referrer_label,
        "featured": found.featured,
        "active": found.active,
    }
