"""Customers: finding them, what is kept about one of them, and erasing it."""

from pathlib import Path
from uuid import UUID

import rich_click as click
from click import argument, option

from keysat.cli.options import as_json, data_dir, paged
from keysat.cli.output import print_json, show_list

WHOSE = argument("whose", metavar="EMAIL|ID")


@click.group()
def customer() -> None:
    """Who buys."""


@customer.command("list")
@data_dir
@as_json
@paged
@argument("text", metavar="[TEXT]", required=False)
def list_customers(data_dir: Path | None, as_json: bool, limit: int, cursor: str | None, text: str | None) -> None:
    """The newest first; with TEXT, those whose address or name begins so, in that order."""
    from keysat.cli.opened import inside
    from keysat.customers.read import CustomerRow, customers, customers_beginning
    from keysat.kit.paging import Page
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> Page[CustomerRow]:
        async with shop.read() as read:
            if text:
                return await customers_beginning(read, text, limit, cursor)
            return await customers(read, limit, cursor)

    page = inside(data_dir, act, seals=False)
    rows = [{"id": row.id, "email": row.email, "name": row.name, "created_at": row.created_at} for row in page.items]
    show_list(rows, as_json=as_json, nothing="There are no such customers.", next_cursor=page.next_cursor)


@customer.command()
@data_dir
@WHOSE
def export(data_dir: Path | None, whose: str) -> None:
    """Print all that is kept about a customer, as JSON."""
    from keysat.cli.identified import customer_id_of
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.happenings import CustomerExported
    from keysat.upkeep.person import personal_data
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> dict[str, object]:
        async with shop.work(CLI) as work:
            customer_id = await customer_id_of(work, whose)
            found = await personal_data(work, customer_id)
            work.record(CustomerExported(customer_id))
            return {"made_at": work.now, "customer_id": customer_id, "tables": found}

    print_json(inside(data_dir, act))


@customer.command()
@data_dir
@WHOSE
@option("--yes", is_flag=True, help="Do not ask.")
def erase(data_dir: Path | None, whose: str, yes: bool) -> None:
    """Forget a customer for ever: address, name, notes, and from where they acted. The books and the keys stay.

    What the payment provider keeps about them, and backups that were made before, are not reached.
    """
    from keysat.cli.identified import customer_id_of
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.shop import Shop
    from keysat.web.erasing import erase_customer

    if not yes:
        click.confirm("This cannot be undone. Erase?", abort=True)

    async def act(shop: Shop) -> UUID:
        async with shop.work(CLI) as work:
            customer_id = await customer_id_of(work, whose)
            await erase_customer(work, shop.vault, customer_id)
            return customer_id

    click.echo(f"Customer {inside(data_dir, act)} is erased.")
