"""The license key as text and as values: `LIC1-` base32(payload) `-` base32(signature).

The format is the public contract's, section 1; apps in the field hold keys of it, so it never changes. A payload of
version 1 has 74 bytes, has no expiry and no entitlements, and is read for ever; only version 2 is written. Ids are any
16 bytes. Whether a signature holds is not decided here: it covers the payload bytes as received.
"""

import base64
import hashlib
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from keysat.kit.errors import BadRequest

PREFIX = "LIC1"
SIGNATURE_BYTES = 64
VERSION = 2
BOUND = 0x01
TRIAL = 0x02
UNBOUND_HASH = bytes(32)

_V1 = struct.Struct(">BB16s16sQ32s")
_V2 = struct.Struct(">BB16s16sQQ32sB")
ENTITLEMENTS_MAX = 255
ENTITLEMENT_BYTES_MAX = 255
_PAYLOAD_BYTES_MAX = _V2.size + ENTITLEMENTS_MAX * (1 + ENTITLEMENT_BYTES_MAX)
_TEXT_MAX = len(PREFIX) + 2 + -(-_PAYLOAD_BYTES_MAX * 8 // 5) + 103
_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]*")

# RFC 4648 base32 differs from Python's digits of base 32 only by its letters. Translating and reading the text as one
# number is seven times faster than the standard library's decoder. Whatever is no letter becomes "!", no digit at all,
# because int() alone would let signs, spaces and underscores pass.
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_DIGITS = b"0123456789abcdefghijklmnopqrstuv"
_TO_DIGITS = bytearray(b"!" * 256)
for _letter, _digit in zip(_LETTERS + _LETTERS.lower(), _DIGITS + _DIGITS, strict=True):
    _TO_DIGITS[_letter] = _digit
_IMPOSSIBLE_LENGTHS = frozenset({1, 3, 6})  # modulo 8: no number of bytes has so many characters


class BadFormat(ValueError):
    """The text is no license key: the contract's `bad_format`."""


@dataclass(frozen=True, slots=True)
class Payload:
    version: int
    flags: int
    """Bits 2 to 7 mean nothing and are no error."""
    product_id: UUID
    license_id: UUID
    issued_at: int
    """Unix seconds, 64 bits without a sign; so is `expires_at`."""
    expires_at: int
    """0: never."""
    fingerprint_hash: bytes
    """32 bytes, zeros when the key is not bound to a machine."""
    entitlements: tuple[str, ...]

    @property
    def is_bound(self) -> bool:
        return bool(self.flags & BOUND)

    @property
    def is_trial(self) -> bool:
        return bool(self.flags & TRIAL)


@dataclass(frozen=True, slots=True)
class SignedKey:
    payload: Payload
    payload_bytes: bytes
    """As received: what the signature covers."""
    signature: bytes


