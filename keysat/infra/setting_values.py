"""How the text of a setting is read: pure, one function a kind. What cannot be read raises Wrong."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import getaddresses
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import SplitResult, parse_qs, quote, unquote, urlsplit

LogLevel: TypeAlias = Literal["debug", "info", "warning", "error"]
LogFormat: TypeAlias = Literal["json", "text"]

ADMIN_KEY_CHARACTERS_MIN = 32
VAULT_KEY_BYTES = 32
KEEPABLE = ("addresses", "nudges", "validations")
"""What of `upkeep/retention.py` the operator may say the days of."""
DAYS_MAX = 36_500
BACKUP_HOURS_MAX, BACKUP_KEEP_MAX = 8_760, 1_000


class Secret:
    """Text that shows itself to `reveal()` alone: not to repr, str, format or a JSON encoder."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(...)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash(self._value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    host: str
    port: int
    username: str | None = None
    password: Secret | None = None
    tls: bool = False
    """TLS from the first byte (`smtps://`)."""
    starttls: bool | None = None
    """True: needed. False: never. None: taken when offered; a password never travels on that alone."""


@dataclass(frozen=True, slots=True)
class Contact:
    """Where buyers write to the seller."""

    words: str
    """As it is shown: the bare address, or the URL."""
    href: str


class Wrong(Exception):
    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.fix = fix


def key_bytes(text: str) -> bytes:
    """32 bytes from base64url (or plain base64), padded or not. Raises ValueError, whose text does not hold the key."""
    bare = text.strip().rstrip("=")
    try:
        key = base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("is not base64url") from None
    if len(key) != VAULT_KEY_BYTES:
        raise ValueError(f"has {len(key)} bytes instead of {VAULT_KEY_BYTES}")
    return key


SQLITE = "sqlite+aiosqlite:///"
_POSTGRESQL = "postgresql+asyncpg://"
_MENDED = {"sqlite:///": SQLITE, "postgresql://": _POSTGRESQL, "postgres://": _POSTGRESQL}


def database_url(text: str) -> str:
    for short, full in _MENDED.items():
        if text.startswith(short):
            text = full + text.removeprefix(short)
    if text.startswith(_POSTGRESQL):
        if "?host=/" not in text:  # a Unix socket's folder stands in the query
            _split(text)
        if not urlsplit(text).path.strip("/"):
            raise Wrong("names no database", f"write {_POSTGRESQL}user:password@host/keysat")
    elif not text.startswith(SQLITE):
        raise Wrong("has an unknown scheme", f"write {SQLITE}/data/keysat.db or {_POSTGRESQL}user:password@host/keysat")
    elif text in (SQLITE, f"{SQLITE}:memory:"):
        raise Wrong("names no file", f"write {SQLITE}/data/keysat.db")
    return text


def database_file(url: str) -> Path | str:
    return Path(url.removeprefix(SQLITE)).resolve() if url.startswith(SQLITE) else url


def database_place(url: str) -> str:
    """The file, or `name at host:port`: to be told to a person, so without user and password."""
    if url.startswith(SQLITE):
        return url.removeprefix(SQLITE)
    parts = urlsplit(url)
    host = parts.hostname or parse_qs(parts.query).get("host", ["localhost"])[0]
    host = f"[{host}]" if ":" in host else host
    return f"{parts.path.strip('/')} at {host}" + ("" if host.startswith("/") else f":{parts.port or 5432}")


def bind(text: str) -> tuple[str, int]:
    wrong = Wrong(f"is not host:port, but {text!r}", "write 0.0.0.0:8080 or [::]:8080")
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise wrong
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:  # IPv6 without brackets: which colon is the port's?
        raise wrong
    if not host or any(character.isspace() or character in "/[]@" for character in host):
        raise wrong
    return host, int(port)


def _split(text: str) -> SplitResult:
    """Raises Wrong when there is no host, or a port that is none."""
    try:
        parts = urlsplit(text)
        if parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass
    raise Wrong("is not a URL with a host", "write scheme://host:port")


def base_url(text: str) -> str:
    """An http(s) URL to put paths behind, without a trailing slash."""
    if not text.lower().startswith(("http://", "https://")) or any(character.isspace() for character in text):
        raise Wrong("is not an http(s) URL", "write https://keys.example.org")
    parts = _split(text)
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise Wrong("has a user, a query or a fragment", "write https://keys.example.org")
    return f"{parts.scheme}://{parts.netloc.lower()}{parts.path.rstrip('/')}"


def origin(text: str) -> str:
    url = base_url(text)
    if urlsplit(url).path:
        raise Wrong("has a path", "write https://keys.example.org")
    return url


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())
    except ValueError:
        raise Wrong(
            f"is not a list of networks, but {text!r}", "write 10.0.0.0/8, 127.0.0.1 or ::1, separated by commas"
        ) from None


