"""What is kept: backup, restore, export."""

from pathlib import Path

import rich_click as click
from click import argument, option

from keysat.cli.options import data_dir

PASSPHRASE_FILE = option(
    "--passphrase-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The passphrase of the vault key in the backup: the first line of this file.",
)
NICE = 10  # a scheduled one steps aside for whoever else wants the processor
ASK = option("--passphrase", "asks", is_flag=True, help="The same, typed here.")


@click.group(invoke_without_command=True)
@data_dir
@option("--to", type=click.Path(path_type=Path), default=Path(), help="A new file, or a folder (this one).")
@PASSPHRASE_FILE
@ASK
@option("--scheduled", is_flag=True, hidden=True)  # the daemon's own
@click.pass_context
def backup(
    context: click.Context,
    data_dir: Path | None,
    to: Path,
    passphrase_file: Path | None,
    asks: bool,
    scheduled: bool,
) -> None:
    """Write all of the shop into one file, while it goes on selling. Keep it where only you can read it.

    Issuer keys and credentials in it are sealed with the vault key. That is put in under a passphrase; without one,
    keep vault.key (or KEYSAT_VAULT_KEY) in another place: a backup is worth nothing without it.

    The daemon makes them by itself where KEYSAT_BACKUP_DIR is set.
    """
    if context.invoked_subcommand is not None:
        return
    import os

    from keysat.cli.opened import CLI, inside
    from keysat.jobs.backup import BACKER
    from keysat.upkeep.archive import Manifest
    from keysat.upkeep.backup import back_up
    from keysat.upkeep.shop import Shop

    passphrase = _passphrase(passphrase_file, asks=asks, is_new=True)
    if scheduled:
        os.nice(NICE)

    async def act(shop: Shop) -> tuple[Path, Manifest]:
        return await back_up(shop, to, passphrase, BACKER if scheduled else CLI)

    path, manifest = inside(data_dir, act)
    rows = sum(one.rows for one in manifest.tables)
    click.echo(f"{path}: {rows} rows of {len(manifest.tables)} tables. Head of the chain of events: {manifest.head}")
    if manifest.vault_key is None:
        click.echo("The vault key is not in it: keep a copy of that too, apart from this file.")


@backup.command()
@argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A copy of vault.key, to see that the secrets in the backup open with it.",
)
@PASSPHRASE_FILE
@ASK
def verify(file: Path, key: Path | None, passphrase_file: Path | None, asks: bool) -> None:
    """Restore a backup for a trial, into a temporary folder (TMPDIR), and say what it is worth. Exit code 1: not all.

    No shop is needed for it, and none is touched.
    """
    import asyncio

    from keysat.cli.examined import diagnose, show_findings
    from keysat.infra import log
    from keysat.infra.private import keep_new_files_private
    from keysat.infra.vault import read_key
    from keysat.kit.ids import SystemChance
    from keysat.upkeep.drill import drill

    passphrase = _passphrase(passphrase_file, asks=asks, is_new=False)
    log.configure("warning", "text")
    keep_new_files_private()
    opens_with = read_key(key) if key is not None else None
    done = asyncio.run(drill(file, opens_with, passphrase, diagnose, SystemChance()))
    made = done.manifest
    rows = sum(one.rows for one in made.tables)
    click.echo(f"{file}: the {made.mode} shop of {made.made_at:%Y-%m-%d %H:%M:%S} UTC, by Keysat {made.keysat}.")
    click.echo(f"{rows} rows of {len(made.tables)} tables are as they were written, and restore into this release.")
    if not done.chain.flaw:
        click.echo(f"{done.chain.checked} events, and nothing was altered. Head: {done.chain.head}")
    if done.opened is not None:
        click.echo(f"Secrets that open with the vault key: {done.opened}.")
    elif opens_with is None and passphrase is None:
        is_in_it = made.vault_key is not None
        where = "in it, under a passphrase. Give that" if is_in_it else "not in it. Give your copy with --key"
        click.echo(f"The vault key is {where}, to see whether the secrets open.")
    show_findings(done.wrong, [], as_json=False)


@click.command()
@data_dir
@argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@PASSPHRASE_FILE
@ASK
@option("--accept-altered", is_flag=True, help="Also a shop whose events somebody had altered before.")
def restore(data_dir: Path | None, file: Path, passphrase_file: Path | None, asks: bool, accept_altered: bool) -> None:
    """Set up the shop of a backup where there is none yet: in an empty folder, or an empty PostgreSQL database.

    All of it or nothing is restored; repeat it if it was cut off. A shop whose chain of events is broken is refused,
    unless you accept it. Exit code 1 when the doctor finds something.
    """
    import asyncio

    from keysat.cli.examined import examine, show_findings
    from keysat.cli.opened import inside
    from keysat.infra import log
    from keysat.infra.private import keep_new_files_private
    from keysat.infra.seals import seal
    from keysat.infra.settings import load
    from keysat.kit.clock import SystemClock
    from keysat.kit.ids import SystemChance
    from keysat.upkeep.restore import restore as put_back
    from keysat.upkeep.shop import Shop

    passphrase = _passphrase(passphrase_file, asks=asks, is_new=False)
    settings = load(data_dir=data_dir)
    log.configure("warning", "text")
    keep_new_files_private()
    clock, chance = SystemClock(), SystemChance()
    done = asyncio.run(put_back(settings, file, passphrase, clock, chance, accepts_altered=accept_altered))
    if done.chain.flaw:
        click.echo(f"Somebody altered this shop before it was backed up. {done.chain.flaw}", err=True)
    click.echo(f"The {done.manifest.mode} shop of {done.manifest.made_at:%Y-%m-%d %H:%M:%S} UTC is restored.")
    click.echo(
        "Before you start it: stop the shop that it was copied from. Two would both send letters and webhooks, open "
        "renewals and ask saved cards.",
        err=True,
    )
    if done.held:
        click.echo(
            f"{done.held} subscriptions wait: their saved cards may have been charged since. `keysat attention list`",
            err=True,
        )

    async def act(shop: Shop) -> tuple[list[str], list[str]]:
        await seal(shop.store, shop.now())
        return await examine(shop)

    show_findings(*inside(data_dir, act), as_json=False)


@click.command()
@data_dir
@option("--to", type=click.Path(file_okay=False, path_type=Path), default=Path("keysat-export"), show_default=True)
def export(data_dir: Path | None, to: Path) -> None:
    """Write everything as JSON lines, a file for each table, into a new folder. What opens something is left out.

    It is for reading and moving on. Only a backup can be restored.
    """
    from keysat.cli.opened import CLI, inside
    from keysat.upkeep.export import write_out
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> int:
        return await write_out(shop, to, CLI)

    click.echo(f"{to}: {inside(data_dir, act)} rows.")


def _passphrase(file: Path | None, *, asks: bool, is_new: bool) -> str | None:
    if file is not None:
        try:
            return file.read_text("utf-8").partition("\n")[0].rstrip("\r")
        except UnicodeDecodeError:
            raise click.ClickException(f"{file} is no text in UTF-8: no passphrase can be read from it.") from None
    if asks:
        return str(click.prompt("Passphrase", hide_input=True, confirmation_prompt=is_new))
    return None
