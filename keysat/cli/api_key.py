"""Keys for programs: create, list, revoke."""

from datetime import datetime
from pathlib import Path
from uuid import UUID

import rich_click as click
from click import argument, option

from keysat.cli.options import MOMENT, as_json, data_dir, paged
from keysat.cli.output import show_list, show_one

ROLES = click.Choice(["read-only", "license-issuer", "support", "merchant-onboard", "full-admin"])


@click.group("api-key")
def api_key() -> None:
    """What programs show to /v1/admin."""


@api_key.command()
@data_dir
@as_json
@argument("label")
@option("--role", type=ROLES, required=True)
@option("--scope", "scopes", multiple=True, help="Granted besides, such as payment_providers:write.")
@option("--expires", type=MOMENT, help="In UTC; without it, the key is good until it is revoked.")
def create(
    data_dir: Path | None, as_json: bool, label: str, role: str, scopes: tuple[str, ...], expires: datetime | None
) -> None:
    """Make a key. It is printed once."""
    import msgspec

    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.kit.errors import BadRequest
    from keysat.operators import api_keys
    from keysat.operators.scopes import Role, Scope
    from keysat.upkeep.shop import Shop

    unknown = set(scopes) - set(Scope)
    if unknown:
        raise BadRequest(f"There is no scope {min(unknown)!r}.")

    async def verb(_shop: Shop, work: Work) -> dict[str, object]:
        made, token = await api_keys.create(work, label, Role(role), frozenset(map(Scope, scopes)), expires)
        shown: dict[str, object] = msgspec.to_builtins(made) if as_json else {"id": made.id}
        return shown | {"token": token}

    show_one(work_in(data_dir, verb), as_json=as_json)


@api_key.command("list")
@data_dir
@as_json
@paged
def list_keys(data_dir: Path | None, as_json: bool, limit: int, cursor: str | None) -> None:
    """The newest first, revoked ones too."""
    import msgspec

    from keysat.cli.opened import read_in
    from keysat.infra.work import Read
    from keysat.operators.api_keys import api_keys
    from keysat.upkeep.shop import Shop

    async def look(_shop: Shop, read: Read) -> tuple[list[dict[str, object]], str | None]:
        page = await api_keys(read, limit, cursor)
        rows = [msgspec.to_builtins(one) if as_json else msgspec.structs.asdict(one) for one in page.items]
        return rows, page.next_cursor

    rows, next_cursor = read_in(data_dir, look)
    show_list(rows, as_json=as_json, nothing="There are no keys yet.", next_cursor=next_cursor)


@api_key.command()
@data_dir
@argument("key_id", type=click.UUID)
def revoke(data_dir: Path | None, key_id: UUID) -> None:
    """It opens nothing from now on."""
    from keysat.cli.opened import work_in
    from keysat.infra.work import Work
    from keysat.operators import api_keys
    from keysat.operators.tables import ApiKeyId
    from keysat.upkeep.shop import Shop

    async def verb(_shop: Shop, work: Work) -> bool:
        _, revoked = await api_keys.revoke(work, ApiKeyId(key_id))
        return revoked

    click.echo("The key is revoked." if work_in(data_dir, verb) else "The key was revoked before.")
