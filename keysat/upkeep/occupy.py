"""One daemon a data directory: two would each believe the vault key, the telemetry and the play wallet are theirs."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import replace

from keysat.infra.setting_values import SQLITE, Wrong, origin
from keysat.infra.settings import Settings
from keysat.upkeep.opening import CannotOpen, explained

LOCK_FILE = "daemon.lock"


@contextmanager
def occupied(settings: Settings) -> Generator[None, None, None]:
    """For the life of a daemon; commands beside it do not ask. The kernel lets go however the process ends.

    The file tells the daemon's address. Raises CannotOpen.
    """
    with explained(settings):
        settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = os.open(settings.data_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotOpen(_taken(settings)) from None
        with suppress(OSError):  # a full disk is no reason not to serve
            os.truncate(held, 0)
            os.write(held, settings.public_url.encode())
        yield
    finally:
        os.close(held)


def as_served(settings: Settings) -> Settings:
    """For commands: where they do not know our address, that of the daemon of this folder, or of the one that was last.

    It may have been given another port, or its settings by another shell.
    """
    if settings.public_url_is_default:
        with suppress(OSError, UnicodeError, Wrong):  # a power cut may have left anything
            return replace(settings, public_url=origin((settings.data_dir / LOCK_FILE).read_text()))
    return settings


def _taken(settings: Settings) -> str:
    line = f"Another Keysat runs in {settings.data_dir}: stop it, or choose another folder with --data-dir."
    if settings.database_url.startswith(SQLITE):
        return line
    return f"{line} Daemons that share a PostgreSQL database want a folder each, with the same vault key."
