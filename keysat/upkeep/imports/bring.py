"""The move from the published server: one transaction, so that it is whole or has not been. Repeating it is safe.

What is here already, by its id, stays as it is. A dry run does all of it and then takes it back.
"""

from datetime import datetime
from pathlib import Path

from keysat.infra.events import Actor
from keysat.infra.store import Store
from keysat.infra.vault import Vault
from keysat.upkeep.happenings import ShopImported
from keysat.upkeep.imports.catalog import bring_catalog
from keysat.upkeep.imports.house import bring_house, bring_issuer_key, bring_profiles
from keysat.upkeep.imports.move import Move
from keysat.upkeep.imports.report import Report
from keysat.upkeep.imports.sales import bring_sales
from keysat.upkeep.imports.source import opened
from keysat.upkeep.imports.subscriptions import bring_subscriptions
from keysat.upkeep.tallies import count_anew


class _TakenBack(Exception):
    """Ends a dry run: what was written is undone."""


async def bring(store: Store, vault: Vault, path: Path, now: datetime, actor: Actor, *, dry_run: bool) -> Report:
    """Raises BadRequest for a file that cannot be read, Conflict where something here is in the way."""
    report = Report()
    with opened(path) as source:
        try:
            async with store.work(now, actor) as work:
                move = Move(work, source, vault, report)
                await bring_profiles(move)
                issuer_key_id = await bring_issuer_key(move)
                await bring_catalog(move)
                await bring_sales(move, issuer_key_id)
                await bring_subscriptions(move)
                await bring_house(move)
                await count_anew(work)  # nothing of it was told as it happened
                if dry_run:
                    raise _TakenBack
                work.record(ShopImported(issuer_key_id=issuer_key_id, brought=dict(report.brought)))
        except _TakenBack:
            pass
    return report
