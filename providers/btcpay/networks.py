"""Which network a payment destination belongs to (`payment-rails.md` 1.6): BTCPay's API does not say.

What is not recognised is UNKNOWN, and no live license is issued on an unknown network.
"""

import re
from collections.abc import Iterable

from keysat.payments.provider import Network

_BECH32 = "[02-9ac-hj-np-z]{6,}"
_BASE58 = "[1-9A-HJ-NP-Za-km-z]{25,34}"
_AMOUNT = r"(?:[1-9]\d*[munp]?)?"

_MAINNET = frozenset({Network.MAINNET})
_TESTNET = frozenset({Network.TESTNET})
_REGTEST = frozenset({Network.REGTEST})

# Human-readable parts are ended by "1", so that "lnbc" cannot be taken for "lnbcrt", nor "lntb" for "lntbs" (signet).
_SHAPES: tuple[tuple[re.Pattern[str], frozenset[Network]], ...] = (
    (re.compile(f"lnbcrt{_AMOUNT}1{_BECH32}"), _REGTEST),
    (re.compile(f"lntbs{_AMOUNT}1{_BECH32}"), _TESTNET),
    (re.compile(f"lnbc{_AMOUNT}1{_BECH32}"), _MAINNET),
    (re.compile(f"lntb{_AMOUNT}1{_BECH32}"), _TESTNET),
    (re.compile(f"bcrt1{_BECH32}"), _REGTEST),
    (re.compile(f"bc1{_BECH32}"), _MAINNET),
    (re.compile(f"tb1{_BECH32}"), _TESTNET),
)
_BASE58_SHAPES: tuple[tuple[re.Pattern[str], frozenset[Network]], ...] = (
    (re.compile(f"[13]{_BASE58}"), _MAINNET),
    (re.compile(f"[mn2]{_BASE58}"), _TESTNET | _REGTEST),  # regtest has no base58 prefix of its own
)


def candidates(destination: str) -> frozenset[Network]:
    """The networks this address or BOLT11 may belong to; empty when it is neither."""
    lowered = destination.lower()
    if destination in (lowered, destination.upper()):  # BIP 173: mixed case is invalid
        for shape, networks in _SHAPES:
            if shape.fullmatch(lowered):
                return networks
    for shape, networks in _BASE58_SHAPES:
        if shape.fullmatch(destination):
            return networks
    return frozenset()


def network_of(destinations: Iterable[str]) -> Network:
    """The one network all destinations agree on; UNKNOWN when there is none, or one is not recognised."""
    common: frozenset[Network] | None = None
    for destination in destinations:
        possible = candidates(destination)
        common = possible if common is None else common & possible
    if not common:
        return Network.UNKNOWN
    return Network.TESTNET if len(common) > 1 else next(iter(common))
