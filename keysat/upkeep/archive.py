"""The file of a backup: a zip with `manifest.json` and for each table `<table>.jsonl`; of one moment, of any database.

Its comment is the SHA-256 of all that stands before it, in hex: whatever byte is another one, the file is refused. It
is not encrypted, but what is sealed in the database is sealed in it; the vault key is in it under a passphrase only.
"""

import hashlib
import os
import zipfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, BinaryIO, Literal

import msgspec

from keysat.infra.house import Mode
from keysat.kit.errors import BadRequest
from keysat.kit.ids import Chance, token
from keysat.upkeep.wrapped_key import WrappedKey

FORMAT = "keysat-backup/1"
MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 4 * 1024 * 1024
DIGEST_CHARACTERS = 64
READ_AT_ONCE = 1024 * 1024


class TableEntry(msgspec.Struct, frozen=True):
    """`sha256` of its lines, as they stand in the file."""

    name: str
    columns: list[str]
    rows: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`schema` is the database's revision, `head` how far the chain of events went; `vault_check` tells keys apart.

    Without `vault_key` a restore needs the key from elsewhere.
    """

    format: Literal["keysat-backup/1"] = FORMAT
    made_at: datetime
    keysat: str
    schema: str
    mode: Mode
    head: str
    vault_check: str
    vault_key: WrappedKey | None
    tables: list[TableEntry]


class Draft:
    """A file that is being written: whole tables one after the other, the manifest last."""

    def __init__(self, zipped: zipfile.ZipFile) -> None:
        self._zip = zipped
        self.entries: list[TableEntry] = []

    @contextmanager
    def table(self, name: str, columns: list[str]) -> Generator[Callable[[bytes, int], None], None, None]:
        digest, rows = hashlib.sha256(), 0
        with self._zip.open(f"{name}.jsonl", "w", force_zip64=True) as member:

            def write(lines: bytes, count: int) -> None:
                nonlocal rows
                rows += count
                digest.update(lines)
                member.write(lines)

            yield write
        self.entries.append(TableEntry(name, columns, rows, digest.hexdigest()))

    def finish(self, manifest: Manifest) -> None:
        self._zip.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        self._zip.comment = b"0" * DIGEST_CHARACTERS


@contextmanager
def written(path: Path, chance: Chance) -> Generator[Draft, None, None]:
    """All or nothing: under this name there is a whole file, on the disk, or none. For its owner alone.

    Raises BadRequest where there is something of that name, OSError.
    """
    if path.exists():
        raise BadRequest(f"{path} is there already: choose another name, or a folder.")
    part = path.with_name(f".{path.name}.{token(chance, 40)}.part")
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
                yield Draft(zipped)
            size = file.seek(-DIGEST_CHARACTERS, os.SEEK_END)
            found = _digest(file, size)
            file.seek(size)
            file.write(found)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Archive:
    """A backup that was found to be whole."""

    def __init__(self, zipped: zipfile.ZipFile, manifest: Manifest) -> None:
        self._zip = zipped
        self.manifest = manifest

    @contextmanager
    def table(self, entry: TableEntry) -> Generator["Lines", None, None]:
        """Raises BadRequest at the end, when it is not what the manifest says."""
        with self._zip.open(f"{entry.name}.jsonl") as member:
            yield (read := Lines(member))
        if (read.rows, read.digest.hexdigest()) != (entry.rows, entry.sha256):
            raise BadRequest(f"The table {entry.name} in the backup is not what its manifest says: it was altered.")


class Lines:
    """Of one table, counted and digested as they are read."""

    def __init__(self, member: IO[bytes]) -> None:
        self._member = member
        self.digest = hashlib.sha256()
        self.rows = 0

    def __iter__(self) -> Generator[bytes, None, None]:
        for line in self._member:
            self.digest.update(line)
            self.rows += 1
            yield line


@contextmanager
def opened(path: Path) -> Generator[Archive, None, None]:
    """Raises BadRequest for what is no backup, or not as it was written; OSError."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END) - DIGEST_CHARACTERS
        if size <= 0 or file.seek(size) != size or file.read() != _digest(file, size):
            raise BadRequest(f"{path} is no backup of a shop, or not as it was written: use another copy.")
        try:
            with zipfile.ZipFile(file) as zipped:
                yield Archive(zipped, _manifest(zipped))
        except (zipfile.BadZipFile, KeyError, msgspec.DecodeError, msgspec.ValidationError) as error:
            raise BadRequest(f"{path} is a backup that this Keysat cannot read: {error}.") from error


def _manifest(zipped: zipfile.ZipFile) -> Manifest:
    if zipped.getinfo(MANIFEST).file_size > MANIFEST_BYTES_MAX:
        raise zipfile.BadZipFile("its manifest is too large")
    return msgspec.json.decode(zipped.read(MANIFEST), type=Manifest)


def _digest(file: BinaryIO, size: int) -> bytes:
    """Of the first `size` bytes, in hex."""
    total, left = hashlib.sha256(), size
    file.seek(0)
    while left and (part := file.read(min(left, READ_AT_ONCE))):
        total.update(part)
        left -= len(part)
    return total.hexdigest().encode()
