"""The schedule of backups. That one is really made: `tests/cli/test_backup.py`."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from keysat.infra.attention import settle_about
from keysat.infra.house import fact, rewrite
from keysat.infra.settings import load
from keysat.infra.tables import AttentionRow
from keysat.jobs.backup import BEGUN, LEASE, BackupSchedule
from keysat.upkeep.backup import DONE, FAILED, SUBJECT
from keysat.upkeep.shop import Shop
from tests.conftest import TESTER

MINUTE = timedelta(minutes=1)


Daemons = Sequence[BackupSchedule]


async def begun_after(shop: Shop, later: timedelta, daemons: Daemons) -> bool:
    """Two daemons look whether one is due."""
    now = shop.now() + later
    await asyncio.gather(*(daemon.back_up_when_due(shop, now) for daemon in daemons))
    async with shop.read() as read:
        return await fact(read, BEGUN) == now.isoformat()


async def calls(shop: Shop) -> list[str]:
    async with shop.read() as read:
        query = select(AttentionRow.reason).where(AttentionRow.kind == FAILED, AttentionRow.settled_at.is_(None))
        return list(await read.session.scalars(query))


async def test_a_folder_that_is_gone_is_called_to_attention_and_tried_again_after_an_hour_or_a_restart(
    shop: Shop, tmp_path: Path
) -> None:
    daemons = (BackupSchedule(), BackupSchedule())
    named = {"KEYSAT_BACKUP_DIR": str(tmp_path / "gone"), "KEYSAT_BACKUP_PASSPHRASE_FILE": str(tmp_path / "words")}
    settings = load({**named, "KEYSAT_BACKUP_HOURS": "12"}, data_dir=tmp_path)
    assert not await begun_after(shop, timedelta(), daemons)  # no folder is named: nothing is wanted
    shop = replace(shop, settings=settings)
    assert await begun_after(shop, timedelta(), daemons)
    assert await calls(shop) == [f"No backup was made: {tmp_path / 'gone'} is not there."]
    async with shop.work(TESTER) as work:
        await settle_about(work, SUBJECT)
    assert not await begun_after(shop, 2 * MINUTE, daemons)
    restarted = BackupSchedule()
    assert await begun_after(shop, 3 * MINUTE, (restarted, restarted))
    assert not await begun_after(shop, LEASE, (*daemons, restarted))
    async with shop.work(TESTER) as work:  # a third one is at it: who starts meanwhile does not disturb it
        await rewrite(work, BEGUN, (shop.now() + LEASE).isoformat())
    assert not await begun_after(shop, LEASE + MINUTE, (BackupSchedule(), BackupSchedule()))
    part = tmp_path / "gone" / f".keysat-{shop.vault.check_value()[:8]}-20260101T120000Z.zip.abc.part"
    part.parent.mkdir()
    part.touch()  # of a child that was killed
    assert await begun_after(shop, 2 * LEASE, daemons)
    assert await calls(shop) == [f"No backup was made: {tmp_path / 'words'} is not there."]
    assert not part.exists()  # else each failure would leave the disk fuller

    async with shop.work(TESTER) as work:  # this one was good
        await rewrite(work, DONE, await fact(work, BEGUN))
    assert not await begun_after(shop, timedelta(hours=13), (BackupSchedule(), BackupSchedule()))
    assert await begun_after(shop, timedelta(hours=14), daemons)
    assert await begun_after(shop, timedelta(hours=-1), daemons)  # the clock had been wrong
