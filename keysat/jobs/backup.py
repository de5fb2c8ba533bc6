"""A backup each so many hours, by one of the daemons: a child process makes it, so that no buyer waits for it."""

import asyncio
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

from keysat.infra.attention import clear
from keysat.infra.events import Actor
from keysat.infra.house import exchange, fact, rewrite
from keysat.infra.log import get
from keysat.infra.settings import Backups, Settings, handed_on
from keysat.upkeep.archive import PART
from keysat.upkeep.backup import BEGUN, DONE, ENDED, FAILED, SUBJECT, series
from keysat.upkeep.shop import Shop

LEASE = timedelta(hours=1)  # for so long nobody else begins; a failed one is tried again after it
LIMIT = timedelta(minutes=50)
REASON_CHARACTERS = 300
BACKER = Actor("job:backup")

log = get(__name__)


class BackupSchedule:
    """Of one daemon. One that has just started tries at once what has failed: somebody may have seen to the disk."""

    def __init__(self) -> None:
        self._is_new = True

    async def back_up_when_due(self, shop: Shop, now: datetime) -> None:
        """Into the folder of the settings; without one, none is made. What is in the way is called to attention."""
        wanted = shop.settings.backups
        if wanted is None or not await self._begin(shop, now, wanted.every):
            return
        async with shop.read() as read:
            name = await series(shop, read)
        path = wanted.folder / f"{name}-{now:%Y%m%dT%H%M%SZ}.zip"
        failure: str | None = "it was broken off."
        try:
            failure = await _make(shop.settings, wanted, path)
        finally:
            async with shop.store.work(now, BACKER) as work:
                await rewrite(work, ENDED, now.isoformat())
                if failure is not None:
                    await clear(work, SUBJECT, FAILED)  # it may have failed otherwise before
                    await work.attend(FAILED, SUBJECT, f"No backup was made: {failure}")
        if failure is not None:
            log.warning("backup.failed", reason=failure)
        else:
            await asyncio.to_thread(_forget_old, wanted, name, path)
        await asyncio.to_thread(_forget_parts, wanted, name)

    async def _begin(self, shop: Shop, now: datetime, every: timedelta) -> bool:
        """True for one daemon of all, once a backup is due."""
        async with shop.read() as read:
            begun, ended, done = [await fact(read, name) for name in (BEGUN, ENDED, DONE)]
        is_new, self._is_new = self._is_new, False
        if _rests(done, every, now) or (_rests(begun, LEASE, now) and not (is_new and ended == begun)):
            return False
        async with shop.store.work(now, BACKER) as work:
            return await exchange(work, BEGUN, begun, now.isoformat())


def _rests(since: str | None, rest: timedelta, now: datetime) -> bool:
    """A clock that was wrong for a while delays none for ever."""
    return since is not None and -LEASE < now - datetime.fromisoformat(since) < rest


async def _make(settings: Settings, wanted: Backups, path: Path) -> str | None:
    """Why not; None: it is made. The daemon's Ctrl-C does not reach the child."""
    if (missing := await asyncio.to_thread(_missing, wanted)) is not None:
        return f"{missing} is not there."
    command = [sys.executable, "-m", "keysat", "backup", "--scheduled", "--to", str(path)]
    if wanted.passphrase_file is not None:
        command += ["--passphrase-file", str(wanted.passphrase_file)]
    child = await asyncio.create_subprocess_exec(
        *command, env=handed_on(settings), stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, start_new_session=True
    )
    try:
        async with asyncio.timeout(LIMIT.total_seconds()):
            _, said = await child.communicate()
    except TimeoutError:
        return f"it took longer than {LIMIT // timedelta(minutes=1)} minutes."
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode == 0:
        return None
    lines = said.decode(errors="replace").strip().splitlines() or [f"it ended with {child.returncode}."]
    return lines[-1].removeprefix("keysat: ")[:REASON_CHARACTERS]


def _missing(wanted: Backups) -> Path | None:
    if not wanted.folder.is_dir():
        return wanted.folder
    return wanted.passphrase_file if wanted.passphrase_file and not wanted.passphrase_file.is_file() else None


def _forget_old(wanted: Backups, name: str, made: Path) -> None:
    """But for the last ones. Only of this shop, and only of this schedule.

    What is named after a later moment than the one just made came of a wrong clock, then or now: it takes no place from
    those up to now, nor they from it.
    """
    pattern = re.compile(re.escape(name) + r"-\d{8}T\d{6}Z\.zip")
    ours = sorted(path for path in wanted.folder.iterdir() if pattern.fullmatch(path.name))
    until_now, later = [path for path in ours if path <= made], [path for path in ours if path > made]
    _remove([*until_now[: -wanted.keep], *later[: -wanted.keep]])


def _forget_parts(wanted: Backups, name: str) -> None:
    """What was cut off in the middle, lest each failure leaves the disk fuller."""
    _remove(wanted.folder.glob(f".{name}-*{PART}"))


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()
