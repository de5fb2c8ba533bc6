"""The move from the published server: one transaction, so that it is whole or has not been. A dry run takes it back.

Repeating it is safe. What is here already, by its id, stays as it is but for what moves one way only: revoked there, it
is revoked here, whatever happened here. Suspended there or not any more, paid further, cancelled: it is so here too,
unless somebody or time has decided about the same thing here, which an event by another actor than the import tells.
New machines take the seats that are left; one that was deactivated there, and was not seen here since, is released.
What was deleted here stays deleted, unless it was sold there since; of who was erased here nothing more is told.
Whatever else differs stays and is named. So nothing that was sold or decided here is undone.

A row that makes no sense is left behind, named in the report, with all that hangs on it. Mended there, it comes with
the next import.
"""

from datetime import datetime
from pathlib import Path

from keysat.infra.store import Store
from keysat.infra.vault import Vault
from keysat.upkeep.happenings import ShopImported
from keysat.upkeep.imports.catalog import bring_catalog
from keysat.upkeep.imports.house import bring_house, bring_issuer_key, bring_profiles
from keysat.upkeep.imports.move import IMPORT, Move, Tell
from keysat.upkeep.imports.report import Report
from keysat.upkeep.imports.sales import bring_sales
from keysat.upkeep.imports.source import opened
from keysat.upkeep.imports.subscriptions import bring_subscriptions
from keysat.upkeep.tallies import count_anew


class _TakenBack(Exception):
    """Ends a dry run: what was written is undone."""


def _silent(_kind: str, _done: int) -> None:
    return


async def bring(
    store: Store, vault: Vault, path: Path, now: datetime, *, dry_run: bool, tell: Tell = _silent
) -> Report:
    """Raises BadRequest for a file that is not the published server's, or has no issuer key."""
    report = Report()
    with opened(path) as source:
        try:
            async with store.work(now, IMPORT) as work:
                move = Move(work, source, vault, tell, report)
                await move.look()
                await bring_profiles(move)
                issuer_key_id = await bring_issuer_key(move)
                await bring_catalog(move)
                await bring_subscriptions(move, await bring_sales(move, issuer_key_id))
                await bring_house(move)
                await count_anew(work)  # nothing of it was told as it happened
                if dry_run:
                    raise _TakenBack
                counts = {"brought": dict(report.brought), "changed": dict(report.changed)}
                work.record(ShopImported(issuer_key_id=issuer_key_id, left=report.missing, **counts))
        except _TakenBack:
            pass
    return report
