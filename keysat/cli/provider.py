"""Payment providers: connect, list, check, disconnect."""

from pathlib import Path
from uuid import UUID

import rich_click as click
from click import argument, option

from keysat.cli.options import as_json, data_dir
from keysat.cli.output import show_list, show_one


@click.group()
def provider() -> None:
    """The payment providers this shop is connected to."""


@provider.command()
@data_dir
@argument("name", metavar="NAME")
@option("--url", help="Where this server reaches it. Zaprite: only if not its own.")
@option("--api-key", prompt="API key", hide_input=True, help="Asked for when left out: so it is in no history.")
@option("--store", help="The store's id (BTCPay).")
@option("--public-url", help="Where buyers reach it, if elsewhere.")
@option("--label", help="A name for your eyes (Zaprite). With the word sandbox its money is play money.")
@option("--profile", type=click.UUID, help="The merchant profile that sells through it, if not the default one.")
def connect(
    data_dir: Path | None,
    name: str,
    url: str | None,
    api_key: str,
    store: str | None,
    public_url: str | None,
    label: str | None,
    profile: UUID | None,
) -> None:
    """Connect an account: `keysat provider connect btcpay --url ... --store ...`."""
    from keysat.cli.opened import CLI, inside
    from keysat.payments import connections
    from keysat.upkeep.shop import Shop

    given = {"url": url, "api_key": api_key, "store": store, "public_url": public_url, "label": label}
    fields = {field: value for field, value in given.items() if value}

    async def act(shop: Shop) -> UUID:
        return await connections.connect(shop.office(shop.now(), CLI), name, fields, profile)

    click.echo(f"Connected: {inside(data_dir, act)}. A running daemon takes it up at once.")


@provider.command("list")
@data_dir
@as_json
def list_connections(data_dir: Path | None, as_json: bool) -> None:
    """All connections, the oldest first."""
    from sqlalchemy import select

    from keysat.cli.opened import inside
    from keysat.payments.tables import ConnectionRow
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> list[dict[str, object]]:
        async with shop.read() as read:
            rows = await read.session.scalars(select(ConnectionRow).order_by(ConnectionRow.connected_at))
            return [
                {
                    "id": row.id,
                    "provider": row.provider,
                    "status": row.status,
                    "network": row.network,
                    "url": row.base_url,
                    "account": row.account_id,
                    "connected_at": row.connected_at,
                    "checked_at": row.checked_at,
                    **({"health": row.health, "label": row.label, "public_url": row.public_url} if as_json else {}),
                }
                for row in rows
            ]

    show_list(inside(data_dir, act), as_json=as_json, nothing="No provider is connected yet.")


@provider.command()
@data_dir
@as_json
@argument("connection_id", type=click.UUID)
def check(data_dir: Path | None, as_json: bool, connection_id: UUID) -> None:
    """Look at the account now. Exit code 1 when it cannot take payments."""
    import msgspec

    from keysat.cli.opened import CLI, inside
    from keysat.payments import check as checking
    from keysat.payments.provider import Health
    from keysat.payments.tables import ConnectionId
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> Health:
        till = await shop.tills.get(ConnectionId(connection_id))
        return await checking.check(shop.office(shop.now(), CLI), till)

    found = inside(data_dir, act)
    show_one(msgspec.to_builtins(found), as_json=as_json)
    if not (found.reachable and found.authorized) or found.missing:
        raise SystemExit(1)


@provider.command()
@data_dir
@argument("connection_id", type=click.UUID)
def repair(data_dir: Path | None, connection_id: UUID) -> None:
    """Write the webhook anew, so that both sides have the same secret. Exit code 1 when it is not well then."""
    from keysat.cli.opened import CLI, inside
    from keysat.payments import check as checking
    from keysat.payments.provider import Health
    from keysat.payments.tables import ConnectionId
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> Health:
        return await checking.repair(shop.office(shop.now(), CLI), shop.tills, ConnectionId(connection_id))

    found = inside(data_dir, act)
    for fault in found.webhook_faults:
        click.echo(fault)
    if not found.webhook_ok:
        click.echo("The webhook is not well. Payments are still found, a little later, by asking.")
        raise SystemExit(1)
    click.echo("The webhook is registered.")


@provider.command()
@data_dir
@argument("connection_id", type=click.UUID)
@option("--revoke-now", is_flag=True, help="Give the key back at once: open invoices are not watched any more.")
def disconnect(data_dir: Path | None, connection_id: UUID, revoke_now: bool) -> None:
    """Take no more orders through it. Its key is given back once nothing can be paid through it any more."""
    from keysat.cli.opened import CLI, inside
    from keysat.payments.disconnect import Parted, part
    from keysat.payments.tables import ConnectionId
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> Parted:
        till = await shop.tills.get(ConnectionId(connection_id))
        return await part(shop.office(shop.now(), CLI), till, at_once=revoke_now)

    parted = inside(data_dir, act)
    click.echo("It was disconnected before." if parted.is_noop else "Disconnected.")
    for warning in parted.warnings:
        click.echo(warning)
