"""A key that lies under a passphrase: Argon2id (RFC 9106) makes a key of the words, and libsodium's SecretBox the rest.

The costs are libsodium's "moderate", 256 MiB and about a second, and stand beside the salt, so that later ones may be
higher.
"""

import msgspec
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id
from nacl.secret import SecretBox

from keysat.kit.errors import BadRequest
from keysat.kit.ids import Chance

PASSPHRASE_CHARACTERS_MIN = 12


class WrappedKey(msgspec.Struct, frozen=True):
    salt: bytes
    operations: int
    memory_bytes: int
    box: bytes


def wrap(key: bytes, passphrase: str, chance: Chance) -> WrappedKey:
    """Raises BadRequest for a passphrase of fewer than 12 characters."""
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise BadRequest(f"A passphrase has at least {PASSPHRASE_CHARACTERS_MIN} characters.")
    salt = chance.bytes(argon2id.SALTBYTES)
    operations, memory = argon2id.OPSLIMIT_MODERATE, argon2id.MEMLIMIT_MODERATE
    box = _box(passphrase, salt, operations, memory)
    return WrappedKey(salt, operations, memory, bytes(box.encrypt(key, chance.bytes(SecretBox.NONCE_SIZE))))


def unwrap(wrapped: WrappedKey, passphrase: str) -> bytes:
    """Raises BadRequest."""
    if wrapped.memory_bytes > argon2id.MEMLIMIT_SENSITIVE or wrapped.operations > argon2id.OPSLIMIT_SENSITIVE:
        raise BadRequest("The passphrase is hidden at a cost that no backup of ours has.")
    try:
        return _box(passphrase, wrapped.salt, wrapped.operations, wrapped.memory_bytes).decrypt(wrapped.box)
    except (CryptoError, ValueError):
        raise BadRequest("This is not the passphrase of the backup.") from None


def _box(passphrase: str, salt: bytes, operations: int, memory_bytes: int) -> SecretBox:
    return SecretBox(argon2id.kdf(SecretBox.KEY_SIZE, passphrase.encode(), salt, operations, memory_bytes))
