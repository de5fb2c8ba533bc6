"""The move from the published server."""

from pathlib import Path

import rich_click as click
from click import argument, option

from keysat.cli.options import data_dir


@click.command("import")
@data_dir
@argument("file", type=click.Path(dir_okay=False, path_type=Path))
@option("--dry-run", is_flag=True, help="Say what it would do, and leave nothing.")
def import_shop(data_dir: Path | None, file: Path, dry_run: bool) -> None:
    """Bring a shop of the published server here: stop that server, and give its SQLite FILE.

    Every key it ever sold holds here afterwards. It can be repeated: what is here stays as it is.
    """
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.imports.bring import bring
    from keysat.upkeep.imports.report import Report
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> Report:
        return await bring(shop.store, shop.vault, file, shop.now(), CLI, dry_run=dry_run)

    report = inside(data_dir, act)
    for kind in sorted(report.brought.keys() | report.there.keys()):
        click.echo(f"{kind}: {report.brought[kind]} brought, {report.there[kind]} were here before")
    for note in report.notes:
        click.echo(f"- {note}")
    click.echo("Nothing was written." if dry_run else "Done. Run `keysat doctor`, and connect your payment provider.")
