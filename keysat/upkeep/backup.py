"""Making a backup: one moment of the whole shop, written beside a daemon that goes on working."""

from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from keysat.infra.attention import clear
from keysat.infra.chain import head_of
from keysat.infra.events import Actor
from keysat.infra.house import fact, rewrite
from keysat.infra.migrate import known_revisions, revision_of
from keysat.infra.settings import Backups
from keysat.infra.vault import vault_key
from keysat.infra.work import Read, Work
from keysat.kit.errors import Unavailable
from keysat.kit.ids import token
from keysat.upkeep.archive import Draft, Manifest, written
from keysat.upkeep.happenings import ShopBackedUp
from keysat.upkeep.opening import VAULT_CHECK, CannotOpen
from keysat.upkeep.rows import lines, one_moment, strangers, tables
from keysat.upkeep.shop import Shop
from keysat.upkeep.wrapped_key import WrappedKey, wrap

LAST_BACKUP = "last_backup"  # a fact in `house`, as are the schedule's:
BEGUN, ENDED = "backup_begun", "backup_ended"  # when the last one was begun, and which one has ended, well or not
DONE = "backup_done"  # when one was made that counts for it
SERIES = "backup_series"  # what their names begin with, where the vault key does not tell
FAILED, SUBJECT = "backup_failed", "schedule"  # of the call for attention


async def back_up(shop: Shop, to: Path, passphrase: str | None, actor: Actor) -> tuple[Path, Manifest]:
    """Into this file, or one with a name of its own in this folder; the vault key with it, under the passphrase.

    What may be lost (telemetry) is not in it. Raises BadRequest, CannotOpen; Unavailable, also where the file is whole.
    """
    now = shop.now()
    path = _place(to, now)
    with written(path, shop.chance) as draft:
        wrapped = _wrapped(shop, passphrase)
        async with shop.read() as read:
            await one_moment(read)
            schema = await _schema(read)
            await _write_tables(read, draft)
            manifest = Manifest(
                made_at=now,
                keysat=version("keysat"),
                schema=schema,
                mode=shop.mode,
                head=str(await head_of(read)),
                vault_check=await fact(read, VAULT_CHECK) or "",
                vault_key=wrapped,
                tables=draft.entries,
            )
        draft.finish(manifest)
    try:
        await _note(shop, path, manifest, actor)
    except Unavailable as error:  # who makes one because the shop's disk is full shall know that he has it
        words = f"{path} is complete, but the shop could not record that it was made."
        raise Unavailable(words, retry_after_seconds=2) from error.__cause__
    return path, manifest


async def _note(shop: Shop, path: Path, manifest: Manifest, actor: Actor) -> None:
    made_at = manifest.made_at.isoformat()
    async with shop.work(actor) as work:
        work.record(ShopBackedUp(shop.mode, manifest.schema, sum(one.rows for one in manifest.tables)))
        await rewrite(work, LAST_BACKUP, made_at)
        if _is_as_scheduled(shop.settings.backups, path, manifest):
            await rewrite(work, DONE, made_at)
            await clear(work, SUBJECT, FAILED)


async def last_backup(read: Read) -> datetime | None:
    """Of when the last whole one is, wherever it was put."""
    made = await fact(read, LAST_BACKUP)
    return datetime.fromisoformat(made) if made is not None else None


async def series(shop: Shop, read: Read) -> str:
    """What the names of scheduled ones begin with: shops that share a folder leave each other's alone."""
    return await fact(read, SERIES) or f"keysat-{shop.vault.check_value()[:8]}"


async def new_series(work: Work) -> None:
    """For a copy of a shop, which has made none yet, and removes none of the other's."""
    await rewrite(work, SERIES, f"keysat-{token(work.chance, 40)}")
    for name in (BEGUN, ENDED, DONE):
        await rewrite(work, name, None)


def _is_as_scheduled(wanted: Backups | None, path: Path, manifest: Manifest) -> bool:
    """Also one that was made by hand: it is where the next one would go, and as complete."""
    if wanted is None or path.resolve().parent != wanted.folder.resolve():
        return False
    return manifest.vault_key is not None or wanted.passphrase_file is None


def _place(to: Path, now: datetime) -> Path:
    return to / f"keysat-backup-{now:%Y%m%dT%H%M%SZ}.zip" if to.is_dir() else to


def _wrapped(shop: Shop, passphrase: str | None) -> WrappedKey | None:
    if passphrase is None:
        return None
    key = vault_key(shop.settings.vault_key, shop.settings.data_dir)
    if key is None:
        raise CannotOpen("The vault key is neither in KEYSAT_VAULT_KEY nor in the data directory.")
    return wrap(key, passphrase, shop.chance)


async def _schema(read: Read) -> str:
    """The revision. Raises CannotOpen when there may be more in the database than this release would read."""
    connection = await read.session.connection()
    schema = await connection.run_sync(revision_of)
    others = await connection.run_sync(strangers)
    if schema is None or schema != known_revisions()[0] or others:
        found = ", ".join(sorted(others)) or str(schema)
        raise CannotOpen(f"The database has a schema of another release ({found}): make the backup with that one.")
    return schema


async def _write_tables(read: Read, draft: Draft) -> None:
    for table in tables():
        columns = list(table.columns)
        with draft.table(str(table.name), [str(column.name) for column in columns]) as write:
            async for text, count in lines(read, columns):
                write(text, count)
