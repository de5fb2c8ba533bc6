"""Rates: what a bitcoin costs, as the sources say or as pinned."""

from decimal import Decimal, InvalidOperation
from pathlib import Path

import rich_click as click
from click import argument

from keysat.cli.options import as_json, data_dir
from keysat.cli.output import show_list


@click.group()
def rate() -> None:
    """The price of bitcoin that this shop sells at."""


@rate.command("list")
@data_dir
@as_json
def list_rates(data_dir: Path | None, as_json: bool) -> None:
    """Pins and, for each other currency on sale, what the sources say now."""
    from sqlalchemy import select

    from keysat.catalog.tables import Product
    from keysat.cli.opened import inside
    from keysat.kit.currencies import SAT
    from keysat.payments.rates.board import RateUnavailable
    from keysat.payments.rates.pins import all_pins
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> list[dict[str, object]]:
        async with shop.read() as read:
            pins = await all_pins(read)
            sold = await read.session.scalars(select(Product.price_currency).distinct())
            currencies = sorted({*pins, *sold} - {SAT})
        rows: list[dict[str, object]] = []
        for currency in currencies:
            try:
                known = await shop.board.rate(currency, pins.get(currency))
                price = known.rate.decimal_text()
                rows.append({"currency": currency, "price_of_one_btc": price, "source": known.source, "at": known.at})
            except RateUnavailable:
                rows.append({"currency": currency, "price_of_one_btc": None, "source": "none agree", "at": None})
        return rows

    show_list(inside(data_dir, act, seals=False), as_json=as_json, nothing="Nothing is priced in a currency yet.")


@rate.command()
@data_dir
@argument("currency")
@argument("price")
def pin(data_dir: Path | None, currency: str, price: str) -> None:
    """Sell at this price of one bitcoin, whatever the sources say: `keysat rate pin USD 50000`."""
    from keysat.cli.opened import CLI, inside
    from keysat.kit.errors import BadRequest
    from keysat.payments.rates.pins import set_pin
    from keysat.upkeep.shop import Shop

    try:
        amount = Decimal(price)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise BadRequest(f"{price!r} is no price: write 50000 or 50000.50.")

    async def act(shop: Shop) -> None:
        async with shop.work(CLI) as work:
            await set_pin(work, currency.upper(), amount)

    inside(data_dir, act)
    click.echo(f"One bitcoin is {amount:f} {currency.upper()} until it is unpinned.")


@rate.command()
@data_dir
@argument("currency")
def unpin(data_dir: Path | None, currency: str) -> None:
    """Go back to what the sources say."""
    from keysat.cli.opened import CLI, inside
    from keysat.payments.rates.pins import clear_pin
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> bool:
        async with shop.work(CLI) as work:
            return await clear_pin(work, currency.upper())

    was_pinned = inside(data_dir, act)
    click.echo(f"{currency.upper()} follows the sources." if was_pinned else f"{currency.upper()} was not pinned.")
