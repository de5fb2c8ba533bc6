"""Issuer keys: list, rotate, export, restore, compromise."""

import sys
from pathlib import Path

import rich_click as click
from click import argument, option

from keysat.cli.options import as_json, data_dir
from keysat.cli.output import show_list


@click.group()
def key() -> None:
    """The issuer keys that sign license keys."""


@key.command("list")
@data_dir
@as_json
def list_keys(data_dir: Path | None, as_json: bool) -> None:
    """All issuer keys, the oldest first."""
    from keysat.cli.opened import inside
    from keysat.licenses.ring import public_pem
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> list[dict[str, object]]:
        return [
            {
                "key_id": one.key_id,
                "status": one.status,
                "created_at": one.created_at,
                "signing_from": one.signing_from,
                **({"public_key": public_pem(one.public_key)} if as_json else {}),
            }
            for one in shop.ring.keys
        ]

    show_list(inside(data_dir, act), as_json=as_json, nothing="There is no issuer key yet.")


@key.command()
@data_dir
@option("--announce", is_flag=True, help="Only publish the next key, so that apps can carry it beforehand.")
def rotate(data_dir: Path | None, announce: bool) -> None:
    """Sign new licenses with the announced key, else with a new one. Sold keys go on verifying with theirs."""
    from keysat.cli.opened import CLI, inside
    from keysat.licenses import issuers
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> str:
        async with shop.work(CLI) as work:
            made = await (issuers.announce if announce else issuers.rotate)(work, shop.vault)
        return made.key_id

    key_id = inside(data_dir, act)
    click.echo(f"Issuer key {key_id} is {'announced' if announce else 'signing new licenses'}.")


@key.command()
@data_dir
@argument("key_id", required=False)
@option("--yes", is_flag=True, help="Do not ask.")
def export(data_dir: Path | None, key_id: str | None, yes: bool) -> None:
    """Show an issuer key as 24 words, to be written on paper. Default: the key that signs."""
    from keysat.cli.opened import inside
    from keysat.licenses.issuers import words_of_key
    from keysat.upkeep.shop import Shop

    if not yes:
        click.confirm("Whoever reads these words can sign license keys of yours. Show them", abort=True)

    async def act(shop: Shop) -> str:
        async with shop.read() as read:
            return await words_of_key(read, shop.vault, key_id or shop.ring.signing.key_id)

    click.echo(inside(data_dir, act))


@key.command()
@data_dir
def restore(data_dir: Path | None) -> None:
    """Bring a written-down issuer key back: the 24 words are read from the terminal or standard input."""
    from keysat.cli.opened import CLI, inside
    from keysat.licenses import issuers
    from keysat.upkeep.shop import Shop

    words = click.prompt("The 24 words", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()

    async def act(shop: Shop) -> str:
        async with shop.work(CLI) as work:
            back = await issuers.restore(work, shop.vault, words)
        return f"Issuer key {back.key_id} is here: {back.status}."

    click.echo(inside(data_dir, act))


@key.command()
@data_dir
@argument("key_id")
@option("--yes", is_flag=True, help="Do not ask.")
def compromise(data_dir: Path | None, key_id: str, yes: bool) -> None:
    """Mark an issuer key as known to others, and let the key that signs take its licenses over.

    From then on an app that asks online is told that keys of the old one do not count. `keysat license show` has the
    new ones.
    """
    from keysat.cli.opened import CLI, inside
    from keysat.licenses import issuers
    from keysat.upkeep.shop import Shop

    if not yes:
        click.confirm(f"This cannot be undone. Mark {key_id} as compromised", abort=True)

    async def act(shop: Shop) -> int:
        async with shop.work(CLI) as work:
            await issuers.mark_compromised(work, key_id)
            return await issuers.move_licenses(work, key_id)

    moved = inside(data_dir, act)
    click.echo(f"Issuer key {key_id} is marked as compromised. Licenses that are signed anew: {moved}.")
