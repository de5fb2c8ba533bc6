"""Files that only their owner may read: databases hold hashes, e-mail addresses and what people paid."""

import os
import stat
from contextlib import suppress
from pathlib import Path

OTHERS = 0o077
BESIDE = ("-wal", "-shm", "-journal")


def keep_new_files_private() -> None:
    """For the rest of this process, whatever the shell or the service manager allowed."""
    os.umask(OTHERS)


def make_private(database: Path) -> None:
    """A SQLite file and what SQLite keeps beside it, made or mended; SQLite gives new ones the mode of the first.

    Raises OSError when it cannot be made. Another user's files stay as they are.
    """
    os.close(os.open(database, os.O_RDONLY | os.O_CREAT, 0o600))
    for path in (database, *(database.with_name(database.name + part) for part in BESIDE)):
        with suppress(FileNotFoundError, PermissionError):
            if stat.S_IMODE(path.stat().st_mode) & OTHERS:
                path.chmod(0o600)
