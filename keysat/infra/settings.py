"""What the operator sets from outside: the environment, and a `.env` file in the working directory.

The one home of `os.environ`. Everything is parsed here, once; inside there are only our own types. The names are those
of the published server, so that an existing installation starts unchanged.
"""

import difflib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from email.headerregistry import Address
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import TypeVar

from dotenv import dotenv_values

from keysat.infra.setting_values import (
    SQLITE,
    Contact,
    LogFormat,
    LogLevel,
    Secret,
    Smtp,
    Wrong,
    admin_key,
    backup_hours,
    backup_keep,
    base_url,
    bind,
    contact,
    database_file,
    database_url,
    keep_days,
    limits,
    log_format,
    log_level,
    mail_address,
    networks,
    origin,
    smtp_url,
    switch,
    vault_key,
)

T = TypeVar("T")
ANY_HOST = "0.0.0.0"  # noqa: S104  the published default: the server stands behind a proxy or in a container
DEFAULT_PORT = 8080
BACKUP_HOURS = 24
BACKUP_KEEP = 14

PREFIX = "KEYSAT_"

# The names of the server before it was called Keysat.
ALIASES = {
    "KEYSAT_BIND": "LICENSING_BIND",
    "KEYSAT_DB_PATH": "LICENSING_DB_PATH",
    "KEYSAT_ADMIN_API_KEY": "LICENSING_ADMIN_API_KEY",
    "KEYSAT_PUBLIC_URL": "LICENSING_PUBLIC_URL",
    "KEYSAT_OPERATOR_NAME": "LICENSING_OPERATOR_NAME",
}
KEYSAT_NAMES = frozenset(ALIASES) | {
    "KEYSAT_DATA_DIR",
    "KEYSAT_DATABASE_URL",
    "KEYSAT_TRUSTED_PROXIES",
    "KEYSAT_WEBHOOK_NETWORKS",
    "KEYSAT_SMTP_URL",
    "KEYSAT_MAIL_FROM",
    "KEYSAT_VAULT_KEY",
    "KEYSAT_OPERATOR_CONTACT",
    "KEYSAT_SANDBOX_MODE",
    "KEYSAT_LICENSE",
    "KEYSAT_LIMITS",
    "KEYSAT_KEEP_DAYS",
    "KEYSAT_BACKUP_DIR",
    "KEYSAT_BACKUP_HOURS",
    "KEYSAT_BACKUP_KEEP",
    "KEYSAT_BACKUP_PASSPHRASE_FILE",
    "KEYSAT_LOG_LEVEL",
    "KEYSAT_LOG_FORMAT",
}

