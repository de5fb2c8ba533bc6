"""The event chain: has anybody altered what happened?"""

from datetime import datetime
from pathlib import Path

import rich_click as click
from click import option

from keysat.cli.options import MOMENT, as_json, data_dir, paged
from keysat.cli.output import show_list


@click.group()
def audit() -> None:
    """The log of everything that happened."""


@audit.command()
@data_dir
@option("--head", "noted", metavar="POSITION:HASH", help="What an earlier run printed: the chain must still hold it.")
def verify(data_dir: Path | None, noted: str | None) -> None:
    """Walk the whole chain of events, and name the first row that was altered. Exit code 1 when it is broken.

    The head that it prints, kept elsewhere, shows later whether the end was cut off or all of it written anew.
    """
    from keysat.cli.opened import inside
    from keysat.infra.chain import Head, Verification
    from keysat.infra.chain import verify as walk
    from keysat.upkeep.shop import Shop

    known = Head.read(noted) if noted is not None else None

    async def act(shop: Shop) -> Verification:
        async with shop.read() as read:
            return await walk(read, known)

    found = inside(data_dir, act, seals=False)
    if found.flaw:
        click.echo(found.flaw)
        raise SystemExit(1)
    click.echo(f"{found.checked} events, and nothing was altered.")
    if found.checked:
        click.echo(f"Head: {found.head}")


@audit.command("list")
@data_dir
@as_json
@paged
@option("--action", help="The name of an event, such as license.revoked.")
@option("--actor", help="buyer, admin_key, cli, job:renew ...")
@option("--credential", help="The id of a key or session.")
@option("--subject", help="The id of what it is about.")
@option("--since", metavar="TIME", type=MOMENT, help="In UTC, such as 2026-01-31 or 2026-01-31T12:00:00.")
@option("--until", metavar="TIME", type=MOMENT, help="Up to this moment, and without it.")
def list_entries(
    data_dir: Path | None,
    as_json: bool,
    limit: int,
    cursor: str | None,
    since: datetime | None,
    until: datetime | None,
    **wanted: str | None,
) -> None:
    """What happened, who did it and from where; the latest first."""
    from keysat.cli.opened import inside
    from keysat.kit.paging import Page
    from keysat.operators.audit import AuditEntry, AuditFilter, entries
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> Page[AuditEntry]:
        asked = AuditFilter(**wanted, since=since, until=until)
        async with shop.read() as read:
            return await entries(read, asked, limit, cursor)

    page = inside(data_dir, act, seals=False)
    rows = [
        {
            "at": one.occurred_at,
            "action": one.action,
            "about": one.subject,
            "actor": one.actor,
            "credential": one.credential,
            "address": one.address,
            "details": one.body,
        }
        for one in page.items
    ]
    show_list(rows, as_json=as_json, nothing="Nothing of this kind happened.", next_cursor=page.next_cursor)
