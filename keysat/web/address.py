"""Where a request comes from. Forwarding headers count only when the peer is a proxy the operator has named."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

FORWARDED = (b"x-forwarded-for", b"forwarded")

UNKNOWN = "unknown"
"""A peer without an IP address, such as a Unix socket. All of them share one limit."""


def client_address(peer: str | None, headers: Iterable[tuple[bytes, bytes]], trusted: Sequence[Network]) -> str:
    """The nearest address that is no trusted proxy, read from the right: what stands left of it anybody can write.

    `headers` as ASGI has them, names in lower case. A proxy that sets one of `X-Forwarded-For` and `Forwarded`
    (RFC 7239) often passes the other on as the client wrote it: where they disagree, the proxy's own address is taken.
    """
    nearest = _parsed(peer or "")
    if nearest is None:
        return UNKNOWN
    if not _is_in(nearest, trusted):
        return str(nearest)
    lines = dict.fromkeys(FORWARDED, "")
    for name, value in headers:
        if name in lines:
            lines[name] += "," + value.decode("latin-1")
    forwarded = (_hops(lines[b"x-forwarded-for"]), [_for(hop) for hop in _hops(lines[b"forwarded"])])
    answers = {_walked(nearest, hops, trusted) for hops in forwarded if hops}
    return str(answers.pop() if len(answers) == 1 else nearest)


def unnamed_proxy(peer: str | None, headers: Iterable[tuple[bytes, bytes]], trusted: Sequence[Network]) -> str | None:
    """The peer, where it looks like a proxy of the operator's that no setting names: it forwards, and from a network
    that is not the public one. Such a header can be sent by anybody, but not from such an address."""
    if not any(name in FORWARDED for name, _ in headers):
        return None
    found = _parsed(peer or "")
    return str(found) if found is not None and not found.is_global and not _is_in(found, trusted) else None


def limit_key(address: str) -> str:
    """An IPv6 customer has a whole /64, so that is what a limit counts."""
    found = _parsed(address)
    return str(IPv6Network((found, 64), strict=False)) if isinstance(found, IPv6Address) else address


def _walked(peer: Address, hops: Sequence[str], trusted: Sequence[Network]) -> Address:
    nearest = peer
    for hop in reversed(hops):
        found = _parsed(hop)
        if found is None:
            break
        nearest = found
        if not _is_in(found, trusted):
            break
    return nearest


def _hops(line: str) -> list[str]:
    return [hop.strip() for hop in line.split(",") if hop.strip()]


def _for(element: str) -> str:
    pairs = (pair.partition("=") for pair in element.split(";"))
    return next((value for name, _, value in pairs if name.strip().lower() == "for"), "")


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Address | None:
    """`1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]:567`, in quotes or not."""
    bare = text.strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        found = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