def smtp_url(text: str) -> Smtp:
    """Ports by default: 465 for smtps (RFC 8314, 3.3), else 587 (RFC 6409, 3.1)."""
    fix = "write smtps://user:password@mail.example.org:465, with %40 for an @ in the user or password"
    try:
        parts = _split(text)
        options = parse_qs(parts.query, strict_parsing=bool(parts.query))
    except (Wrong, ValueError):
        raise Wrong("is not a URL", fix) from None
    if parts.scheme not in ("smtp", "smtps") or parts.path not in ("", "/") or parts.fragment or not parts.hostname:
        raise Wrong("is not smtp(s)://user:password@host:port", fix)
    if set(options) - {"starttls"} or (options and parts.scheme == "smtps"):
        raise Wrong("has options it cannot have", "leave them out, or write smtp://...?starttls=on")
    username, password = unquote(parts.username or "") or None, unquote(parts.password or "") or None
    if (username is None) != (password is None):
        raise Wrong("has a user without a password, or the reverse", fix)
    starttls = switch(options["starttls"][-1]) if options else None
    if starttls is None and password and parts.scheme == "smtp" and not _is_loopback(parts.hostname):
        starttls = True  # a server in the middle can hide the offer
    return Smtp(
        host=parts.hostname,
        port=parts.port or (465 if parts.scheme == "smtps" else 587),
        username=username,
        password=Secret(password) if password else None,
        tls=parts.scheme == "smtps",
        starttls=starttls,
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def mail_address(text: str) -> Address:
    try:
        [(name, address)] = getaddresses([text])
        if text.isprintable():
            return Address(display_name=name, addr_spec=_with_domain(address))
    except (ValueError, IndexError, MessageError):
        pass
    raise Wrong("is not one mail address", "write keys@example.org or Our Shop <keys@example.org>")


def _with_domain(address: str) -> str:
    username, _, domain = address.rpartition("@")
    if not username or not domain:
        raise ValueError("the standard library takes half an address")
    return address


def contact(text: str) -> Contact:
    """A mail address or an http(s) URL, such as that of a form."""
    if text.lower().startswith(("http://", "https://")):
        if not text.isprintable() or " " in text or "@" in _split(text).netloc:
            raise Wrong("is not an http(s) URL", "write https://example.org/contact")
        return Contact(text, text)
    try:
        address = mail_address(text).addr_spec
    except Wrong:
        raise Wrong(
            "is neither a mail address nor an http(s) URL", "write help@example.org or https://example.org/contact"
        ) from None
    return Contact(address, f"mailto:{quote(address, safe='@')}")


def vault_key(text: str) -> Secret:
    try:
        key_bytes(text)
    except ValueError as error:
        raise Wrong(str(error), "write what `openssl rand -base64 32` prints") from None
    return Secret(text)


def admin_key(text: str) -> Secret:
    if len(text) < ADMIN_KEY_CHARACTERS_MIN:
        raise Wrong(f"has fewer than {ADMIN_KEY_CHARACTERS_MIN} characters", "write what `openssl rand -hex 32` prints")
    return Secret(text)


def switch(text: str) -> bool:
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off"):
        return False
    raise Wrong(f"is neither on nor off, but {text!r}", "write on or off")


def limits(text: str) -> bool:
    if text.lower() not in ("on", "off"):
        raise Wrong(f"is neither on nor off, but {text!r}", "write on or off")
    return text.lower() == "on"


def keep_days(text: str) -> Mapping[str, int]:
    found: dict[str, int] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, days = (word.strip() for word in part.partition("="))
        if name not in KEEPABLE:
            raise Wrong(f"names {name!r}, which nobody keeps", f"write some of {', '.join(KEEPABLE)}: addresses=90")
        if not (days.isascii() and days.isdigit() and 1 <= int(days) <= DAYS_MAX):
            raise Wrong(f"has {days!r} days for {name}", f"write a whole number from 1 to {DAYS_MAX}")
        found[name] = int(days)
    return found


def backup_hours(text: str) -> int:
    return _whole(text, BACKUP_HOURS_MAX)


def backup_keep(text: str) -> int:
    return _whole(text, BACKUP_KEEP_MAX)


def _whole(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise Wrong(f"is {text[:20]!r}", f"write a whole number from 1 to {most}")
    return int(text)


def log_level(text: str) -> LogLevel:
    match text.lower():
        case "debug" | "info" | "warning" | "error" as level:
            return level
        case _:
            raise Wrong(f"is unknown: {text!r}", "write debug, info, warning or error")


def log_format(text: str) -> LogFormat:
    match text.lower():
        case "json" | "text" as chosen:
            return chosen
        case _:
            raise Wrong(f"is unknown: {text!r}", "write json or text")
