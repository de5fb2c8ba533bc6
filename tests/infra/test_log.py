"""What is logged is one parseable line, and no secret is in it."""

import io
import json
import logging
from collections.abc import Generator
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.infra.log import configure, get, redact
from keysat.infra.setting_values import Secret

SECRETS = {
    "license key": ("LIC1-AIAAAAB3-QZ7M2X", "QZ7M2X"),
    "lower-case license key": ("lic1-aiaaaab3-qz7m2x", "qz7m2x"),
    "scoped key": ("ks_hunter2hunter2", "hunter2"),
    "webhook secret": ("whsec_hunter2+/hunter2=", "hunter2"),
    "bearer": ("Authorization: Bearer hunter2hunter2", "hunter2"),
    "BTCPay's token": ("authorization: token hunter2hunter2", "hunter2"),
    "short bearer header": ("Authorization: Bearer hx2", "hx2"),
    "headers of a request": ("{'Authorization': 'token hunter2hunter2', 'X-Api-Key': 'hunter2'}", "hunter2"),
    "headers as bytes": ("[(b'authorization', b'bearer hunter2hunter2')]", "hunter2"),
    "JSON": ('{"api_key": "hunter2", "password":"hunter2"}', "hunter2"),
    "assignment": ("password=hunter2", "hunter2"),
    "mail address": ("satoshi+keys@gmx.example", "satoshi"),
    "mail address in angle brackets": ("<satoshi@gmx.example>", "satoshi"),
    "mail address, encoded": ("/v1/customers/satoshi%40gmx.example", "satoshi"),
    "mail address, not ASCII": ("sätoshi@gmx.example", "toshi"),
    "mail address on this machine": ("satoshi@localhost", "satoshi"),
    "query": ("GET https://keys.example/v1/x?licence=hunter2&b=hunter2", "hunter2"),
    "query of a path": ('"GET /thank-you?invoice_id=hunter2 HTTP/1.1"', "hunter2"),
    "row of PostgreSQL": (
        'null value in column "a" violates a constraint\nDETAIL:  Failing row contains (7, hunter2, null).',
        "hunter2",
    ),
    "user of a URL": ("postgresql+asyncpg://satoshi:hunter2@db/keysat", "hunter2"),
}


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("hunter2")


@pytest.fixture
def stream() -> Generator[io.StringIO, None, None]:
    root = logging.getLogger()
    before = root.level
    written = io.StringIO()
    yield written
    for handler in list(root.handlers):
        if getattr(handler, "stream", None) is written:
            root.removeHandler(handler)
    root.setLevel(before)
    logging.getLogger("uvicorn.access").disabled = False


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_is_one_line_of_json_with_its_fields(stream: io.StringIO):
    configure("info", "json", stream)
    get("keysat.checkout").info("order.settled", order="o-1", amount_minor=4000, tags=("a", None, True))
    [line] = lines(stream)
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "keysat.checkout",
        "event": "order.settled",
        "fields": {"order": "o-1", "amount_minor": 4000, "tags": ["a", None, True]},
    }


def test_an_event_is_one_readable_line_of_text(stream: io.StringIO):
    configure("info", "text", stream)
    get("keysat.checkout").info("order.settled", order="o-1", product="Two words")
    assert stream.getvalue().endswith('Z INFO    keysat.checkout order.settled order=o-1 product="Two words"\n')


def test_a_value_cannot_forge_a_line_or_steer_the_terminal(stream: io.StringIO):
    configure("info", "text", stream)
    get("keysat").info("door.refused", agent="curl\n2026 INFO admin.login\x1b[2J", name="a\u2028b")
    logging.getLogger("other").info("a\nb")
    assert len(stream.getvalue().splitlines()) == 2
    assert "\x1b" not in stream.getvalue()


def test_the_level_decides_what_is_written(stream: io.StringIO):
    configure("warning", "json", stream)
    log = get("keysat")
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.error("d")
    assert [line["event"] for line in lines(stream)] == ["c", "d"]


def test_the_last_configuration_counts(stream: io.StringIO):
    configure("info", "text", io.StringIO())
    configure("info", "json", stream)
    get("keysat").info("once")
    assert len(lines(stream)) == 1


def test_talkative_libraries_are_quiet_and_the_access_log_is_off(stream: io.StringIO):
    configure("debug", "json", stream)
    logging.getLogger("httpx").info("HTTP Request: GET https://pay.example/api?token=1")
    logging.getLogger("httpcore.http11").debug("send_request_headers")
    logging.getLogger("uvicorn.access").error("GET /license/1")
    logging.getLogger("uvicorn.error").info("Started %s", "server")
    logging.getLogger("uvicorn.error").warning("Invalid %s received", "request")
    assert [line["event"] for line in lines(stream)] == ["Invalid request received"]


@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=SECRETS)
def test_no_secret_passes(stream: io.StringIO, style: Literal["json", "text"], text: str, secret: str):
    configure("info", style, stream)
    log = get("keysat")
    log.info(text)
    log.info("event", note=text, nested={"list": [text], text: {"deep": {"deeper": {"deepest": text}}}})
    log.info("event", line=f"before\n{text}\nafter", raw=text.encode(), error=ValueError(text))
    logging.getLogger("other").warning("of a library: %s", text)
    try:
        raise ValueError(text) from KeyError(text)
    except ValueError as error:
        log.error("job.failed", error)
    assert secret not in stream.getvalue()
    assert "job.failed" in stream.getvalue()
    assert "ValueError" in stream.getvalue()


def test_fields_named_like_secrets_are_hidden_whatever_they_hold(stream: io.StringIO):
    configure("info", "json", stream)
    get("keysat").info(
        "x", password="hunter2", webhook_secret=("hunter2",), nested={"API_KEY": "hunter2"}, a=Secret("hunter2")
    )
    assert "hunter2" not in stream.getvalue()


def test_an_error_keeps_its_traceback(stream: io.StringIO):
    configure("info", "json", stream)
    try:
        raise LookupError("nothing there")
    except LookupError as error:
        get("keysat").error("job.failed", error, job="sweep")
    [line] = lines(stream)
    assert line["fields"] == {"job": "sweep"}
    assert line["trace"].startswith("Traceback")
    assert line["trace"].endswith("LookupError: nothing there")


def test_a_line_that_cannot_be_written_tells_nothing_of_its_arguments(stream: io.StringIO):
    configure("info", "json", stream)
    get("other").info("event", note="hunter2", broken=Unspeakable())
    assert stream.getvalue().startswith("log.failed logger=other")
    assert "hunter2" not in stream.getvalue()


def test_long_values_are_cut(stream: io.StringIO):
    configure("info", "json", stream)
    get("keysat").info("x", body="long " * 100_000)
    assert len(stream.getvalue()) < 9_000


@pytest.mark.parametrize(
    "text",
    [
        "order.settled",
        "tasks_delivered_in_time webhooks_delivered",
        "INSERT INTO orders (id, at) VALUES (?, ?) WHERE a = ?",
        "https://keys.example/v1/products/{slug}",
        "the token is missing",
        "2026-11-21T12:44:52.123Z 10:30 a=b",
        "KS-7QZ3M5ALDY",
    ],
)
def test_what_is_no_secret_stays_readable(text: str):
    assert redact(text) == text


@given(st.text())
def test_redaction_is_stable(text: str):
    assert redact(redact(text)) == redact(text)
