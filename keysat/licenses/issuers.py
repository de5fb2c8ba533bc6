"""Issuer keys: made, announced, rotated, given up, written down as words and brought back.

Call `Ring.refresh` after the commit.
"""

import hashlib

from mnemonic import Mnemonic
from nacl.signing import SigningKey
from sqlalchemy import exists, select, update

from keysat.infra.vault import Vault
from keysat.infra.work import Read, Work
from keysat.kit.errors import BadRequest, Conflict
from keysat.licenses.happenings import IssuerKeyAdded, IssuerKeyMoved, IssuerLicensesMoved
from keysat.licenses.ring import VAULT_PURPOSE
from keysat.licenses.tables import ISSUER, IssuerKey, IssuerStatus, IssuerStep, License

SEED_BYTES = 32  # RFC 8032, 5.1.5; as BIP-39 entropy these are 24 words


async def create_first(work: Work, vault: Vault) -> IssuerKey:
    """The key of a new shop. A shop that has a signing key keeps it."""
    return await signing_key(work) or await _add(work, vault, _chosen(work), IssuerStatus.SIGNING, "created")


async def announce(work: Work, vault: Vault) -> IssuerKey:
    """A key that is published but does not sign yet, so that apps can carry it before it is needed.

    Raises Conflict when one is announced already.
    """
    if await _one(work, IssuerStatus.ANNOUNCED) is not None:
        raise Conflict("An issuer key is announced already: rotate to it first.")
    return await _add(work, vault, _chosen(work), IssuerStatus.ANNOUNCED, "created")


async def rotate(work: Work, vault: Vault) -> IssuerKey:
    """The announced key, else a new one, signs new licenses from now on; the present one goes on with its own."""
    await _retire_signing(work)
    announced = await _one(work, IssuerStatus.ANNOUNCED)
    if announced is None:
        return await _add(work, vault, _chosen(work), IssuerStatus.SIGNING, "created")
    await work.advance(ISSUER, announced, IssuerStep.PROMOTE, signing_from=work.now)
    _record_move(work, announced)
    return announced


async def mark_compromised(work: Work, key_id: str) -> IssuerKey:
    """Its signatures count only until the licenses are signed again by another.

    Raises BadRequest when there is no such key, Conflict while it is the one that signs: rotate first.
    """
    key = await _named(work, key_id)
    if key.status is IssuerStatus.SIGNING:
        raise Conflict("This issuer key signs new licenses: rotate first, then mark it as compromised.")
    await work.advance(ISSUER, key, IssuerStep.COMPROMISE, compromised_at=work.now)
    _record_move(work, key)
    return key


async def move_licenses(work: Work, key_id: str) -> int:
    """Let the signing key sign all licenses of a compromised one; their keys so far become `bad_signature` online.

    Returns how many. Raises BadRequest when there is no such key, Conflict when it is not compromised.
    """
    key, signing = await _named(work, key_id), await signing_key(work)
    if key.status is not IssuerStatus.COMPROMISED or signing is None:
        raise Conflict("Only the licenses of a compromised issuer key are signed again: mark it as compromised first.")
    moved = await work.session.scalars(
        update(License)
        .where(License.issuer_key_id == key.id)
        .values(issuer_key_id=signing.id)
        .returning(License.id)
        .execution_options(synchronize_session=False, is_long=True)
    )
    count = len(moved.all())
    work.record(IssuerLicensesMoved(key.id, signing.id, count))
    return count


async def restore(work: Work, vault: Vault, words: str) -> IssuerKey:
    """Bring a written-down key back; every key it ever signed verifies again.

    It signs when no license was sold under another signing key yet, as on an empty host; else it verifies.
    Raises BadRequest for words that are no key's.
    """
    seed = seed_of(words)
    there = await work.session.scalar(select(IssuerKey).where(IssuerKey.public_key == _public(seed)))
    signing = await signing_key(work)
    takes_over = signing is None or not await _has_licenses(work, signing)
    if there is not None and ((there.status, IssuerStep.PROMOTE) not in ISSUER or not takes_over):
        return there  # it signs already, or its secret is known to others
    if takes_over:
        await _retire_signing(work)
    if there is None:
        status = IssuerStatus.SIGNING if takes_over else IssuerStatus.VERIFYING
        return await _add(work, vault, seed, status, "restored")
    await work.advance(ISSUER, there, IssuerStep.PROMOTE, signing_from=work.now)
    _record_move(work, there)
    return there


async def words_of_key(read: Read, vault: Vault, key_id: str) -> str:
    """Raises BadRequest when there is no such key."""
    return words_of(vault.open((await _named(read, key_id)).sealed_seed, VAULT_PURPOSE))


async def signing_key(read: Read) -> IssuerKey | None:
    return await _one(read, IssuerStatus.SIGNING)


def words_of(seed: bytes) -> str:
    """24 English words of BIP-39, the last with a checksum. They are the secret itself."""
    return Mnemonic("english").to_mnemonic(seed)


def seed_of(words: str) -> bytes:
    """Case and white space do not matter. Raises BadRequest, which repeats none of the words."""
    try:
        seed = bytes(Mnemonic("english").to_entropy(words.lower().split()))
    except (ValueError, LookupError):
        seed = b""
    if len(seed) != SEED_BYTES:
        raise BadRequest("These are not the 24 words of an issuer key: check their order and spelling.")
    return seed


def key_id_of(public_key: bytes) -> str:
    return hashlib.sha256(public_key).hexdigest()[:16]


async def _add(work: Work, vault: Vault, seed: bytes, status: IssuerStatus, source: str) -> IssuerKey:
    public = _public(seed)
    key = IssuerKey(
        id=work.new_id(),
        key_id=key_id_of(public),
        public_key=public,
        sealed_seed=vault.seal(seed, VAULT_PURPOSE),
        status=status,
        created_at=work.now,
        signing_from=work.now if status is IssuerStatus.SIGNING else None,
        verifying_from=work.now if status is IssuerStatus.VERIFYING else None,
    )
    work.session.add(key)
    await work.session.flush()
    work.record(IssuerKeyAdded(issuer_key_id=key.id, key_id=key.key_id, status=status.value, source=source))
    return key


async def _retire_signing(work: Work) -> None:
    signing = await signing_key(work)
    if signing is not None:
        await work.advance(ISSUER, signing, IssuerStep.RETIRE, verifying_from=work.now)
        _record_move(work, signing)


async def _named(read: Read, key_id: str) -> IssuerKey:
    key = await read.session.scalar(select(IssuerKey).where(IssuerKey.key_id == key_id))
    if key is None:
        raise BadRequest(f"There is no issuer key {key_id}.")
    return key


async def _one(read: Read, status: IssuerStatus) -> IssuerKey | None:
    return await read.session.scalar(
        select(IssuerKey).where(IssuerKey.status == status).order_by(IssuerKey.created_at).limit(1)
    )


async def _has_licenses(read: Read, key: IssuerKey) -> bool:
    return bool(await read.session.scalar(select(exists().where(License.issuer_key_id == key.id))))


def _record_move(work: Work, key: IssuerKey) -> None:
    work.record(IssuerKeyMoved(key.id, key.key_id, key.status.value))


def _chosen(work: Work) -> bytes:
    return work.chance.bytes(SEED_BYTES)


def _public(seed: bytes) -> bytes:
    return bytes(SigningKey(seed).verify_key)
