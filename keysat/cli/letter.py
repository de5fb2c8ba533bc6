"""Letters to buyers: list, retry."""

from pathlib import Path
from uuid import UUID

import rich_click as click
from click import argument, option

from keysat.cli.options import as_json, data_dir
from keysat.cli.output import show_list


@click.group("letter")
def letter() -> None:
    """Receipts, recovery links and reminders that were mailed, or could not be."""


@letter.command("list")
@data_dir
@as_json
@option("--status", type=click.Choice(["waiting", "sent", "parked", "dropped"]))
def list_letters(data_dir: Path | None, as_json: bool, status: str | None) -> None:
    """The newest hundred."""
    from keysat.cli.opened import inside
    from keysat.letters import outbox
    from keysat.letters.tables import LetterStatus
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> list[dict[str, object]]:
        async with shop.read() as read:
            rows = await outbox.letters(read, LetterStatus(status) if status else None)
        return [
            {
                "id": row.id,
                "kind": row.kind,
                "about": row.subject,
                "status": row.status,
                "at": row.status_at,
                "next_try_at": row.next_try_at,
                "failure": row.failure,
            }
            for row in rows
        ]

    show_list(inside(data_dir, act, seals=False), as_json=as_json, nothing="There are no such letters.")


@letter.command()
@data_dir
@argument("letter_id", metavar="ID")
def retry(data_dir: Path | None, letter_id: str) -> None:
    """Send a parked letter, once its cause is mended. `keysat serve` does the sending."""
    from keysat.cli.opened import CLI, inside
    from keysat.kit.errors import BadRequest
    from keysat.letters import outbox
    from keysat.upkeep.shop import Shop

    async def act(shop: Shop) -> str:
        try:
            known = UUID(letter_id)
        except ValueError:
            raise BadRequest("This is not a letter's id.") from None
        async with shop.work(CLI) as work:
            row = await outbox.retry(work, known)
            return f"Letter {row.id} is {row.status}."

    click.echo(inside(data_dir, act))
