"""Facts about this shop: those written once for its whole life (its mode, the vault key's check value, the admin key's
hash), and the few that its operator can change.
"""

from enum import StrEnum

from sqlalchemy import delete, select, update

from keysat.infra.tables import House
from keysat.infra.work import Read, Work

MODE = "mode"  # a fact


class Mode(StrEnum):
    """Written at `init` or `demo`, never changed. A sandbox shop has its own issuer key and takes play money."""

    LIVE = "live"
    SANDBOX = "sandbox"


async def fact(read: Read, name: str) -> str | None:
    return await read.session.scalar(select(House.value).where(House.name == name))


async def write_once(work: Work, name: str, value: str) -> str:
    """Write the fact unless it is there; returns what stands there afterwards."""
    await work.session.execute(
        work.insert(House)
        .values(name=name, value=value, written_at=work.now)
        .on_conflict_do_nothing(index_elements=["name"])
    )
    standing = await fact(work, name)
    assert standing is not None  # noqa: S101  written a moment ago, in this transaction
    return standing


async def rewrite(work: Work, name: str, value: str | None) -> None:
    """Write a fact that may change. None: it is forgotten."""
    if value is None:
        await work.session.execute(delete(House).where(House.name == name))
        return
    values = {"value": value, "written_at": work.now}
    await work.session.execute(
        work.insert(House).values(name=name, **values).on_conflict_do_update(index_elements=["name"], set_=values)
    )


async def exchange(work: Work, name: str, old: str | None, new: str) -> bool:
    """Compare-and-set a fact: of two who have seen the same `old` one (None: none yet), one writes."""
    values = {"value": new, "written_at": work.now}
    if old is None:
        write = work.insert(House).values(name=name, **values).on_conflict_do_nothing(index_elements=["name"])
    else:
        write = update(House).where(House.name == name, House.value == old).values(values)
    written = await work.session.execute(write.returning(House.name))
    return written.first() is not None


async def mode_of(read: Read) -> Mode | None:
    """None: nobody has set this shop up yet."""
    value = await fact(read, MODE)
    return Mode(value) if value is not None else None
