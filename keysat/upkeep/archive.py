"""The file of a backup: a zip with `manifest.json` and for each table `<table>.jsonl`; of one moment, of any database.

Its comment is the SHA-256 of all that stands before it, in hex: whatever byte is another one, the file is refused. It
is not encrypted, but what is sealed in the database is sealed in it; the vault key is in it under a passphrase only.
"""

import hashlib
import io
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal, cast

import msgspec

from keysat.infra.house import Mode
from keysat.kit.errors import BadRequest
from keysat.kit.ids import Chance, token
from keysat.upkeep.wrapped_key import WrappedKey

FORMAT = "keysat-backup/1"
MANIFEST = "manifest.json"
PART = ".part"  # what is still being written ends so
MANIFEST_BYTES_MAX = 4 * 1024 * 1024
TABLES_MAX = 500
LINE_BYTES_MAX = 16 * 1024 * 1024
"""Of one row: ten times the largest that a door lets in."""
UNPACKED_TIMES_MAX = 250
"""How much larger than the file its tables may be: rows that have an id each are packed to a tenth or so."""
DIGEST_CHARACTERS = 64
YEAR_MAX = 9000  # days can be added to any moment before
READ_AT_ONCE = 1024 * 1024
IS_ENCRYPTED = 0x1  # a flag of a zip's member (APPNOTE.TXT 4.4.4)


class TableEntry(msgspec.Struct, frozen=True):
    """`bytes` and `sha256` of its lines, unpacked."""

    name: str
    columns: list[str]
    rows: int
    bytes: int
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

    def __post_init__(self) -> None:
        if self.made_at.tzinfo is None or not 1970 <= self.made_at.year < YEAR_MAX:
            raise ValueError("made_at is no moment of any backup")


class Draft:
    """A file that is being written: whole tables one after the other, the manifest last."""

    def __init__(self, zipped: zipfile.ZipFile) -> None:
        self._zip = zipped
        self.entries: list[TableEntry] = []

    @contextmanager
    def table(self, name: str, columns: list[str]) -> Generator[Callable[[bytes, int], None], None, None]:
        digest, rows, size = hashlib.sha256(), 0, 0
        with self._zip.open(f"{name}.jsonl", "w", force_zip64=True) as member:

            def write(lines: bytes, count: int) -> None:
                nonlocal rows, size
                if len(lines) > LINE_BYTES_MAX and max(map(len, lines.splitlines())) >= LINE_BYTES_MAX:
                    raise BadRequest(f"A row of {name} is too large for a backup.")
                rows += count
                size += len(lines)
                digest.update(lines)
                member.write(lines)

            yield write
        self.entries.append(TableEntry(name, columns, rows, size, digest.hexdigest()))

    def finish(self, manifest: Manifest) -> None:
        self._zip.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        self._zip.comment = b"0" * DIGEST_CHARACTERS


@contextmanager
def written(path: Path, chance: Chance) -> Generator[Draft, None, None]:
    """All or nothing: under this name there is a whole file, on the disk, or none. For its owner alone.

    Raises BadRequest where there is something of that name, or it cannot be written.
    """
    if path.exists():
        raise BadRequest(f"{path} is there already: choose another name, or a folder.")
    part = path.with_name(f".{path.name}.{token(chance, 40)}{PART}")
    try:
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as zipped:
                yield Draft(zipped)
            size = file.seek(-DIGEST_CHARACTERS, os.SEEK_END)
            found = _digest(file, size)
            file.seek(size)
            file.write(found)
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        is_a_databases = isinstance(error, ConnectionError | TimeoutError)
        if isinstance(error, OSError) and not is_a_databases:
            raise BadRequest(f"{path} cannot be written: {error.strerror or error}.") from error
        raise


class Archive:
    """A backup that was found to be whole."""

    def __init__(self, zipped: zipfile.ZipFile, manifest: Manifest) -> None:
        self._zip = zipped
        self.manifest = manifest

    @contextmanager
    def table(self, entry: TableEntry) -> Generator["Lines", None, None]:
        """Raises BadRequest at the end, when it is not what the manifest says."""
        packed = cast("io.RawIOBase", self._zip.open(f"{entry.name}.jsonl"))
        with io.BufferedReader(packed, READ_AT_ONCE) as member:  # it reads a line up to a limit, and faster
            yield (read := Lines(entry.name, member))
        if (read.rows, read.digest.hexdigest()) != (entry.rows, entry.sha256):
            raise BadRequest(f"The table {entry.name} in the backup is not what its manifest says: it was altered.")


class Lines:
    """Of one table, counted and digested as they are read. Raises BadRequest for one that is too long."""

    def __init__(self, table: str, member: BinaryIO) -> None:
        self._table = table
        self._member = member
        self.digest = hashlib.sha256()
        self.rows = 0

    def __iter__(self) -> Generator[bytes, None, None]:
        while line := self._member.readline(LINE_BYTES_MAX + 1):
            if len(line) > LINE_BYTES_MAX:
                raise BadRequest(f"The table {self._table} in the backup has a row that is too large for any of ours.")
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
                manifest = _manifest(zipped)
                _check_members(zipped, manifest, size)
                yield Archive(zipped, manifest)
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, msgspec.DecodeError) as error:
            raise BadRequest(f"{path} is a backup that this Keysat cannot read: {error}.") from error


def _manifest(zipped: zipfile.ZipFile) -> Manifest:
    """Raises BadZipFile as `_check_members` does."""
    if len(zipped.infolist()) > TABLES_MAX + 1:
        raise zipfile.BadZipFile(f"it has more than {TABLES_MAX} tables")
    for member in zipped.infolist():
        if member.compress_type != zipfile.ZIP_DEFLATED or member.flag_bits & IS_ENCRYPTED:
            raise zipfile.BadZipFile(f"{member.filename[:100]} is packed in another way than ours")
    if zipped.getinfo(MANIFEST).file_size > MANIFEST_BYTES_MAX:
        raise zipfile.BadZipFile("its manifest is too large")
    return msgspec.json.decode(zipped.read(MANIFEST), type=Manifest)


def _check_members(zipped: zipfile.ZipFile, manifest: Manifest, packed: int) -> None:
    """Before any of it is unpacked: what the manifest lists is there once, as large as it says, and nothing else."""
    listed = Counter(f"{entry.name}.jsonl" for entry in manifest.tables) + Counter([MANIFEST])
    there = Counter(zipped.namelist())
    for name in sorted({*listed, *there}):
        if (listed[name], there[name]) != (1, 1):
            told = f"lists {name[:100]} {listed[name]} times, and it is there {there[name]} times"
            raise zipfile.BadZipFile(f"its manifest {told}")
    for entry in manifest.tables:
        if zipped.getinfo(f"{entry.name}.jsonl").file_size != entry.bytes:
            raise zipfile.BadZipFile(f"the table {entry.name[:100]} is not as large as its manifest says")
    if sum(entry.bytes for entry in manifest.tables) > packed * UNPACKED_TIMES_MAX:
        raise zipfile.BadZipFile(f"it unpacks to more than {UNPACKED_TIMES_MAX} times its size")


def _digest(file: BinaryIO, size: int) -> bytes:
    """Of the first `size` bytes, in hex."""
    total, left = hashlib.sha256(), size
    file.seek(0)
    while left and (part := file.read(min(left, READ_AT_ONCE))):
        total.update(part)
        left -= len(part)
    return total.hexdigest().encode()