# Taken, so that an existing installation starts; what to know instead.
EFFECTLESS = {
    "KEYSAT_SANDBOX_MODE": "Whether a shop is a sandbox is decided once, by `keysat init` or `keysat demo`.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BtcPay:
    """A store to connect at the start, when no BTCPay connection exists."""

    url: str
    api_key: Secret
    store_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Backups:
    """Those that the daemon makes by itself."""

    folder: Path
    """Which is not made: a disk that is not there shall not be written beside."""
    every: timedelta
    keep: int
    passphrase_file: Path | None
    """Without it the vault key is not in them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    data_dir: Path
    database_url: str = field(repr=False)  # may hold a password
    bind_host: str
    bind_port: int
    public_url: str
    """Without a trailing slash."""
    public_url_is_default: bool
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    webhook_networks: tuple[IPv4Network | IPv6Network, ...]
    """Webhooks may go there although it is private, and over plain http."""
    smtp: Smtp | None
    mail_from: Address | None
    """Always there when `smtp` is."""
    vault_key: Secret | None
    """Base64url of 32 bytes; `key_bytes` decodes it."""
    admin_api_key: Secret | None
    btcpay_url: str | None
    """Where it is, whether or not a store of it is to be connected at the start."""
    btcpay: BtcPay | None
    btcpay_browser_url: str | None
    btcpay_public_url: str | None
    btcpay_webhook_secret: Secret | None
    operator_name: str | None
    operator_contact: Contact | None
    sandbox_mode: bool
    license: Secret | None
    limits_off: bool
    keep_days: Mapping[str, int]
    """By a name of `upkeep/retention.py`, where another time shall hold."""
    backups: Backups | None
    log_level: LogLevel
    log_format: LogFormat
    warnings: tuple[str, ...]
    """Lines for the log at the start: they name settings and hold no values."""


class SettingsError(Exception):
    """One line: the setting, what is wrong with it, and what to write instead. It never quotes a secret."""

    def __init__(self, name: str, problem: str, fix: str) -> None:
        super().__init__(f"{name} {problem}: {fix}.")
        self.name = name
        self.problem = problem
        self.fix = fix


class SettingsErrors(Exception):
    """All that is wrong, a line each, so that nobody has to start ten times."""

    def __init__(self, errors: tuple[SettingsError, ...]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = errors


def load(
    environ: Mapping[str, str] | None = None,
    *,
    data_dir: Path | None = None,
    port: int | None = None,
    default_host: str = ANY_HOST,
) -> Settings:
    """`data_dir` and `port` come from the command line and win. A given `environ` is all there is: no `.env` is read.

    Raises SettingsErrors.
    """
    reader = _Reader(surroundings() if environ is None else environ)
    reader.look_for_unknown_names()
    directory, database = _storage(reader, data_dir)
    bind_host, bind_port = reader.parsed("KEYSAT_BIND", bind, (default_host, DEFAULT_PORT))
    bind_port = bind_port if port is None else port
    public_url = reader.parsed("KEYSAT_PUBLIC_URL", origin, None)
    local_url = f"http://localhost:{bind_port}"
    if public_url is None:
        reader.warn(f"KEYSAT_PUBLIC_URL is not set: buyers and webhooks are sent to {local_url}.")
    smtp, mail_from = _mail(reader)
    btcpay_url = reader.parsed("BTCPAY_URL", base_url, None)
    _warn_of_what_does_nothing(reader)
    return Settings(
        data_dir=directory,
        database_url=database,
        bind_host=bind_host,
        bind_port=bind_port,
        public_url=public_url or local_url,
        public_url_is_default=public_url is None,
        trusted_proxies=reader.parsed("KEYSAT_TRUSTED_PROXIES", networks, ()),
        webhook_networks=reader.parsed("KEYSAT_WEBHOOK_NETWORKS", networks, ()),
        smtp=smtp,
        mail_from=mail_from,
        vault_key=reader.parsed("KEYSAT_VAULT_KEY", vault_key, None),
        admin_api_key=reader.parsed("KEYSAT_ADMIN_API_KEY", admin_key, None),
        btcpay_url=btcpay_url,
        btcpay=_btcpay(reader, btcpay_url),
        btcpay_browser_url=reader.parsed("BTCPAY_BROWSER_URL", base_url, None),
        btcpay_public_url=reader.parsed("BTCPAY_PUBLIC_URL", base_url, None),
        btcpay_webhook_secret=reader.parsed("BTCPAY_WEBHOOK_SECRET", Secret, None),
        operator_name=reader.text("KEYSAT_OPERATOR_NAME"),
        operator_contact=reader.parsed("KEYSAT_OPERATOR_CONTACT", contact, None),
        sandbox_mode=reader.parsed("KEYSAT_SANDBOX_MODE", switch, False),
        license=reader.parsed("KEYSAT_LICENSE", Secret, None),
        limits_off=not reader.parsed("KEYSAT_LIMITS", limits, True),
        keep_days=reader.parsed("KEYSAT_KEEP_DAYS", keep_days, {}),
        backups=_backups(reader),
        log_level=reader.parsed("KEYSAT_LOG_LEVEL", log_level, "info"),
        log_format=reader.parsed("KEYSAT_LOG_FORMAT", log_format, "text" if sys.stderr.isatty() else "json"),
        warnings=reader.finish(),  # stays last: it raises what the lines above met
    )


def surroundings(dotenv: Path = Path(".env")) -> dict[str, str]:
    """The environment over the file. `$` in the file is an ordinary character."""
    written = dotenv_values(dotenv, interpolate=False)
    found = {name: value for name, value in written.items() if value}
    return found | {name: value for name, value in os.environ.items() if value}


def handed_on(settings: Settings) -> dict[str, str]:
    """The environment of a child process that shall open the same shop."""
    own = {"KEYSAT_DATA_DIR": str(settings.data_dir), "KEYSAT_DATABASE_URL": settings.database_url}
    if settings.vault_key is not None:
        own["KEYSAT_VAULT_KEY"] = settings.vault_key.reveal()
    return dict(os.environ) | own


class _Reader:
    """Reads one setting after another and keeps what was wrong."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._errors: list[SettingsError] = []
        self._warnings: list[str] = []

    def text(self, name: str) -> str | None:
        """None when unset or empty."""
        return self._environ.get(self._written(name), "").strip() or None

    def parsed(self, name: str, parse: Callable[[str], T], default: T) -> T:
        text = self.text(name)
        if text is None:
            return default
        try:
            return parse(text)
        except Wrong as wrong:
            self.refuse(self._written(name), wrong.problem, wrong.fix)
            return default

    def refuse(self, name: str, problem: str, fix: str) -> None:
        self._errors.append(SettingsError(name, problem, fix))

    def warn(self, line: str) -> None:
        self._warnings.append(line)

    def look_for_unknown_names(self) -> None:
        known = {name.removeprefix(PREFIX): name for name in sorted(KEYSAT_NAMES)}  # which alone makes names alike
        for name in sorted(name for name in self._environ if name.startswith(PREFIX) and name not in KEYSAT_NAMES):
            near = difflib.get_close_matches(name.removeprefix(PREFIX), known, n=1)
            self.warn(f"{name} is not a setting." + (f" Did you mean {known[near[0]]}?" if near else ""))

    def finish(self) -> tuple[str, ...]:
        """The warnings. Raises SettingsErrors when anything was wrong."""
        if self._errors:
            raise SettingsErrors(tuple(self._errors))
        return tuple(self._warnings)

    def _written(self, name: str) -> str:
        """The name the operator used, so that a message can be searched for."""
        alias = ALIASES.get(name)
        return alias if alias and not self._environ.get(name, "").strip() and self._environ.get(alias) else name


def _storage(reader: _Reader, data_dir: Path | None) -> tuple[Path, str]:
    """An installation that names only its database file keeps everything else beside that file."""
    path = reader.text("KEYSAT_DB_PATH")
    directory = data_dir or reader.parsed("KEYSAT_DATA_DIR", Path, Path(path).parent if path else Path("data"))
    url = reader.parsed("KEYSAT_DATABASE_URL", database_url, None)
    by_path = f"{SQLITE}{path}" if path else None
    if url and by_path and database_file(url) != database_file(by_path):
        reader.refuse("KEYSAT_DATABASE_URL", "and KEYSAT_DB_PATH name different databases", "keep one of the two")
    return directory, url or by_path or f"{SQLITE}{directory / 'keysat.db'}"


def _mail(reader: _Reader) -> tuple[Smtp | None, Address | None]:
    smtp = reader.parsed("KEYSAT_SMTP_URL", smtp_url, None)
    mail_from = reader.parsed("KEYSAT_MAIL_FROM", mail_address, None)
    if smtp and not reader.text("KEYSAT_MAIL_FROM"):
        reader.refuse("KEYSAT_MAIL_FROM", "is missing beside KEYSAT_SMTP_URL", "write Our Shop <keys@example.org>")
    if not reader.text("KEYSAT_SMTP_URL") and mail_from:
        reader.warn("KEYSAT_MAIL_FROM is set, but no mail is sent without KEYSAT_SMTP_URL.")
    return smtp, mail_from


def _backups(reader: _Reader) -> Backups | None:
    folder = reader.parsed("KEYSAT_BACKUP_DIR", Path, None)
    hours = reader.parsed("KEYSAT_BACKUP_HOURS", backup_hours, BACKUP_HOURS)
    keep = reader.parsed("KEYSAT_BACKUP_KEEP", backup_keep, BACKUP_KEEP)
    passphrase_file = reader.parsed("KEYSAT_BACKUP_PASSPHRASE_FILE", Path, None)
    if folder is not None:
        return Backups(folder=folder, every=timedelta(hours=hours), keep=keep, passphrase_file=passphrase_file)
    for name in ("KEYSAT_BACKUP_HOURS", "KEYSAT_BACKUP_KEEP", "KEYSAT_BACKUP_PASSPHRASE_FILE"):
        if reader.text(name):
            reader.warn(f"{name} does nothing without KEYSAT_BACKUP_DIR.")
    return None


def _warn_of_what_does_nothing(reader: _Reader) -> None:
    for name, instead in EFFECTLESS.items():
        if reader.text(name):
            reader.warn(f"{name} has no effect yet. {instead}")
    if reader.text("BTCPAY_WEBHOOK_SECRET") and not reader.text("BTCPAY_STORE_ID"):
        reader.warn("BTCPAY_WEBHOOK_SECRET does nothing without BTCPAY_URL, BTCPAY_API_KEY and BTCPAY_STORE_ID.")


def _btcpay(reader: _Reader, url: str | None) -> BtcPay | None:
    names = ("BTCPAY_URL", "BTCPAY_API_KEY", "BTCPAY_STORE_ID")
    key, store = reader.text(names[1]), reader.text(names[2])
    if not key and not store:  # the address alone is where the operator is sent to connect it by a click
        return None
    for name in names:
        if not reader.text(name):
            reader.refuse(name, "is missing", f"set all of {', '.join(names)}, or none")
    return BtcPay(url=url, api_key=Secret(key), store_id=store) if url and key and store else None
