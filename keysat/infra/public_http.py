"""Requests to addresses that somebody typed: they reach the public Internet, and no machine inside the house, unless an
owner typed them (`house_http`).

A name is resolved once, each of its addresses is judged, and exactly a judged one is dialled, so that a name server
that answers otherwise the second time changes nothing. TLS still asks for the certificate of the name. No redirect is
followed (`http.py`). OWASP: Server Side Request Forgery Prevention; addresses by RFC 6890 and IANA's registries.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from ssl import SSLContext
from typing import TypeAlias, cast

import httpcore
import httpx

from keysat.infra.http import Answer, HttpClient, HttpLimits
from keysat.kit.errors import BadRequest

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Addresses of a host, as text. Raises OSError."""

URL_MAX = 2048
PORT_MAX = 65_535
_HOST = re.compile(r"[0-9A-Fa-f:.]+|([0-9A-Za-z_-]{1,63}\.)*[0-9A-Za-z_-]{1,63}\.?")  # an address, or a name's labels
LOOKUP_SECONDS = 3  # while somebody waits for an answer
LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
GLOBAL_IPV6 = ip_network("2000::/3")
"""The global unicast space: loopback, link-local, unique local, multicast, mapped and translated (NAT64) addresses lie
outside.
"""
NAT64 = ip_network("64:ff9b::/96")
SPECIAL: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",
            "100.64.0.0/10",  # shared by a carrier's customers (RFC 6598)
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local: where clouds tell their machines secrets
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",  # documentation, also below
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
            "2001::/23",  # protocol assignments: Teredo holds an IPv4 address
            "2001:db8::/32",
            "2002::/16",  # 6to4 holds an IPv4 address
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)


NEVER: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16",  # link-local: where clouds tell their machines secrets
            "fe80::/10",
            "fd00:ec2::254/128",  # the same of Amazon's, Google's and Alibaba's, at addresses of their own
            "fd20:ce::254/128",
            "100.100.100.200/32",
        ),
    )
)
"""Asked by nobody, whoever wants it."""


class Refused(BadRequest):
    """The URL, or what it resolves to, is none that may be asked. The message is for the operator."""


def is_public(address: Address) -> bool:
    """Whether it is a machine of the public Internet, by the address alone."""
    if isinstance(address, IPv6Address) and address not in GLOBAL_IPV6:
        return False
    return not any(address in network for network in SPECIAL)


def is_house(address: Address) -> bool:
    """Whether an owner may let us ask it: anything, his own machines too, but for `NEVER`."""
    inner = address
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or address
        if address in NAT64:
            inner = IPv4Address(int(address) & 0xFFFFFFFF)
    return not any(inner in network for network in NEVER)


async def resolve(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class PublicHttp:
    """Asks public addresses over https, and those in `allowed` also where they are private, and over plain http."""

    def __init__(
        self, allowed: Iterable[Network] = (), limits: HttpLimits | None = None, resolve: Resolve = resolve
    ) -> None:
        self._limits = limits or HttpLimits()
        self._allowed = tuple(allowed)
        self._resolve = resolve
        self._clients: dict[str, HttpClient] = {}

    async def check(self, url: str) -> None:
        """Raises Refused where `request` could reach nothing. A name that resolves to nothing now may do so later."""
        parsed = checked_url(url)
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                addresses = await self._resolve(parsed.host, _port(parsed))
        except (OSError, UnicodeError):
            return
        judge = self._judge(parsed.scheme)
        if addresses and not any(judge(address) for address in addresses):
            raise Refused(_refusal(parsed, addresses[0]))

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> Answer:
        """As HttpClient's. Raises NetworkError also for an address that may not be asked; Refused for no such URL."""
        return await self._client(checked_url(url).scheme).request(method, url, headers=headers, content=content)

    async def aclose(self) -> None:
        for client in self._clients.values():
            await client.aclose()

    def _client(self, scheme: str) -> HttpClient:
        if scheme not in self._clients:
            dialler = _Dialler(self._resolve, self._judge(scheme))
            self._clients[scheme] = HttpClient(self._limits, transport=_Transport(self._limits, dialler))
        return self._clients[scheme]

    def _judge(self, scheme: str) -> Callable[[str], bool]:
        def may_be_asked(text: str) -> bool:
            address = _address(text)
            is_allowed = any(address in network for network in self._allowed)
            return is_allowed or (scheme == "https" and is_public(address))

        return may_be_asked


def house_http(limits: HttpLimits | None = None, resolve: Resolve = resolve) -> HttpClient:
    """For addresses that an owner gave: private ones too, since a BTCPay often stands at home; `NEVER` is refused."""
    limits = limits or HttpLimits()
    return HttpClient(limits, transport=_Transport(limits, _Dialler(resolve, lambda text: is_house(_address(text)))))


def checked_url(text: str) -> httpx.URL:
    """An http(s) URL with a host and without credentials. Raises Refused."""
    try:
        url = httpx.URL(text) if len(text) <= URL_MAX and text.isprintable() else httpx.URL()
        is_host = bool(url.host) and _HOST.fullmatch(url.raw_host.decode("ascii")) is not None
    except (httpx.InvalidURL, UnicodeError):  # the latter for `xn--`, too
        url, is_host = httpx.URL(), False
    if url.scheme not in ("https", "http") or not is_host or not 1 <= _port(url) <= PORT_MAX:
        raise Refused(f"This is not an https:// URL of at most {URL_MAX} characters.")
    if url.userinfo or url.fragment:
        raise Refused("The URL has a user, a password or a #fragment: leave them out.")
    return url


def _address(text: str) -> Address:
    return ip_address(text.partition("%")[0])  # a link-local one may come with its zone


def _port(url: httpx.URL) -> int:
    return url.port if url.port is not None else (443 if url.scheme == "https" else 80)


def _refusal(url: httpx.URL, address: str) -> str:
    if url.scheme == "http" and is_public(ip_address(address)):
        return "Plain http:// is for machines of your own: use https://, or allow it with KEYSAT_WEBHOOK_NETWORKS."
    return f"{url.host} is {address}, which is not public: allow it with KEYSAT_WEBHOOK_NETWORKS, or use another."


class _Dialler(httpcore.AsyncNetworkBackend):
    """Resolves, judges and dials; the connection pool above it goes on speaking of names."""

    def __init__(self, resolve: Resolve, judge: Callable[[str], bool]) -> None:
        self._resolve = resolve
        self._judge = judge
        self._network = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())  # hidden behind a condition

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("the name cannot be resolved") from error
        failure: httpcore.ConnectError | httpcore.ConnectTimeout = httpcore.ConnectError("the address may not be asked")
        for address in filter(self._judge, addresses):
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


class _Transport(httpx.AsyncHTTPTransport):
    """httpx's own, whose pool dials through ours: httpx has no argument for that.

    The pool is made for the first request: most commands of the command line send none.
    """

    def __init__(self, limits: HttpLimits, dialler: _Dialler) -> None:
        self._limits = limits
        self._dialler = dialler

    @cached_property
    def _pool(self) -> httpcore.AsyncConnectionPool:
        return httpcore.AsyncConnectionPool(
            ssl_context=_certificates(),
            max_connections=self._limits.connections_max,
            keepalive_expiry=30,
            network_backend=self._dialler,
        )

    async def aclose(self) -> None:
        if "_pool" in vars(self):
            await super().aclose()


@cache
def _certificates() -> SSLContext:
    """Reading all authorities takes 20 ms."""
    return httpx.create_ssl_context(trust_env=False)
