from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.web.address import UNKNOWN, client_address, limit_key

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def asked(peer: str | None, **headers: str) -> str:
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return client_address(peer, lines, PROXIES)


def test_a_stranger_cannot_name_another_address() -> None:
    assert asked("203.0.113.7", x_forwarded_for="198.51.100.1") == "203.0.113.7"
    assert asked("203.0.113.7", forwarded="for=198.51.100.1") == "203.0.113.7"


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("198.51.100.1:4711", "198.51.100.1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("nonsense, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.3", "10.0.0.3"),
        ("", "10.0.0.1"),
    ],
)
def test_behind_a_proxy_the_nearest_untrusted_hop_counts(line: str, address: str) -> None:
    assert asked("10.0.0.1", x_forwarded_for=line) == address


def test_forwarded_is_read_as_well() -> None:
    line = 'for=6.6.6.6, for="[2001:db8::1]:4711";proto=https;by=10.0.0.2'
    assert asked("10.0.0.1", forwarded=line) == "2001:db8::1"


def test_headers_that_disagree_are_both_not_believed() -> None:
    assert asked("10.0.0.1", forwarded="for=6.6.6.6", x_forwarded_for="198.51.100.1") == "10.0.0.1"
    assert asked("10.0.0.1", forwarded="for=198.51.100.1", x_forwarded_for="198.51.100.1") == "198.51.100.1"


def test_a_unix_socket_has_no_address() -> None:
    assert asked(None, x_forwarded_for="198.51.100.1") == UNKNOWN


def test_a_limit_counts_a_whole_ipv6_network() -> None:
    assert limit_key("2001:db8:0:1::1") == limit_key("2001:db8:0:1:ffff::2") == "2001:db8:0:1::/64"
    assert limit_key("198.51.100.1") == "198.51.100.1"
    assert limit_key(UNKNOWN) == UNKNOWN


@given(st.text(alphabet='0123456789abcdef.:[]%, "=;for', max_size=60))
def test_no_header_makes_it_stumble(line: str) -> None:
    assert asked("10.0.0.1", x_forwarded_for=line, forwarded=line)
