"""The drill: a backup is restored for a trial and thrown away, so that its worth is known before it is needed."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import InstrumentedAttribute

from keysat.infra.chain import Verification
from keysat.infra.migrate import rebuilding
from keysat.infra.seals import seal
from keysat.infra.setting_values import SQLITE
from keysat.infra.store import Store
from keysat.infra.vault import Vault, VaultError
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest
from keysat.kit.ids import Chance
from keysat.licenses.ring import VAULT_PURPOSE
from keysat.licenses.tables import IssuerKey
from keysat.operators import totp
from keysat.operators.tables import Account
from keysat.payments.tables import ConnectionRow
from keysat.payments.tills import SECRETS
from keysat.upkeep.archive import Manifest, opened
from keysat.upkeep.restore import check_schema, fill
from keysat.upkeep.wrapped_key import unwrap
from keysat.webhooks import endpoints
from keysat.webhooks.tables import EndpointSecret

SEALED: tuple[tuple[InstrumentedAttribute[bytes] | InstrumentedAttribute[bytes | None], str], ...] = (
    (IssuerKey.sealed_seed, VAULT_PURPOSE),
    (ConnectionRow.secrets_sealed, SECRETS),
    (EndpointSecret.sealed, endpoints.SEALED_AS),
    (Account.totp_sealed, totp.SEALED_AS),
)
"""What a shop cannot go on without, and under which purpose it was sealed."""

Look = Callable[[Read, datetime], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Drilled:
    """`wrong`: a sentence for each thing that does not hold. `opened`: how many secrets; None: untried, or in vain."""

    manifest: Manifest
    chain: Verification
    wrong: list[str]
    opened: int | None


async def drill(path: Path, key: bytes | None, passphrase: str | None, look: Look, chance: Chance) -> Drilled:
    """Restores it into a temporary folder. `look` is the doctor. Raises BadRequest for what would not be restored."""
    async with AsyncExitStack() as stack:
        archive = stack.enter_context(opened(path))
        manifest = archive.manifest
        check_schema(manifest)
        if key is None and passphrase is not None:
            key = _unwrapped(manifest, passphrase)
        folder = stack.enter_context(TemporaryDirectory(prefix="keysat-drill-"))
        store = Store(f"{SQLITE}{folder}/keysat.db", chance)
        stack.push_async_callback(store.close)
        try:
            async with rebuilding(store) as connection:
                chain = await fill(connection, archive)
        except DBAPIError as error:
            raise BadRequest(f"{path} cannot be restored: {error.orig}.") from error
        await seal(store, manifest.made_at)
        async with store.read() as read:
            wrong = [line for line in await look(read, manifest.made_at) if line != chain.flaw]
            if chain.flaw:
                wrong = [chain.flaw, *wrong]
            count = None
            if key is not None:
                try:
                    count = await _open_all(read, Vault(key, chance), manifest)
                except VaultError as error:
                    wrong.append(f"{error}.")
    return Drilled(manifest, chain, wrong, count)


def _unwrapped(manifest: Manifest, passphrase: str) -> bytes:
    if manifest.vault_key is None:
        raise BadRequest("The backup was made without a passphrase: give the vault key, with --key.")
    return unwrap(manifest.vault_key, passphrase)


async def _open_all(read: Read, vault: Vault, manifest: Manifest) -> int:
    """How many there are. Raises VaultError."""
    if not vault.matches(manifest.vault_check):
        raise VaultError("The key is not the vault key of this backup: its secrets do not open")
    count = 0
    for column, purpose in SEALED:
        for sealed in await read.session.scalars(select(column).where(column.is_not(None))):
            vault.open(sealed or b"", purpose)
            count += 1
    return count
