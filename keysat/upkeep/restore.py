"""A shop from a backup, on a host that has none: all of it, or nothing.

Everything is put in in one transaction, so that whoever is killed leaves an empty database behind, and may be repeated.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from keysat.infra.chain import Head, Verification, verify
from keysat.infra.events import Actor
from keysat.infra.house import MODE
from keysat.infra.migrate import BrokenReferences, check_references, known_revisions, rebuilding, revision_of, upgrade
from keysat.infra.private import make_private
from keysat.infra.settings import Settings
from keysat.infra.store import Store
from keysat.infra.tables import House
from keysat.infra.vault import KEY_FILE, Vault, keep_key, vault_key
from keysat.infra.work import Read, Work
from keysat.kit.clock import Clock
from keysat.kit.errors import BadRequest
from keysat.kit.ids import Chance
from keysat.subscriptions.openings import park
from keysat.subscriptions.tables import Subscription
from keysat.upkeep.archive import Archive, Manifest, opened
from keysat.upkeep.backup import new_series
from keysat.upkeep.happenings import ShopRestored
from keysat.upkeep.occupy import occupied
from keysat.upkeep.opening import CannotOpen, explained
from keysat.upkeep.rows import Loader, empty, is_empty, number_on, tables
from keysat.upkeep.wrapped_key import unwrap

RESTORED = "shop_restored"  # the kind of the call for attention, and why a subscription waits
RESTORER = Actor("restore")
COMPARE = (
    "This shop was restored from a backup of {at} UTC. What was paid after that is known to the payment provider "
    "alone: compare its list of invoices with the orders here."
)
ALTERED = (
    "Nothing was restored: somebody altered this shop before it was backed up. {flaw} Take an older backup, or this "
    "one with --accept-altered."
)
ASKED = (
    "This shop was restored from a backup, and since that was made the saved card may have been charged already. See "
    "at the provider whether it was, and try again if not."
)


@dataclass(frozen=True, slots=True)
class Restored:
    """`held`: how many subscriptions wait for a person, because their card may have been charged since."""

    manifest: Manifest
    held: int
    chain: Verification


async def restore(
    settings: Settings,
    path: Path,
    passphrase: str | None,
    clock: Clock,
    chance: Chance,
    *,
    accepts_altered: bool = False,
) -> Restored:
    """Raises CannotOpen: it is no backup, was altered, came without its key, or there is a shop here.

    `accepts_altered`: also a shop whose events somebody had altered before the backup was made.
    """
    with explained(settings), opened(path) as archive:
        manifest = archive.manifest
        check_schema(manifest)
        key = _key_of(settings, manifest, passphrase, chance)
        with occupied(settings):
            async with AsyncExitStack() as stack:
                store = Store(settings.database_url, chance)
                stack.push_async_callback(store.close)
                if store.is_sqlite:
                    make_private(Path(str(store.url.database)))
                async with rebuilding(store) as connection:
                    if not await connection.run_sync(_is_free, manifest.schema):
                        raise CannotOpen("There is something in this database already: restore into an empty one.")
                    chain = await fill(connection, archive)
                    if chain.flaw and not accepts_altered:
                        raise CannotOpen(ALTERED.format(flaw=chain.flaw))
                    held = await _resume(connection, manifest, clock, chance)
                    if settings.vault_key is None:
                        keep_key(settings.data_dir, key, chance)
    return Restored(manifest, held, chain)


def _is_free(connection: Connection, schema: str) -> bool:
    """No table is there; or those that some command has made where no shop was ever set up."""
    if is_empty(connection):
        return True
    return (
        revision_of(connection) == schema
        and connection.execute(select(House.value).where(House.name == MODE)).first() is None
    )


def check_schema(manifest: Manifest) -> None:
    known = known_revisions()
    if manifest.schema not in known:
        raise BadRequest(
            f"The backup was made by Keysat {manifest.keysat} with schema {manifest.schema}, and this one knows "
            f"{known[0]}: restore it with that release."
        )


def _key_of(settings: Settings, manifest: Manifest, passphrase: str | None, chance: Chance) -> bytes:
    """The vault key that fits, before anything is written. Raises CannotOpen, BadRequest, VaultError."""
    key = vault_key(settings.vault_key, settings.data_dir)
    if key is None and passphrase is not None and manifest.vault_key is not None:
        key = unwrap(manifest.vault_key, passphrase)
    if key is None:
        place = settings.data_dir / KEY_FILE
        also = "give the passphrase it was made with, or " if manifest.vault_key is not None else ""
        raise CannotOpen(f"The backup needs its vault key: {also}set KEYSAT_VAULT_KEY, or put the file to {place}.")
    if not Vault(key, chance).matches(manifest.vault_check):
        where = "KEYSAT_VAULT_KEY" if settings.vault_key is not None else f"The key in {settings.data_dir / KEY_FILE}"
        raise CannotOpen(f"{where} is not the vault key of this backup.")
    return key


async def fill(connection: AsyncConnection, archive: Archive) -> Verification:
    """At the schema that it was made with, and then on to that of this release. Raises BadRequest.

    Returns what its chain of events is worth: what was altered before the backup was made is still as altered.
    """
    manifest = archive.manifest
    entries = {entry.name: entry for entry in manifest.tables}
    await connection.run_sync(upgrade, to=manifest.schema)
    await connection.run_sync(empty)  # of what migrations put in
    for table in tables():
        entry = entries.pop(table.name, None)
        if entry is not None:
            with archive.table(entry) as text:
                await Loader(table, entry.columns).load(connection, text)
    if entries:
        raise BadRequest(f"The backup has tables that this Keysat does not know: {', '.join(entries)}.")
    await number_on(connection)
    await connection.run_sync(upgrade)
    try:
        await connection.run_sync(check_references)
    except BrokenReferences as error:
        raise BadRequest(f"The backup is not whole: {error}") from error
    async with AsyncSession(connection) as session:
        return await verify(Read(session), Head.read(manifest.head))


async def _resume(connection: AsyncConnection, manifest: Manifest, clock: Clock, chance: Chance) -> int:
    """What the shop must know of its own past: it missed what happened since the backup."""
    async with AsyncSession(connection, expire_on_commit=False) as session:
        work, made_at = Work(session, clock.now(), RESTORER, chance), manifest.made_at
        await work.attend(RESTORED, made_at.isoformat(), COMPARE.format(at=f"{made_at:%Y-%m-%d %H:%M}"))
        due = Subscription.profile_id.is_not(None) & (Subscription.next_attempt_at <= work.now)
        charged = (await session.scalars(select(Subscription).where(due))).all()
        for subscription in charged:
            await park(work, subscription, RESTORED, ASKED)
        await new_series(work)
        work.record(ShopRestored(manifest.mode, made_at))
        await session.flush()
        await work.write_events()
        return len(charged)
