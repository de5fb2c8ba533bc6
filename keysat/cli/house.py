"""Running the house: serve, init, demo, migrate, doctor, and what is kept for how long."""

import sys
from pathlib import Path

import rich_click as click
from click import option

from keysat.cli.options import as_json, data_dir

PORT = click.IntRange(0, 65535)


def show_admin_key(key: str) -> None:
    click.echo(f"Admin key: {key}")
    click.echo("It is shown only now: keep it in your password manager.")
    sys.stdout.flush()


@click.command()
@data_dir
@option("--port", type=PORT, help="Instead of the port in KEYSAT_BIND (8080).")
def serve(data_dir: Path | None, port: int | None) -> None:
    """Serve the shop until SIGTERM or Ctrl-C. A first start sets up a live shop."""
    import gc

    gc.disable()  # until it answers: a start leaves nothing behind, and looking for it would take a sixth of its time
    from keysat import daemon
    from keysat.infra.settings import load

    settings = load(data_dir=data_dir, port=port)
    account = "keysat account add NAME --role owner" + (f" --data-dir {data_dir}" if data_dir else "")

    def show(key: str) -> None:
        show_admin_key(key)
        click.echo(f"For the pages at {settings.public_url}/admin make an account: {account}")
        sys.stdout.flush()

    daemon.serve(settings, show)


@click.command()
@data_dir
@option("--sandbox", is_flag=True, help="For play money only; cannot be changed later.")
@option("--owner", default="owner", show_default=True, help="The name of the first account, for the pages at /admin.")
@option("--ask", is_flag=True, help="Ask for its password, instead of making one.")
def init(data_dir: Path | None, sandbox: bool, owner: str, ask: bool) -> None:
    """Set up a shop in the data directory: database, vault key, issuer key, admin key, and an account for its owner."""
    from keysat.cli.account import add_account, typed_password
    from keysat.cli.opened import inside
    from keysat.infra.house import Mode
    from keysat.kit.errors import Conflict
    from keysat.operators.accounts import has_accounts
    from keysat.upkeep.opening import Founding
    from keysat.upkeep.shop import Shop

    wanted = Mode.SANDBOX if sandbox else Mode.LIVE

    async def act(shop: Shop) -> None:
        if shop.mode != wanted:
            raise Conflict(f"There is a {shop.mode} shop in {shop.settings.data_dir} already: choose another folder.")
        async with shop.read() as read:
            has_owner = await has_accounts(read)
        if not has_owner:
            await add_account(shop, owner, "owner", typed_password() if ask else None)
        click.echo(f"A {shop.mode} shop is set up in {shop.settings.data_dir}. Start it with `keysat serve`.")

    inside(data_dir, act, founding=Founding(wanted, show_admin_key))


@click.command()
@option("--port", type=PORT, help="Of the shop (8080); the wallet takes the next one, or any that is free.")
@option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("keysat-demo"),
    show_default=True,
    help="An empty folder, or that of an earlier demo.",
)
@option("--fast-forward", metavar="SPAN", help="Put the clock of that demo forward by 31d, 12h, 90m or 45s, and end.")
def demo(port: int | None, data_dir: Path, fast_forward: str | None) -> None:
    """Show a shop that sells for play money: from an empty folder to a page you can click."""
    from keysat import demo as demonstration
    from keysat.infra.settings import surroundings

    settings, ignored = demonstration.settings_of(surroundings(), data_dir, port)
    if ignored:
        click.echo(f"The demo keeps to its own folder and leaves these settings aside: {', '.join(ignored)}.", err=True)

    def say(line: str) -> None:
        click.echo(line)
        sys.stdout.flush()

    if fast_forward is None:
        demonstration.run(settings, say)
    else:
        demonstration.fast_forward(settings, fast_forward, say)


@click.command()
@data_dir
def migrate(data_dir: Path | None) -> None:
    """Bring the database to this release's schema. `serve` does so by itself."""
    import asyncio

    from keysat.infra import migrate as migration
    from keysat.infra.private import keep_new_files_private
    from keysat.infra.settings import load
    from keysat.infra.store import Store
    from keysat.upkeep.opening import explained

    settings = load(data_dir=data_dir)

    async def run() -> migration.Migrated:
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        store = Store(settings.database_url)
        try:
            return await migration.migrate(store)
        finally:
            await store.close()

    keep_new_files_private()
    with explained(settings):
        done = asyncio.run(run())
    if done.is_ahead:
        click.echo(f"The database is at {done.after}, which is newer than this release and can be used with it.")
    elif done.before == done.after:
        click.echo(f"The database is at {done.after}: there is nothing to do.")
    else:
        click.echo(f"The database went from {done.before or 'nothing'} to {done.after}.")


@click.command()
@data_dir
@as_json
def doctor(data_dir: Path | None, as_json: bool) -> None:
    """Check that what must always hold does hold. Exit code 1 when it does not.

    What keeps the shop from selling is a warning, and no reason for another exit code.
    """
    from keysat.cli.examined import examine, show_findings
    from keysat.cli.opened import inside

    show_findings(*inside(data_dir, examine, seals=False), as_json=as_json)


@click.command()
@data_dir
@as_json
def retention(data_dir: Path | None, as_json: bool) -> None:
    """What is kept for how long. KEYSAT_KEEP_DAYS changes the days of what has a name; all else is kept for good."""
    from keysat.cli.output import show_list
    from keysat.daemon import KEPT as OF_THE_DOORS
    from keysat.infra.settings import load
    from keysat.upkeep.retention import KEPT, terms

    told = terms(load(data_dir=data_dir).keep_days, (*KEPT, *OF_THE_DOORS))
    rows = [{"what": one.what, "since": one.since, "days": round(one.span.total_seconds() / 86_400, 1)} for one in told]
    named = [row | {"name": one.name or None} for row, one in zip(rows, told, strict=True)]
    show_list(named, as_json=as_json, nothing="")
