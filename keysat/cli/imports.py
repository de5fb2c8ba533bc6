"""The move from the published server."""

from pathlib import Path

import rich_click as click
from click import argument, option

from keysat.cli.options import as_json, data_dir

LEFT = 3  # exit code


@click.command("import")
@data_dir
@as_json
@argument("file", type=click.Path(dir_okay=False, path_type=Path))
@option("--dry-run", is_flag=True, help="Say what it would do, and leave nothing.")
def import_shop(data_dir: Path | None, file: Path, dry_run: bool, as_json: bool) -> None:
    """Bring a shop of the published server here: stop that server, and give its SQLite FILE.

    Every key it ever sold holds here afterwards. Repeated, it brings what is new and what was revoked or paid since;
    nothing that was sold or decided here is undone. Exit code 3: some rows made no sense, and were left behind.
    """
    from keysat.cli.opened import inside
    from keysat.cli.output import print_json
    from keysat.upkeep.imports.bring import bring
    from keysat.upkeep.imports.report import Report
    from keysat.upkeep.shop import Shop

    def tell(kind: str, done: int) -> None:
        click.echo(f"{kind}: {done}", err=True)

    async def act(shop: Shop) -> Report:
        return await bring(shop.store, shop.vault, file, shop.now(), dry_run=dry_run, tell=tell)

    report = inside(data_dir, act)
    if as_json:
        print_json(report.summary())
    else:
        for line in report.lines():
            click.echo(line)
        end = "Nothing was written." if dry_run else "Done. Run `keysat doctor`, and connect your payment provider."
        if report.missing:
            end += f" {report.missing} rows were left behind: mend them in the old shop, and import again."
        click.echo(end)
    if report.missing:
        raise SystemExit(LEFT)
