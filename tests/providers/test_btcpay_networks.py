"""Where a destination's money lives (`payment-rails.md` 1.6)."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.payments.provider import Network
from providers.btcpay.networks import candidates, network_of

MAINNET, TESTNET, REGTEST = Network.MAINNET, Network.TESTNET, Network.REGTEST
EITHER = {TESTNET, REGTEST}
BECH32 = st.text("qpzry9x8gf2tvdw0s3jn54khce6mua7l", min_size=38, max_size=60)
BASE58 = st.text("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz", min_size=25, max_size=34)
BOLT11 = st.sampled_from([("lnbc", MAINNET), ("lntb", TESTNET), ("lntbs", TESTNET), ("lnbcrt", REGTEST)])
BECH32_PREFIXES = st.sampled_from([("bc", MAINNET), ("tb", TESTNET), ("bcrt", REGTEST)])
BASE58_VERSIONS = st.sampled_from([("1", {MAINNET}), ("3", {MAINNET}), ("m", EITHER), ("n", EITHER), ("2", EITHER)])
AMOUNTS = st.sampled_from(["", "1", "500n", "25m", "9678785340p", "20u"])
Case = Callable[[str], str]
CASES: st.SearchStrategy[Case] = st.sampled_from([str.lower, str.upper])


@given(BECH32_PREFIXES, BECH32, CASES)
def test_a_bech32_address_belongs_to_its_prefix(prefix: tuple[str, Network], data: str, case: Case) -> None:
    assert candidates(case(f"{prefix[0]}1{data}")) == {prefix[1]}


@given(BOLT11, AMOUNTS, BECH32, CASES)
def test_a_bolt11_belongs_to_its_whole_prefix(prefix: tuple[str, Network], amount: str, data: str, case: Case) -> None:
    assert candidates(case(f"{prefix[0]}{amount}1{data}")) == {prefix[1]}


@given(BASE58_VERSIONS, BASE58)
def test_a_base58_address_cannot_tell_testnet_from_regtest(version: tuple[str, set[Network]], rest: str) -> None:
    assert candidates(version[0] + rest) == version[1]


@given(st.text(max_size=80))
def test_any_other_text_belongs_nowhere_and_breaks_nothing(text: str) -> None:
    known = ("bc1", "tb1", "bcrt1", "lnbc", "lntb", "1", "3", "m", "n", "2")
    if not text.lower().startswith(known):
        assert network_of([text]) is Network.UNKNOWN


@given(st.lists(st.sampled_from(["bc1qexample", "bcrt1qexample", "tb1qexample", "m" * 30, "?"]), max_size=4))
def test_destinations_that_disagree_are_unknown(destinations: list[str]) -> None:
    found = network_of(destinations)
    if found is not Network.UNKNOWN:
        assert all(found in candidates(destination) for destination in destinations)
    if len(set(destinations)) == 1 and destinations[0] != "?":
        assert found is not Network.UNKNOWN


@pytest.mark.parametrize(
    ("destinations", "network"),
    [
        ([], Network.UNKNOWN),
        (["bc1qexample", "lnbc505160n1pj9nuzq"], MAINNET),
        (["bc1qexample", "lnbcrt505160n1pj9nuzq"], Network.UNKNOWN),
        (["m" * 30, "lnbcrt505160n1pj9nuzq"], REGTEST),
        (["m" * 30], TESTNET),
        (["bc1qexample", "ltc1qexample"], Network.UNKNOWN),
        (["bc1Qexample"], Network.UNKNOWN),
        (["bc1qexample\n"], Network.UNKNOWN),
        (["lnbc"], Network.UNKNOWN),
    ],
)
def test_all_must_agree(destinations: list[str], network: Network) -> None:
    assert network_of(destinations) is network
