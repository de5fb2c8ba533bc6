"""What must not be read from a stolen database: sealed with one key that lives outside it.

The key is KEYSAT_VAULT_KEY, else `vault.key` beside the database. Whoever loses it loses issuer keys and credentials: a
backup of the database alone is worth little, to a thief and to the operator.
"""

import base64
import os
import stat
from contextlib import suppress
from hashlib import blake2b
from hmac import compare_digest
from pathlib import Path

from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from keysat.infra.setting_values import VAULT_KEY_BYTES, Secret, key_bytes
from keysat.kit.ids import Chance

KEY_FILE = "vault.key"
FILE_BYTES_MAX = 256

_VERSION = b"\x01"


class VaultError(Exception):
    """Sealed under another key or purpose, damaged, or the key itself cannot be used. Tells nothing of the content."""


class Vault:
    """Each purpose has a key of its own, so that what was sealed for one cannot be passed off as another.

    Purposes are fixed words of the code, such as `issuer-key` or `webhook-secret`.
    """

    def __init__(self, key: bytes, chance: Chance) -> None:
        if len(key) != VAULT_KEY_BYTES:
            raise VaultError(f"the vault key has {len(key)} bytes instead of {VAULT_KEY_BYTES}")
        self._key = key
        self._chance = chance

    def seal(self, plain: bytes, purpose: str) -> bytes:
        """41 bytes longer than `plain`: version, nonce, tag (XSalsa20-Poly1305). No two seals are alike."""
        nonce = self._chance.bytes(SecretBox.NONCE_SIZE)
        return _VERSION + bytes(self._box(purpose).encrypt(plain, nonce))

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Raises VaultError."""
        try:
            if sealed[:1] != _VERSION:
                raise CryptoError
            return self._box(purpose).decrypt(sealed[1:])
        except (CryptoError, ValueError):
            raise VaultError(f"what was sealed as {purpose!r} does not open with this vault key") from None

    def derive(self, purpose: str, message: bytes, size: int = 32) -> bytes:
        """The same `size` bytes (1 to 64) each time: for codes that are shown again but not stored."""
        return blake2b(message, key=self._subkey(b"derive", purpose), digest_size=size).digest()

    def check_value(self) -> str:
        """32 hex digits that tell two keys apart and nothing else: kept in the database."""
        return self._subkey(b"check", "")[:16].hex()

    def matches(self, check_value: str) -> bool:
        return compare_digest(self.check_value().encode(), check_value.encode())

    def __repr__(self) -> str:
        return "Vault(...)"

    def _box(self, purpose: str) -> SecretBox:
        return SecretBox(self._subkey(b"seal", purpose))

    def _subkey(self, use: bytes, purpose: str) -> bytes:
        """Keyed BLAKE2b (RFC 7693); `person` keeps sealing, deriving and checking apart."""
        return blake2b(purpose.encode(), key=self._key, person=b"keysat." + use, digest_size=32).digest()


def load_vault(settings_key: Secret | None, data_dir: Path, chance: Chance) -> Vault:
    """The environment's key, else the file's; a file that is not there yet is made.

    Raises VaultError when the file is readable by others or holds no key, OSError when the disk refuses.
    """
    key = vault_key(settings_key, data_dir)
    if key is None:
        keep_key(data_dir, chance.bytes(VAULT_KEY_BYTES), chance)
        key = read_key(data_dir / KEY_FILE)  # of two daemons that start at once, the first one's
    return Vault(key, chance)


def vault_key(settings_key: Secret | None, data_dir: Path) -> bytes | None:
    """The environment's key, else the file's; None where there is neither. Raises VaultError, OSError."""
    if settings_key is not None:
        return key_bytes(settings_key.reveal())
    path = data_dir / KEY_FILE
    return read_key(path) if path.exists() else None


def keep_key(data_dir: Path, key: bytes, chance: Chance) -> None:
    """Writes the file, unless there is one.

    All or nothing: a power cut leaves no half key, and of two daemons starting at once both read the first one's.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = data_dir / KEY_FILE
    draft = path.with_name(f"{path.name}.{chance.bytes(8).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.urlsafe_b64encode(key) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)  # unlike a rename, it never replaces a key that is there
    finally:
        draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_key(path: Path) -> bytes:
    """From a file such as `vault.key`. Raises VaultError, OSError."""
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        text = file.read(FILE_BYTES_MAX)
    if stat.S_IMODE(mode) & 0o077:
        raise VaultError(f"{path} can be read by others: run `chmod 600 {path}`")
    try:
        return key_bytes(text.decode("ascii"))
    except ValueError:
        raise VaultError(
            f"{path} does not hold a vault key (32 bytes as base64url): put back the file from your backup"
        ) from None
