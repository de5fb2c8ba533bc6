"""Requests to addresses that somebody typed. ASVS 5.0, 1.3.6; OWASP's cheat sheet on request forgery."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.infra.http import NetworkError
from keysat.infra.public_http import LOOPBACK, PublicHttp, Refused, checked_url, house_http, is_public

INSIDE = """127.0.0.1 127.255.0.1 0.0.0.0 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1
100.127.255.255 192.0.0.8 198.18.0.1 224.0.0.1 239.1.1.1 255.255.255.255 240.0.0.1 :: ::1 fe80::1 fc00::1 fd12:3456::1
ff02::1 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::7f00:1 64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:1::1 2002:7f00:1::1
2001:0:1::1 2001:db8::1 fec0::1 100::1"""
OUTSIDE = "8.8.8.8 1.1.1.1 100.63.255.255 100.128.0.1 172.32.0.1 193.0.0.1 2606:4700::1111 2a00:1450::1"


@pytest.mark.parametrize("text", INSIDE.split())
def test_an_address_inside_is_not_public(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize("text", OUTSIDE.split())
def test_an_address_outside_is_public(text: str) -> None:
    assert is_public(ip_address(text))


@given(st.one_of(st.ip_addresses(), st.sampled_from([ip_address(text) for text in INSIDE.split()])))
def test_whatever_the_standard_library_knows_to_be_special_is_not_public(address: IPv4Address | IPv6Address) -> None:
    special = (
        address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_reserved
        or address.is_unspecified
    )
    assert not (special and is_public(address))
    assert not is_public(IPv6Address(b"\0" * 10 + b"\xff\xff" + IPv4Address(int(address) & 0xFFFFFFFF).packed))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_the_clothes_of_ipv6_is_not_public(address: IPv4Address) -> None:
    for prefix in (b"\0" * 12, b"\0" * 10 + b"\xff\xff", bytes.fromhex("0064ff9b") + b"\0" * 8):
        assert not is_public(IPv6Address(prefix + address.packed))
    assert not is_public(IPv6Address(b"\x20\x02" + address.packed + b"\0" * 10))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/",
        "https://",
        "/hook",
        "https://user@a.example/",
        "https://user:password@a.example/",
        "https://a.example/#part",
        "https://a.example/\n",
        "https://[::1",
        "https://xn--/",
        "https://a.example:0/",
        "https://a.example:65536/",
        "https://a b.example/",
        "https://a..example/",
        "https://a.example/" + "x" * 2048,
    ],
)
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        checked_url(url)


def resolving(*answers: Sequence[str]):
    """A name server that gives these answers, one after the other, and counts."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return answers[min(len(asked), len(answers)) - 1]

    return resolve, asked


@asynccontextmanager
async def listener() -> AsyncGenerator[tuple[int, list[bytes]], None]:
    """Something inside the house that answers whoever asks, with a redirect."""
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/admin\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


async def test_a_name_that_means_us_is_not_dialled_whatever_it_meant_before() -> None:  # D-39
    """DNS rebinding: what was judged is what is dialled, so a name is resolved once for each connection."""
    async with listener() as (port, heard):
        resolve, asked = resolving(["8.8.8.8"], ["127.0.0.1"])
        http = PublicHttp(resolve=resolve)
        await http.check(f"https://hook.example:{port}/")
        with pytest.raises(NetworkError, match="may not be asked"):
            await http.request("POST", f"https://hook.example:{port}/", content=b"{}")
        assert (asked, heard) == (["hook.example"] * 2, [])
        for url in (f"http://127.0.0.1:{port}/", f"http://127.1:{port}/", f"http://localhost:{port}/"):
            with pytest.raises(Refused):
                await PublicHttp().check(url)
            with pytest.raises(NetworkError, match="may not be asked"):
                await PublicHttp().request("POST", url, content=b"{}")
        assert heard == []
        await http.aclose()


async def test_an_owners_addresses_may_be_at_home_and_are_never_where_clouds_tell_secrets() -> None:
    async with listener() as (port, heard):
        http = house_http()
        assert (await http.request("GET", f"http://localhost:{port}/")).status == 302
        assert len(heard) == 1  # no redirect is followed
        for host in ("169.254.169.254", "2852039166", "[fe80::1]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]"):
            with pytest.raises(NetworkError, match="may not be asked"):
                await http.request("GET", f"http://{host}:{port}/")
        await http.aclose()
        resolve, _ = resolving(["169.254.169.254", "fe80::1%eth0", "127.0.0.1"])
        http = house_http(resolve=resolve)
        assert (await http.request("GET", f"http://btcpay.example:{port}/")).status == 302
        await http.aclose()


async def test_what_the_operator_allowed_is_asked_by_its_name_and_no_redirect_is_followed() -> None:  # D-39
    async with listener() as (port, heard):
        resolve, asked = resolving(["10.0.0.1", "127.0.0.1"])
        http = PublicHttp(LOOPBACK, resolve=resolve)
        await http.check(f"http://hook.example:{port}/")
        answer = await http.request("POST", f"http://hook.example:{port}/a?b", content=b"{}")
        assert answer.status == 302
        assert len(heard) == 1
        assert heard[0].startswith(b"POST /a?b HTTP/1.1\r\n")
        assert f"host: hook.example:{port}".encode() in heard[0].lower()
        assert asked == ["hook.example"] * 2
        await http.aclose()


async def test_plain_http_is_for_allowed_machines_alone() -> None:
    resolve, _ = resolving(["8.8.8.8"])
    with pytest.raises(Refused, match="https"):
        await PublicHttp(resolve=resolve).check("http://hook.example/")
    await PublicHttp([ip_network("0.0.0.0/0")], resolve=resolve).check("http://hook.example/")


async def test_a_name_that_cannot_be_resolved_today_may_be_written_down() -> None:
    async def fail(host: str, port: int) -> Sequence[str]:
        raise OSError

    http = PublicHttp(resolve=fail)
    await http.check("https://hook.example/")
    with pytest.raises(NetworkError, match="resolved"):
        await http.request("POST", "https://hook.example/")
    await http.aclose()
