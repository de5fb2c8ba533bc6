"""Structured logs on the standard library: one line an event, as JSON or as readable text, without secrets.

    log = get(__name__)
    log.info("order.settled", order=order.id, amount_minor=4000)
    log.error("job.failed", error, job="sweep")   # with its traceback

An event is a fixed name; what changes goes into fields. Redaction is the net, not the rule: nothing secret is handed to
a logger in the first place. Lines of other libraries pass the same net.
"""

import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from traceback import format_exception
from typing import Literal, TextIO, TypeAlias, cast

import msgspec

HIDDEN = "[hidden]"
TEXT_CHARACTERS_MAX = 8_192
"""Of one value; a traceback may have four times as many."""
DEPTH_MAX = 4

_QUIET = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "aiosqlite": logging.WARNING,
    "alembic": logging.WARNING,
    "uvicorn": logging.WARNING,
    "asyncio": logging.WARNING,
}

# Each repetition is bounded or ends at a delimiter, so that a line of an attacker's takes linear time.
_SECRETS = [
    (re.compile(pattern, re.IGNORECASE), replacement)
    for pattern, replacement in (
        (r"LIC1-[A-Z0-9=-]+", "LIC1-" + HIDDEN),
        (r"(?<![A-Z0-9])(ks|whsec)_[A-Z0-9_=+/-]{8,}", r"\1_" + HIDDEN),
        (r"\b(bearer|basic|token)(\s+|%20)(?!\[hidden\])[A-Z0-9._~+/=-]{6,}", r"\1 " + HIDDEN),
        (
            r"(password|passwd|secret|api[_-]?key|access[_-]?token|authorization|cookie|btcpay-sig)(\\?[\"']?\s{0,4}[:=]\s{0,4})"
            r"(?:(?:bearer|basic|token) )?b?\\?[\"']?(?!\[hidden\])[^\s\"',;&}]+",
            r"\1\2" + HIDDEN,
        ),
        (r"(?<=://)[^/\s@]{1,512}@", HIDDEN + "@"),
        (r"(?<=DETAIL:)[^\n]+", " " + HIDDEN),  # PostgreSQL: the row that broke a constraint, with all its values
        (r"(?<=[\w/.}\])-])\?[^\s\"'<>]+", "?" + HIDDEN),  # the query of a URL, not the `?` of an SQL statement
        (r"[^\s@<>\"'(),:;/=\[\]]{1,64}(?:@|%40)[^\s@<>\"'(),:;/=\[\]]+", HIDDEN),
    )
]
_SECRET_FIELDS = re.compile(r"(^|_)(password|secret|token|api_key|authorization|cookie|email|e_mail|license_key|key)$")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"


def redact(text: str) -> str:
    """Hides license and API keys, credentials, mail addresses, and the query and user of URLs."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class Log:
    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def request(self, **fields: str | int | float | None) -> None:
        """One request that was answered. Its fields hold nothing from outside, so the net is spared: it would cost as
        much as a third of the answer.
        """
        if self._logger.isEnabledFor(logging.INFO):
            self._logger.info("request", extra={"fields": fields, "is_clean": True})

    def debug(self, event: str, **fields: object) -> None:
        self._write(logging.DEBUG, event, None, fields)

    def info(self, event: str, **fields: object) -> None:
        self._write(logging.INFO, event, None, fields)

    def warning(self, event: str, error: BaseException | None = None, **fields: object) -> None:
        self._write(logging.WARNING, event, error, fields)

    def error(self, event: str, error: BaseException | None = None, **fields: object) -> None:
        self._write(logging.ERROR, event, error, fields)

    def _write(self, level: int, event: str, error: BaseException | None, fields: dict[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, event, exc_info=error, extra={"fields": fields})


def get(name: str) -> Log:
    return Log(name)


def configure(
    level: Literal["debug", "info", "warning", "error"],
    format: Literal["json", "text"],
    stream: TextIO | None = None,
) -> None:
    """Sends every logger of the process to `stream` (stderr by default). May be called again: the last call counts.

    uvicorn must be started with `log_config=None`, else it puts its own handlers back.
    """
    handler = _Handler(stream)
    handler.setFormatter(_Json() if format == "json" else _Text())
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    # Paths hold ids and queries; the doors write a line of their own with the route's template.
    logging.getLogger("uvicorn.access").disabled = True


class _Handler(logging.StreamHandler[TextIO]):
    """Without a stream of its own it writes to what `sys.stderr` is at that moment: it may have been replaced."""

    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(stream or sys.stderr)
        self._follows_stderr = stream is None

    def emit(self, record: logging.LogRecord) -> None:
        if self._follows_stderr:
            self.stream = sys.stderr
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  the standard library's name
        """The standard library would print the arguments, unredacted."""
        self.stream.write(f"log.failed logger={record.name} line={record.lineno}\n")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Plain] = {
            "at": _at(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.msg if getattr(record, "is_clean", False) else _plain(record.getMessage()),
        }
        if fields := _fields(record):
            line["fields"] = fields
        if trace := _trace(record):
            line["trace"] = trace
        return msgspec.json.encode(line).decode()


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        parts = [_at(record), f"{record.levelname:7}", record.name, _one_line(redact(record.getMessage()))]
        parts += [f"{name}={_shown(value)}" for name, value in _fields(record).items()]
        trace = _trace(record)
        return " ".join(parts) + ("\n" + "\n".join(_one_line(line) for line in trace.splitlines()) if trace else "")


def _at(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _fields(record: logging.LogRecord) -> dict[str, Plain]:
    if getattr(record, "is_clean", False):
        return cast("dict[str, Plain]", getattr(record, "fields", {}))
    return _table(cast("Mapping[object, object]", getattr(record, "fields", {})), 0)


def _table(fields: Mapping[object, object], depth: int) -> dict[str, Plain]:
    return {
        redact(str(name)): HIDDEN if _SECRET_FIELDS.search(str(name).lower()) else _plain(value, depth + 1)
        for name, value in fields.items()
    }


def _plain(value: object, depth: int = 0) -> Plain:
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < DEPTH_MAX and isinstance(value, Mapping):
        return _table(cast("Mapping[object, object]", value), depth)
    if depth < DEPTH_MAX and isinstance(value, list | tuple | set | frozenset):
        return [_plain(item, depth + 1) for item in cast("list[object]", value)]
    return redact(str(value))[:TEXT_CHARACTERS_MAX]


def _trace(record: logging.LogRecord) -> str | None:
    if not record.exc_info or record.exc_info[1] is None:
        return None
    # The end of a traceback says what happened.
    return redact("".join(format_exception(record.exc_info[1])))[-4 * TEXT_CHARACTERS_MAX :].rstrip("\n")


def _shown(value: Plain) -> str:
    if isinstance(value, str) and value and not re.search(r"[\s=\"]", value):
        return _one_line(value)
    return _one_line(msgspec.json.encode(value).decode())


def _one_line(text: str) -> str:
    """A line break in a value must not look like another event, nor an escape sequence reach a terminal."""
    return _UNPRINTABLE.sub(lambda found: f"\\x{ord(found.group()):02x}", text)
