"""What the shop calls itself: as its operator wrote it here, else as the settings say (`published-server.md` 2.11)."""

from keysat.catalog import checks
from keysat.infra.house import fact, rewrite
from keysat.infra.store import Store
from keysat.infra.work import Work
from keysat.upkeep.happenings import OperatorNamed

OPERATOR_NAME = "operator_name"  # a fact in `house`


class Nameplate:
    """What is written, held in memory, since every page shows it. A job reads it again: another daemon may write it."""

    stored: str | None = None

    async def read_again(self, store: Store) -> None:
        async with store.read() as read:
            self.stored = await fact(read, OPERATOR_NAME)


async def rename(work: Work, name: str | None) -> None:
    """Blank or None: what the settings say. Raises BadRequest."""
    name = (name or "").strip() or None
    if name is not None:
        checks.text("name", name, checks.NAME_MAX)
    if name != await fact(work, OPERATOR_NAME):
        await rewrite(work, OPERATOR_NAME, name)
        work.record(OperatorNamed(OPERATOR_NAME, is_own=name is not None))
