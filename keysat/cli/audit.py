"""The event chain: has anybody altered what happened?"""

from pathlib import Path

import rich_click as click

from keysat.cli.options import data_dir


@click.group()
def audit() -> None:
    """The log of everything that happened."""


@audit.command()
@data_dir
def verify(data_dir: Path | None) -> None:
    """Walk the whole chain of events. Exit code 1 when it is broken."""
    from keysat.cli.opened import inside
    from keysat.infra.seals import Verification
    from keysat.infra.seals import verify as walk
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> Verification:
        async with shop.read() as read:
            return await walk(read)

    found = inside(data_dir, act, seals=False)
    if found.broken_at is not None:
        click.echo(f"The chain is broken at position {found.broken_at}: {found.reason}.")
        raise SystemExit(1)
    click.echo(f"{found.checked} events, and nothing was altered.")
