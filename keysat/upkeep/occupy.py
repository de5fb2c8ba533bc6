"""One daemon a data directory: two would each believe the vault key, the telemetry and the play wallet are theirs."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager

from keysat.infra.setting_values import SQLITE
from keysat.infra.settings import Settings
from keysat.upkeep.opening import CannotOpen, explained

LOCK_FILE = "daemon.lock"


@contextmanager
def occupied(settings: Settings) -> Generator[None, None, None]:
    """For the life of a daemon; commands beside it do not ask. The kernel lets go however the process ends.

    Raises CannotOpen.
    """
    with explained(settings):
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(settings.data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotOpen(_taken(settings)) from None
        yield
    finally:
        os.close(held)


def _taken(settings: Settings) -> str:
    line = f"Another Keysat runs in {settings.data_dir}: stop it, or choose another folder with --data-dir."
    if settings.database_url.startswith(SQLITE):
        return line
    return f"{line} Daemons that share a PostgreSQL database want a folder each, with the same vault key."
