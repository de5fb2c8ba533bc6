"""License keys read without a server, after the public contract's section 1 alone, with none of Keysat's code."""

import base64
import struct
from dataclasses import dataclass
from uuid import UUID

from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

SPKI_ED25519 = bytes.fromhex("302a300506032b6570032100")
HEAD = struct.Struct(">BB16s16sQ")
V1_BYTES = 74
V2_FIXED_BYTES = 83
SIGNATURE_BYTES = 64


class KeyRefused(Exception):
    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Said:
    version: int
    flags: int
    product_id: UUID
    license_id: UUID
    issued_at: int
    expires_at: int
    """Unix seconds; 0 = for ever."""
    fingerprint_hash: bytes
    entitlements: tuple[str, ...]

    def is_expired(self, at: int) -> bool:
        return self.expires_at != 0 and at >= self.expires_at


def read_payload(raw: bytes, *, to_the_end: bool = True) -> Said:
    """1.2 and 1.3. `to_the_end`: bytes after the entitlements are refused, which Go takes. Raises KeyRefused."""
    try:
        version, flags, product, license, issued_at = HEAD.unpack_from(raw)
        if version == 1 and len(raw) == V1_BYTES:
            return Said(1, flags, UUID(bytes=product), UUID(bytes=license), issued_at, 0, raw[42:74], ())
        if version != 2 or len(raw) < V2_FIXED_BYTES:
            raise KeyRefused("bad_format")
        expires_at = int.from_bytes(raw[42:50], "big")
        entitlements, at = list[str](), V2_FIXED_BYTES
        for _ in range(raw[82]):
            end = at + 1 + raw[at]
            if end > len(raw):
                raise KeyRefused("bad_format")
            entitlements.append(raw[at + 1 : end].decode())
            at = end
    except (struct.error, IndexError, UnicodeDecodeError):
        raise KeyRefused("bad_format") from None
    if to_the_end and at != len(raw):
        raise KeyRefused("bad_format")
    ids = UUID(bytes=product), UUID(bytes=license)
    return Said(2, flags, *ids, issued_at, expires_at, raw[50:82], tuple(entitlements))


def pem_body(pem: str) -> bytes:
    """What stands between a PEM's first and last line. Raises KeyRefused when it is no `PUBLIC KEY`."""
    first, *middle, last = pem.strip().splitlines()
    if (first, last) != ("-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"):
        raise KeyRefused("bad_format")
    return base64.b64decode("".join(middle), validate=True)


def spki_key(pem: str) -> VerifyKey:
    """Of the whole SubjectPublicKeyInfo, as a library of ASN.1 reads it."""
    der = pem_body(pem)
    if not der.startswith(SPKI_ED25519) or len(der) != len(SPKI_ED25519) + 32:
        raise KeyRefused("bad_format")
    return VerifyKey(der[len(SPKI_ED25519) :])


def three_parts(key: str) -> list[str]:
    """Payload and signature, as they are written. Raises KeyRefused."""
    prefix, *parts = key.split("-")
    if prefix != "LIC1" or len(parts) != 2:
        raise KeyRefused("bad_format")
    return parts


def verified(said: Said, public_key: VerifyKey, payload: bytes, signature: bytes, at: int) -> Said:
    """What the payload said, once its signature holds and while it has not expired. Raises KeyRefused."""
    if len(signature) != SIGNATURE_BYTES:
        raise KeyRefused("bad_format")
    try:
        public_key.verify(payload, signature)
    except BadSignatureError:
        raise KeyRefused("bad_signature") from None
    if said.is_expired(at):
        raise KeyRefused("expired")
    return said
