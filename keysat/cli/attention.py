"""The "needs attention" list: what only a person can decide."""

from pathlib import Path

import rich_click as click
from click import argument, option

from keysat.cli.options import as_json, data_dir, paged
from keysat.cli.output import show_list


@click.group()
def attention() -> None:
    """What only you can decide."""


@attention.command("list")
@data_dir
@as_json
@paged
@option("--all", "everything", is_flag=True, help="What was done too.")
def list_attention(data_dir: Path | None, as_json: bool, limit: int, cursor: str | None, everything: bool) -> None:
    """What is open first, the latest call first."""
    from keysat.cli.opened import inside
    from keysat.infra import attention as calls
    from keysat.kit.paging import Page
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> Page[calls.AttentionView]:
        async with shop.read() as read:
            return await calls.attention(read, include_settled=everything, limit=limit, cursor=cursor)

    page = inside(data_dir, act, seals=False)
    rows = [
        {
            "id": row.id,
            "kind": row.kind,
            "subject": row.subject,
            "called_at": row.called_at,
            **({"settled_at": row.settled_at} if everything else {}),
            "reason": row.reason,
        }
        for row in page.items
    ]
    show_list(rows, as_json=as_json, nothing="Nothing needs your attention.", next_cursor=page.next_cursor)


@attention.command()
@data_dir
@argument("attention_id", metavar="ID", type=int)
def done(data_dir: Path | None, attention_id: int) -> None:
    """Take an entry off the list."""
    from keysat.cli.opened import CLI, inside
    from keysat.infra.attention import settle
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> None:
        async with shop.work(CLI) as work:
            await settle(work, attention_id)

    inside(data_dir, act)
    click.echo("Done.")
