"""The daemon's jobs, by hand."""

from datetime import timedelta
from pathlib import Path

import rich_click as click
from click import argument

from keysat.cli.options import data_dir
from keysat.cli.output import show_list


@click.command()
@data_dir
@argument("name", required=False)
def job(data_dir: Path | None, name: str | None) -> None:
    """Run one of the daemon's jobs once, now. Without NAME: which there are.

    A daemon that runs on the same shop needs no stop: jobs share their work by leases, with any number of processes.
    """
    from keysat.cli.opened import inside
    from keysat.daemon import KEPT
    from keysat.jobs.schedule import jobs
    from keysat.kit.errors import NotFound
    from keysat.upkeep.shop import Shop

    table = {one.name: one for one in jobs(KEPT)}
    if name is None:
        rows = [
            {"name": one.name, "every": _words(one.every), "sooner_after": one.topic and f"news of {one.topic}"}
            for one in table.values()
        ]
        return show_list(rows, as_json=False, nothing="")
    if name not in table:
        raise NotFound(f"There is no job {name!r}; there are {', '.join(table)}.")

    async def act(shop: Shop) -> None:
        await table[name].act(shop, shop.now())

    inside(data_dir, act)
    click.echo(f"{name}: done.")
    return None


def _words(span: timedelta) -> str:
    """In the largest unit that it is a whole number of."""
    units = (("h", timedelta(hours=1)), ("min", timedelta(minutes=1)), ("s", timedelta(seconds=1)))
    for unit, size in units:
        if span % size == timedelta():
            return f"{span // size} {unit}"
    return f"{span // timedelta(milliseconds=1)} ms"
