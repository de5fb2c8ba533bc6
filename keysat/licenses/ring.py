"""The ring: the issuer keys, opened, in memory. It signs keys and tells whether a presented one was signed by us."""

import base64
import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey
from sqlalchemy import select

from keysat.infra.store import Store
from keysat.infra.vault import Vault
from keysat.infra.work import Read
from keysat.kit.errors import Unavailable
from keysat.kit.licensekey import BadFormat, SignedKey, parse
from keysat.licenses.tables import IssuerKey, IssuerStatus
from keysat.licenses.verdict import Reason, Signer

VAULT_PURPOSE = "issuer-key"
VERIFIED_MOST = 20_000  # remembered signatures, of 32 bytes each and a reference
REFRESH_EVERY = timedelta(seconds=5)  # at most, on account of signatures that do not hold
LOOK_EVERY = timedelta(minutes=1)  # in any case, so that a compromise marked elsewhere is learned of
SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")  # RFC 8410, 4


@dataclass(frozen=True, slots=True)
class OpenKey:
    """An issuer key that can sign. The secret stays inside `signer`, which is not shown."""

    id: UUID
    key_id: str
    public_key: bytes
    status: IssuerStatus
    created_at: datetime
    signing_from: datetime | None
    signer: SigningKey = field(repr=False)
    verifier: VerifyKey = field(repr=False)

    @property
    def as_signer(self) -> Signer:
        return Signer(self.id, self.status is IssuerStatus.COMPROMISED)


@dataclass(frozen=True, slots=True)
class Presented:
    """A key as it came in: what it says and who signed it, or why it is none (`bad_format`, `bad_signature`)."""

    signed: SignedKey | None
    signer: Signer | None
    reason: Reason | None = None


class Ring:
    """Keys that another process added are found: an unknown id or a signature that does not hold lets it look again."""

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault
        self._keys: dict[UUID, OpenKey] = {}
        self._verified: dict[bytes, Signer] = {}
        self._looked_at: datetime | None = None

    @classmethod
    async def open(cls, store: Store, vault: Vault) -> "Ring":
        """Raises VaultError when the vault key is not the one that the issuer keys were sealed with."""
        ring = cls(store, vault)
        await ring.refresh()
        return ring

    async def refresh(self) -> None:
        """Call after each act of `issuers`; the other processes follow by themselves."""
        async with self._store.read() as read:
            await self._learn(read)

    async def fresh(self, now: datetime, most: timedelta = REFRESH_EVERY) -> None:
        """Look again unless that was done a moment ago: for pages that publish the keys."""
        if self._looked_at is None or not timedelta() <= now - self._looked_at < most:
            self._looked_at = now
            await self.refresh()

    @property
    def keys(self) -> list[OpenKey]:
        """The oldest first."""
        return list(self._keys.values())

    @property
    def signing(self) -> OpenKey:
        """Raises Unavailable when the shop has no issuer key yet."""
        for key in self._keys.values():
            if key.status is IssuerStatus.SIGNING:
                return key
        raise Unavailable("This shop has no issuer key yet.")

    def find(self, key_id: str) -> OpenKey | None:
        return next((key for key in self._keys.values() if key.key_id == key_id), None)

    async def verify(self, signed: SignedKey, now: datetime) -> Signer | None:
        """Whose signature this is, or None. What that of a compromised issuer counts is the verdict's to decide."""
        await self.fresh(now, LOOK_EVERY)
        digest = hashlib.sha256(signed.signature + signed.payload_bytes).digest()
        known = self._verified.get(digest)
        if known is not None:
            return known
        signer = self._try_all(signed)
        if signer is None:
            before = self._keys
            await self.fresh(now)
            if self._keys is not before:
                signer = self._try_all(signed)
        if signer is not None:
            if len(self._verified) >= VERIFIED_MOST:
                del self._verified[next(iter(self._verified))]
            self._verified[digest] = signer
        return signer

    async def sign(self, read: Read, issuer_key_id: UUID, payload_bytes: bytes) -> bytes:
        """64 bytes. Raises LookupError for an issuer key that is not there.

        A key that another process made is looked up through the caller's `read`: who already holds a connection
        and waits for a second one may wait for ever.
        """
        if issuer_key_id not in self._keys:
            await self._learn(read)
        return self._keys[issuer_key_id].signer.sign(payload_bytes).signature

    async def _learn(self, read: Read) -> None:
        keys: dict[UUID, OpenKey] = {row.id: self._reopened(row) for row in await issuer_keys(read)}
        if keys != self._keys:
            self._keys = keys
            self._verified.clear()

    def _reopened(self, row: IssuerKey) -> OpenKey:
        known = self._keys.get(row.id)
        return known if known is not None and known.status is row.status else _opened(row, self._vault)

    def _try_all(self, signed: SignedKey) -> Signer | None:
        for key in self._keys.values():
            try:
                key.verifier.verify(signed.payload_bytes, signed.signature)
            except BadSignatureError:
                continue
            return key.as_signer
        return None


async def issuer_keys(read: Read) -> list[IssuerKey]:
    return list(await read.session.scalars(select(IssuerKey).order_by(IssuerKey.created_at, IssuerKey.id)))


async def present(ring: Ring, text: str, now: datetime) -> Presented:
    """Parse and verify. The doors do this first, since limits go by the license id of keys that hold."""
    try:
        signed = parse(text)
    except BadFormat:
        return Presented(None, None, Reason.BAD_FORMAT)
    signer = await ring.verify(signed, now)
    return Presented(signed, signer, None if signer else Reason.BAD_SIGNATURE)


def public_pem(public_key: bytes) -> str:
    """SubjectPublicKeyInfo, exactly as the contract's 1.8: one line of base64, LF, and one at the end."""
    body = base64.b64encode(SPKI_PREFIX + public_key).decode()
    return f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"


def jwk(key: OpenKey) -> dict[str, str]:
    """RFC 8037, 2: an octet key pair, its public half."""
    x = base64.urlsafe_b64encode(key.public_key).decode().rstrip("=")
    return {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.key_id, "x": x}


def jwks(ring: Ring) -> dict[str, list[dict[str, str]]]:
    """RFC 7517, 5. Compromised keys are not in it: who trusts the set must not trust them."""
    return {"keys": [jwk(key) for key in ring.keys if key.status is not IssuerStatus.COMPROMISED]}


def _opened(row: IssuerKey, vault: Vault) -> OpenKey:
    signer = SigningKey(vault.open(row.sealed_seed, VAULT_PURPOSE))
    return OpenKey(
        row.id, row.key_id, row.public_key, row.status, row.created_at, row.signing_from, signer, signer.verify_key
    )
