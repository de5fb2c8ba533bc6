"""What the doctor finds, and how it is told. Imports the whole house: commands import it when they run."""

from datetime import datetime

import rich_click as click

from keysat.cli.output import print_json
from keysat.infra.work import Read
from keysat.letters import invariants as letters
from keysat.upkeep.doctor import violations
from keysat.upkeep.shop import Shop
from keysat.upkeep.warn import warnings


async def examine(shop: Shop) -> tuple[list[str], list[str]]:
    """What does not hold, and what keeps the shop from selling."""
    async with shop.read() as read:
        now = shop.now()
        return await diagnose(read, now), await warnings(read, shop.settings, shop.mode, now)


async def diagnose(read: Read, now: datetime) -> list[str]:
    """What does not hold."""
    return [*await violations(read, now), *await letters.broken(read, now)]


def show_findings(found: list[str], warned: list[str], *, as_json: bool) -> None:
    """Exit code 1 when something does not hold."""
    if as_json:
        print_json({"ok": not found, "violations": found, "warnings": warned})
    else:
        told = [*found, *(f"Warning: {line}" for line in warned)]
        click.echo("\n".join(told) if told else "All is well.")
    if found:
        raise SystemExit(1)
