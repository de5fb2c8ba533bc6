"""Outgoing requests: limits hold, failures say what may have happened, and no error text tells a secret.

The servers are real ones on the loopback, made of a function that answers raw bytes.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from importlib.resources import as_file, files
from typing import TypeAlias

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.infra.http import Answer, HttpClient, HttpError, HttpLimits, NetworkError, NotJson, ResponseTooLarge

Conversation: TypeAlias = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
SECRET_HEADERS = {"Authorization": "token hunter2hunter2"}
QUICK = HttpLimits(connect_seconds=1, read_seconds=0.15)


def plain(body: bytes, head: str = "HTTP/1.1 200 OK") -> Conversation:
    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return answer


@asynccontextmanager
async def listening(conversation: Conversation, tls: ssl.SSLContext | None = None) -> AsyncGenerator[str, None]:
    """The base URL of a server that reads one request a connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            sizes = [int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line]
            await conversation(head + await reader.readexactly(sum(sizes)), writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def client(limits: HttpLimits | None = None) -> AsyncGenerator[HttpClient, None]:
    made = HttpClient(limits)
    try:
        yield made
    finally:
        await made.aclose()


async def failure(http: HttpClient, url: str) -> HttpError:
    with pytest.raises(HttpError) as caught:
        await http.request("POST", f"{url}/v1/hunter2?key=hunter2", headers=SECRET_HEADERS, content=b"body")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


async def test_a_request_arrives_as_it_was_meant():
    seen: list[bytes] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        await plain(b'{"id": 1}', "HTTP/1.1 201 Created\r\nX-Request: 7")(request, writer)

    async with listening(answer) as url, client() as http:
        made = await http.request("POST", f"{url}/orders?a=b", headers=SECRET_HEADERS, json={"amount": Decimal("1.50")})
        await http.request("PUT", url, content=b"\x00raw", headers={"Content-Type": "application/octet-stream"})
    assert (made.status, made.headers["x-REQUEST"], made.json()) == (201, "7", {"id": 1})
    head, _, body = seen[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /orders?a=b HTTP/1.1\r\n")
    assert b"Authorization: token hunter2hunter2" in head
    assert b"Content-Type: application/json" in head
    assert b"User-Agent: Keysat/" in head
    assert msgspec.json.decode(body) == {"amount": "1.50"}
    assert seen[1].endswith(b"\x00raw")


async def test_a_redirect_is_an_answer_and_is_not_followed():
    async with listening(plain(b"", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/")) as url, client() as http:
        answer = await http.request("GET", url)
    assert (answer.status, answer.headers["location"]) == (302, "http://127.0.0.1:1/")


async def test_no_cookie_is_kept():
    seen: list[bytes] = []

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        await plain(b"", "HTTP/1.1 200 OK\r\nSet-Cookie: session=hunter2; Path=/")(request, writer)

    async with listening(answer) as url, client() as http:
        await http.request("GET", url)
        await http.request("GET", url)
    assert b"ookie" not in seen[1]


async def test_nobody_listening_means_nothing_happened():
    async with listening(plain(b"")) as url:
        pass
    async with client(QUICK) as http:
        error = await failure(http, url)
    assert isinstance(error, NetworkError)
    assert not error.outcome_unknown


async def test_silence_means_the_outcome_is_unknown():
    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.4)

    async with listening(answer) as url, client(QUICK) as http:
        error = await failure(http, url)
    assert isinstance(error, NetworkError)
    assert error.outcome_unknown


async def test_one_call_can_wait_longer():
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.3)
        await plain(b"late")(request, writer)

    async with listening(answer) as url, client(QUICK) as http:
        assert (await http.request("POST", url, read_seconds=5)).body == b"late"


async def test_a_slow_drip_ends_too():
    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(40):
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.05)

    limits = HttpLimits(connect_seconds=0.6, read_seconds=0.1)
    async with listening(answer) as url, client(limits) as http:
        error = await failure(http, url)
    assert isinstance(error, NetworkError)
    assert error.outcome_unknown


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"hunter2 is no HTTP\r\n\r\n"]
)
async def test_a_connection_lost_after_sending_means_the_outcome_is_unknown(said: bytes):
    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(said)

    async with listening(answer) as url, client(QUICK) as http:
        error = await failure(http, url)
    assert isinstance(error, NetworkError)
    assert error.outcome_unknown


