"""Prices as they are typed and shown, and what is removed by force."""

from collections.abc import Callable
from typing import Any, TypeVar

import rich_click as click
from click import option

F = TypeVar("F", bound=Callable[..., Any])


def priced(command: F) -> F:
    """`price: str | None`, `currency: str | None`, `sats: int | None`."""
    sats = option("--sats", type=click.IntRange(0), help="The price in sats instead; 0 is free.")
    currency = option("--currency", help="Of the price, such as USD.")
    price = option("--price", metavar="AMOUNT", help="In whole units, such as 25.00; 0 is free.")
    return price(currency(sats(command)))


def forced(command: F) -> F:
    """`force: bool`, `name: str | None`."""
    force = option("--force", is_flag=True, help="Ended orders that never sold go with it. Wants --name.")
    return force(option("--name", help="With --force: the slug once more.")(command))


def price_text(currency: str, minor: int) -> str:
    """`USD 25.00`."""
    from keysat.kit.money import Money

    return f"{currency} {Money(currency, minor).decimal_text()}"
