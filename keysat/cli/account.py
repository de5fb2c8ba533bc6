"""Accounts of those who operate the shop, for whoever has its machine: also when nobody can sign in any more."""

from pathlib import Path
from typing import Any

import rich_click as click
from click import argument, option

from keysat.cli.api_key import ROLES as ROLES_OF_KEYS
from keysat.cli.options import as_json, data_dir, paged
from keysat.cli.output import show_list

ROLES = click.Choice([*ROLES_OF_KEYS.choices, "owner"])
asked = option("--ask", is_flag=True, help="Ask for the password, instead of making one.")
named = argument("name")


@click.group()
def account() -> None:
    """Who may sign in on /admin."""


@account.command()
@data_dir
@named
@option("--role", type=ROLES, default="read-only", show_default=True)
@asked
def add(data_dir: Path | None, name: str, role: str, ask: bool) -> None:
    """Make an account. Its password is printed once: `keysat account add Ada --role owner`."""
    from keysat.cli.opened import inside
    from keysat.upkeep.shop import Shop

    typed = typed_password() if ask else None

    async def act(shop: Shop) -> None:
        await add_account(shop, name, role, typed)

    inside(data_dir, act)


@account.command("list")
@data_dir
@as_json
@paged
def list_accounts(data_dir: Path | None, as_json: bool, limit: int, cursor: str | None) -> None:
    """All accounts, disabled ones too."""
    import msgspec

    from keysat.cli.opened import read_in
    from keysat.infra.work import Read
    from keysat.operators.accounts import accounts
    from keysat.upkeep.shop import Shop

    async def look(_shop: Shop, read: Read) -> tuple[list[dict[str, object]], str | None]:
        page = await accounts(read, limit, cursor)
        return [msgspec.to_builtins(one) if as_json else msgspec.structs.asdict(one) for one in page.items], (
            page.next_cursor
        )

    rows, next_cursor = read_in(data_dir, look)
    show_list(rows, as_json=as_json, nothing="There are no accounts yet.", next_cursor=next_cursor)


@account.command()
@data_dir
@named
@argument("role", type=ROLES)
def role(data_dir: Path | None, name: str, role: str) -> None:
    """Give an account another role, and sign it out."""
    _edit(data_dir, name, role=role)
    click.echo(f"{name} is {role}.")


@account.command()
@data_dir
@named
def disable(data_dir: Path | None, name: str) -> None:
    """Nobody signs in with it any more; who has is signed out."""
    _edit(data_dir, name, disabled=True)
    click.echo(f"{name} is disabled.")


@account.command()
@data_dir
@named
def enable(data_dir: Path | None, name: str) -> None:
    """It can be signed in with again."""
    _edit(data_dir, name, disabled=False)
    click.echo(f"{name} is enabled.")


@account.command()
@data_dir
@named
@asked
def reset(data_dir: Path | None, name: str, ask: bool) -> None:
    """A new password, no second step, and every browser signed out: for who lost the password or the phone."""
    from keysat.cli.opened import CLI, inside
    from keysat.operators import accounts
    from keysat.operators.passwords import HASHING
    from keysat.upkeep.shop import Shop
    from keysat.web.known import unlock as unlock_login

    typed = typed_password() if ask else None

    async def act(shop: Shop) -> None:
        made, hashed = await HASHING.given_or_made(typed, shop.chance)
        async with shop.work(CLI) as work:
            found = await accounts.one_named(work, name)
            await accounts.reset(work, found.id, hashed)
            await unlock_login(work, shop.vault, found)
        _show(name, made)

    inside(data_dir, act)


@account.command()
@data_dir
@named
def unlock(data_dir: Path | None, name: str) -> None:
    """For who is told to try again later, because somebody typed wrong passwords under that name.

    Prints an address besides: the browser that opens it is counted by itself from then on, whatever others do.
    """
    from keysat.cli.opened import CLI, inside
    from keysat.operators import accounts
    from keysat.upkeep.shop import Shop
    from keysat.web.admin.door import LOGIN
    from keysat.web.known import pass_for
    from keysat.web.known import unlock as unlock_login

    async def act(shop: Shop) -> None:
        async with shop.work(CLI) as work:
            found = await accounts.one_named(work, name)
            await unlock_login(work, shop.vault, found)
            value = pass_for(shop.vault, found.name_normal)
        click.echo(f"{found.name} can try again to sign in.")
        click.echo("Should somebody else use the tries up again, open this in your browser, which has its own then:")
        click.echo(f"{shop.settings.public_url}{LOGIN}?known={value}")

    inside(data_dir, act)


async def add_account(shop: Any, name: str, role: str, typed: str | None = None) -> None:
    """Prints the password that was made, where none was typed."""
    from keysat.cli.opened import CLI
    from keysat.operators.accounts import create
    from keysat.operators.passwords import HASHING
    from keysat.operators.scopes import Role

    made, hashed = await HASHING.given_or_made(typed, shop.chance)
    async with shop.work(CLI) as work:
        await create(work, name, Role(role), hashed)
    _show(name, made)


def typed_password() -> str:
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True))


def _edit(data_dir: Path | None, name: str, role: str | None = None, disabled: bool | None = None) -> None:
    from msgspec import UNSET

    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.operators import accounts
    from keysat.operators.scopes import Role
    from keysat.upkeep.shop import Shop

    async def verb(_shop: Shop, work: Work) -> None:
        found = await accounts.one_named(work, name)
        await accounts.edit(
            work, found.id, UNSET if role is None else Role(role), UNSET if disabled is None else disabled
        )

    work_in(data_dir, verb)


def _show(name: str, made: str | None) -> None:
    if made is None:
        click.echo(f"{name} can sign in on /admin.")
        return
    click.echo(f"{name} can sign in on /admin with this password: {made}")
    click.echo("It is shown only now: keep it in your password manager.")
