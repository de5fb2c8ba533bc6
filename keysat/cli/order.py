"""Orders: list, show, settle, refuse, retry."""

from pathlib import Path

import rich_click as click
from click import argument, option

from keysat.cli.options import as_json, data_dir, paged
from keysat.cli.output import show_list, show_one
from keysat.cli.prices import price_text


@click.group()
def order() -> None:
    """The orders. REFERENCE is an invoice id, a support reference (KS-...) or an order's own id."""


@order.command("list")
@data_dir
@as_json
@paged
@option("--status", help="draft, awaiting, processing, paid, fulfilled, underpaid, expired, invalid or review.")
def list_orders(data_dir: Path | None, as_json: bool, limit: int, cursor: str | None, status: str | None) -> None:
    """The newest first."""
    from keysat.checkout.read import OrderFilter, orders
    from keysat.checkout.tables import Order, OrderStatus
    from keysat.cli.opened import inside
    from keysat.kit.errors import BadRequest
    from keysat.kit.paging import Page
    from keysat.upkeep.shop import Shop

    if status is not None and status not in tuple(OrderStatus):
        raise BadRequest(f"There is no status {status!r}; there are {', '.join(OrderStatus)}.")
    wanted = OrderFilter(status=OrderStatus(status) if status else None)

    async def act(shop: Shop) -> Page[Order]:
        async with shop.read() as read:
            return await orders(read, wanted, limit, cursor)

    page = inside(data_dir, act, seals=False)
    rows = [
        {
            "reference": row.support_reference,
            "status": row.status,
            "purpose": row.purpose,
            "price": price_text(row.listed_currency, row.listed_value),
            "sats": row.amount_sats,
            "created_at": row.created_at,
            **({"invoice_id": row.invoice_id, "license_id": row.license_id} if as_json else {}),
        }
        for row in page.items
    ]
    show_list(rows, as_json=as_json, nothing="There are no such orders.", next_cursor=page.next_cursor)


@order.command()
@data_dir
@as_json
@argument("reference")
def show(data_dir: Path | None, as_json: bool, reference: str) -> None:
    """One order, and what its provider last showed."""
    from sqlalchemy import select

    from keysat.checkout.read import find_order
    from keysat.cli.opened import inside
    from keysat.payments.tables import Attempt
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> dict[str, object]:
        async with shop.read() as read:
            row = await find_order(read, reference)
            attempts = (await read.session.scalars(select(Attempt).where(Attempt.order_id == row.id))).all()
        return {
            "id": row.id,
            "reference": row.support_reference,
            "invoice_id": row.invoice_id,
            "status": row.status,
            "purpose": row.purpose,
            "price": price_text(row.listed_currency, row.listed_value),
            "sats": row.amount_sats,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "next_look_at": row.next_look_at,
            "paid_at": row.paid_at,
            "paid_how": row.paid_how,
            "failure": row.failure,
            "license_id": row.license_id,
            "attempts": [
                f"{one.provider_invoice_id or one.failed or 'not found'}: {one.seen_status or 'not looked at yet'}"
                for one in attempts
            ],
        }

    show_one(inside(data_dir, act, seals=False), as_json=as_json)


@order.command()
@data_dir
@argument("reference")
@option("--yes", is_flag=True, help="Do not ask.")
def settle(data_dir: Path | None, reference: str, yes: bool) -> None:
    """Take the order for paid, and hand over what it buys: cash, a late payment, a review that ended well."""
    from keysat.checkout.operate import accept
    from keysat.checkout.read import find_order
    from keysat.checkout.tables import OrderId
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.shop import Shop

    if not yes:
        click.confirm(f"Take {reference} for paid", abort=True)

    async def act(shop: Shop) -> str:
        async with shop.work(CLI) as work:
            found = await find_order(work, reference)
            row = await accept(work, OrderId(found.id))
            return f"{row.support_reference} is {row.status}."

    click.echo(inside(data_dir, act))


@order.command()
@data_dir
@argument("reference")
def refuse(data_dir: Path | None, reference: str) -> None:
    """End a review, or an order nobody will pay; of one that has ended, give the use of its code back."""
    from keysat.checkout import operate
    from keysat.checkout.read import find_order
    from keysat.checkout.tables import OrderId
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> str:
        async with shop.work(CLI) as work:
            found = await find_order(work, reference)
            row = await operate.refuse(work, OrderId(found.id))
            return f"{row.support_reference} is {row.status}."

    click.echo(inside(data_dir, act))


@order.command()
@data_dir
@argument("reference")
def retry(data_dir: Path | None, reference: str) -> None:
    """Look at the provider now, and fulfil what is paid and was not fulfilled."""
    from keysat.checkout.collect import collect
    from keysat.checkout.read import find_order
    from keysat.checkout.tables import OrderId
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> str:
        async with shop.read() as read:
            found = await find_order(read, reference)
        await collect(shop.desk(shop.now(), CLI), OrderId(found.id))
        async with shop.read() as read:
            row = await find_order(read, reference)
            return f"{row.support_reference} is {row.status}."

    click.echo(inside(data_dir, act))