@pytest.mark.parametrize("url", ["hunter2", "ftp://127.0.0.1", "http://127.0.0.1:hunter2", "http://", "http://\x00/"])
async def test_what_is_no_address_is_not_sent(url: str):
    async with client() as http:
        error = await failure(http, url)
    assert isinstance(error, NetworkError)
    assert not error.outcome_unknown


@pytest.mark.parametrize("value", ["hunter2\r\nX: y", "hunter2ä€"])
async def test_a_header_that_cannot_be_sent_is_not_quoted(value: str):
    async with listening(plain(b"")) as url, client() as http:
        with pytest.raises(NetworkError) as caught:
            await http.request("GET", url, headers={"Authorization": value})
    assert "hunter2" not in str(caught.value)
    assert not caught.value.outcome_unknown


@pytest.mark.parametrize("declared", ["Content-Length: 5000", "Transfer-Encoding: chunked"])
async def test_a_large_answer_is_cut_off(declared: str):
    async def answer(_request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 202 Accepted\r\n{declared}\r\n\r\n".encode())
        for _ in range(1_000):
            writer.write(b"5\r\nabcde\r\n")
            await writer.drain()

    async with listening(answer) as url, client(HttpLimits(answer_bytes_max=1_000)) as http:
        error = await failure(http, url)
    assert isinstance(error, ResponseTooLarge)
    assert error.status == 202


async def test_an_answer_of_just_the_limit_is_read():
    async with listening(plain(b"x" * 1_000)) as url, client(HttpLimits(answer_bytes_max=1_000)) as http:
        assert len((await http.request("GET", url)).body) == 1_000


async def test_a_certificate_nobody_vouches_for_is_refused():
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificates = files("aiosmtpd.tests.certs")
    with as_file(certificates / "server.crt") as certificate, as_file(certificates / "server.key") as key:
        tls.load_cert_chain(certificate, key)
    async with listening(plain(b"hunter2"), tls) as url, client() as http:
        error = await failure(http, url)
    assert isinstance(error, NetworkError)
    assert not error.outcome_unknown
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)


async def test_a_given_transport_stands_in_for_the_network():
    http = HttpClient(transport=httpx.MockTransport(lambda request: httpx.Response(200, text=request.url.path)))
    assert (await http.request("GET", "https://pay.example/api")).body == b"/api"
    await http.aclose()


def answer_of(body: str | bytes) -> Answer:
    return Answer(200, {"set-cookie": "hunter2"}, body if isinstance(body, bytes) else body.encode())


def test_fractions_are_exact_and_counts_are_counts():
    read = answer_of(
        '{"rate": 64123.10, "tiny": 1E-8, "sats": 2100000000000000, "huge": 123456789012345678901234567890}'
    ).json()
    assert read == {
        "rate": Decimal("64123.10"),
        "tiny": Decimal("0.00000001"),
        "sats": 2_100_000_000_000_000,
        "huge": 123456789012345678901234567890,
    }
    assert isinstance(read, dict)
    assert str(read["rate"]) == "64123.10"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>hunter2</html>",
        "{'a': 1}",
        "NaN",
        "[Infinity]",
        "-Infinity",
        "1e99",
        "1e999999999",
        "1e-99",
        "9" * 5_000,
        "[" * 200_000,
        b"\xff\xfe\x00",
        b'"\xc3"',
        "1.5.2",
        "{} {}",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_what_is_no_json_is_said_without_quoting_it(body: str | bytes):
    with pytest.raises(NotJson) as caught:
        answer_of(body).json()
    assert "hunter2" not in str(caught.value)


@given(st.binary(max_size=60))
def test_any_body_is_read_or_refused(body: bytes):
    with suppress(NotJson):
        answer_of(body).json()


def test_an_answer_does_not_show_what_it_holds():
    assert repr(answer_of("hunter2")) == "Answer(status=200)"