def parse(text: str) -> SignedKey:
    """Outer white space is trimmed; the prefix is in capitals, the rest in any case. Raises BadFormat."""
    trimmed = text.strip()
    parts = trimmed.split("-", 3)
    if len(parts) != 3 or parts[0] != PREFIX or len(trimmed) > _TEXT_MAX:
        raise BadFormat("a license key is LIC1, a payload and a signature, joined by hyphens")
    payload_bytes, signature = _decode(parts[1]), _decode(parts[2])
    if len(signature) != SIGNATURE_BYTES:
        raise BadFormat(f"a signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
    return SignedKey(parse_payload(payload_bytes), payload_bytes, signature)


def parse_payload(payload: bytes) -> Payload:
    """Raises BadFormat."""
    version = payload[0] if payload else None
    if version == 1 and len(payload) == _V1.size:
        _, flags, product, license_, issued_at, fingerprint = _V1.unpack(payload)
        return Payload(1, flags, UUID(bytes=product), UUID(bytes=license_), issued_at, 0, fingerprint, ())
    if version == 2 and len(payload) >= _V2.size:
        _, flags, product, license_, issued_at, expires_at, fingerprint, count = _V2.unpack_from(payload)
        entitlements = _parse_entitlements(payload, count)
        ids = UUID(bytes=product), UUID(bytes=license_)
        return Payload(2, flags, *ids, issued_at, expires_at, fingerprint, entitlements)
    raise BadFormat(f"no payload of version {version} has {len(payload)} bytes")


def encode(payload: Payload) -> bytes:
    """The bytes to sign. Raises ValueError for another version than 2 and for what its fields cannot hold."""
    entitlements = [entitlement.encode() for entitlement in payload.entitlements]
    if payload.version != VERSION or len(payload.fingerprint_hash) != len(UNBOUND_HASH):
        raise ValueError("only payloads of version 2, with a fingerprint hash of 32 bytes, are written")
    if len(entitlements) > ENTITLEMENTS_MAX or any(len(each) > ENTITLEMENT_BYTES_MAX for each in entitlements):
        raise ValueError("a key holds at most 255 entitlements of at most 255 bytes")
    try:
        head = _V2.pack(
            payload.version,
            payload.flags,
            payload.product_id.bytes,
            payload.license_id.bytes,
            payload.issued_at,
            payload.expires_at,
            payload.fingerprint_hash,
            len(entitlements),
        )
    except struct.error as error:
        raise ValueError(f"flags or times that a key cannot hold: {error}") from error
    return head + b"".join(bytes([len(each)]) + each for each in entitlements)


def assemble(payload_bytes: bytes, signature: bytes) -> str:
    """The key as it is sold, in capitals. Raises ValueError for a signature that is not 64 bytes."""
    if len(signature) != SIGNATURE_BYTES:
        raise ValueError(f"a signature has {SIGNATURE_BYTES} bytes, not {len(signature)}")
    return f"{PREFIX}-{_base32(payload_bytes)}-{_base32(signature)}"


def fingerprint_hash(raw: str) -> bytes:
    """SHA-256 of the app's own text, neither salted nor normalised (contract 1.9)."""
    return hashlib.sha256(raw.encode()).digest()


def check_entitlements(entitlements: Sequence[str]) -> None:
    """Raises BadRequest for what a key cannot hold. For the moment a tier is written, so that no sale fails later."""
    if len(entitlements) > ENTITLEMENTS_MAX:
        raise BadRequest(f"a key holds at most {ENTITLEMENTS_MAX} entitlements, not {len(entitlements)}")
    for entitlement in entitlements:
        if len(entitlement) > ENTITLEMENT_BYTES_MAX or not _SLUG.fullmatch(entitlement):
            raise BadRequest(
                f"{entitlement[:64]!r} is not an entitlement: use up to {ENTITLEMENT_BYTES_MAX} of a-z, 0-9, _ and -, "
                "beginning with a letter or a digit"
            )


def _parse_entitlements(payload: bytes, count: int) -> tuple[str, ...]:
    """The list must end exactly where the payload does."""
    entitlements: list[str] = []
    at = _V2.size
    for _ in range(count):
        if at >= len(payload):
            raise BadFormat("the list of entitlements is cut off")
        start, at = at + 1, at + 1 + payload[at]
        try:
            entitlements.append(payload[start:at].decode())
        except UnicodeDecodeError:
            raise BadFormat("an entitlement is not UTF-8") from None
    if at != len(payload):
        raise BadFormat("the list of entitlements does not end with the payload")
    return tuple(entitlements)


def _decode(body: str) -> bytes:
    """Canonical base32 only: no impossible length, no bits left over, so that no two bodies give the same bytes."""
    if len(body) % 8 in _IMPOSSIBLE_LENGTHS:
        raise BadFormat("no base32 has this length")
    try:
        value = int(body.encode("ascii").translate(_TO_DIGITS), 32)
    except ValueError:
        raise BadFormat("this is not base32") from None
    size, surplus_bits = divmod(len(body) * 5, 8)
    if value & ((1 << surplus_bits) - 1):
        raise BadFormat("the last character of base32 has bits left over")
    return (value >> surplus_bits).to_bytes(size)


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=")
