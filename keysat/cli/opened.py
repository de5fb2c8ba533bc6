"""Running an errand in an opened shop. Imports the whole house: commands import it when they run."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from keysat import schema as schema  # all tables: they refer to each other by name, and a backup goes through each
from keysat.infra import log
from keysat.infra.events import Actor
from keysat.infra.private import keep_new_files_private
from keysat.infra.seals import seal
from keysat.infra.settings import load
from keysat.infra.work import Read, Work
from keysat.kit.clock import SystemClock
from keysat.kit.ids import SystemChance
from keysat.upkeep.occupy import as_served
from keysat.upkeep.opening import Founding, open_shop
from keysat.upkeep.shop import Shop

T = TypeVar("T")
CLI = Actor("cli")


def inside(
    data_dir: Path | None, act: Callable[[Shop], Awaitable[T]], *, founding: Founding | None = None, seals: bool = True
) -> T:
    """Opens the shop that the settings name, acts, and seals what was recorded. Raises CannotOpen, SettingsErrors."""
    settings = as_served(load(data_dir=data_dir))
    log.configure("warning", "text")
    keep_new_files_private()

    async def run() -> T:
        async with open_shop(settings, clock=SystemClock(), chance=SystemChance(), founding=founding) as shop:
            result = await act(shop)
            if seals:
                await seal(shop.store, shop.now())
            return result

    return asyncio.run(run())


def read_in(data_dir: Path | None, look: Callable[[Shop, Read], Awaitable[T]]) -> T:
    """`look` in a snapshot of the shop's database."""

    async def act(shop: Shop) -> T:
        async with shop.read() as read:
            return await look(shop, read)

    return inside(data_dir, act, seals=False)


def work_in(data_dir: Path | None, verb: Callable[[Shop, Work], Awaitable[T]]) -> T:
    """`verb` in one transaction."""

    async def act(shop: Shop) -> T:
        async with shop.work(CLI) as work:
            return await verb(shop, work)

    return inside(data_dir, act)
