"""Public keys as they are published, read back: PEM, or the JSON that the shop's own doors answer."""

import base64
from collections.abc import Iterable
from contextlib import suppress

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from keysat.kit.licensekey import SignedKey
from keysat.licenses.ring import SPKI_PREFIX
from keysat.licenses.tables import IssuerStatus

KEY_BYTES = 32


class _One(msgspec.Struct, frozen=True):
    """`/v1/pubkey`, `/v1/issuer/public-key`, a line of `/v1/issuer/keys`, or a JWK (RFC 8037, 2)."""

    public_key_pem: str | None = None
    status: str | None = None
    kty: str | None = None
    crv: str | None = None
    x: str | None = None

    def key(self) -> bytes | None:
        """None for a compromised key, and for one of another kind."""
        if self.status == IssuerStatus.COMPROMISED:
            return None
        if self.public_key_pem is not None:
            return _of_pem(self.public_key_pem)
        if (self.kty, self.crv) != ("OKP", "Ed25519") or self.x is None:
            return None
        key = base64.b64decode(self.x + "=" * (-len(self.x) % 4), altchars=b"-_", validate=True)
        return key if len(key) == KEY_BYTES else None


class _Answer(_One, frozen=True):
    keys: list[_One] = []


def public_keys(text: str) -> list[bytes]:
    """The Ed25519 keys in it that may be trusted, 32 bytes each; none when the text is nothing of the kind."""
    try:
        if not text.lstrip().startswith("{"):
            return [_of_pem(text)]
        answer = msgspec.json.decode(text, type=_Answer)
        return [key for one in (answer, *answer.keys) if (key := one.key()) is not None]
    except (ValueError, msgspec.DecodeError):
        return []


def is_signed_by(signed: SignedKey, public_keys: Iterable[bytes]) -> bool:
    """By any of them."""
    for key in public_keys:
        with suppress(BadSignatureError):
            VerifyKey(key).verify(signed.payload_bytes, signed.signature)
            return True
    return False


def _of_pem(text: str) -> bytes:
    """SubjectPublicKeyInfo (RFC 8410, 4). Raises ValueError."""
    lines = (line.strip() for line in text.splitlines())
    der = base64.b64decode("".join(line for line in lines if not line.startswith("-----")), validate=True)
    if not der.startswith(SPKI_PREFIX) or len(der) != len(SPKI_PREFIX) + KEY_BYTES:
        raise ValueError("no Ed25519 public key")
    return der[len(SPKI_PREFIX) :]
