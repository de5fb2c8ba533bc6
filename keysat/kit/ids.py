"""The one home of chance: ids, tokens and jitter are all drawn here, from a source that is an argument."""

import base64
import hashlib
import os
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Protocol
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_VARIANT = 0b10 << 62  # RFC 9562, 4.1


class Chance(Protocol):
    def bytes(self, count: int) -> bytes:
        """`count` bytes that nobody can foretell."""
        ...


class SystemChance:
    def bytes(self, count: int) -> bytes:
        return os.urandom(count)


class SeededChance:
    """The same bytes for the same seed, on every machine: for tests and the demo's driver, never for secrets."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._draws = 0

    def bytes(self, count: int) -> bytes:
        self._draws += 1
        return hashlib.shake_256(f"{self._seed}/{self._draws}".encode()).digest(count)


def uuid7(now: datetime, chance: Chance) -> UUID:
    """RFC 9562, 5.7: 48 bits of Unix milliseconds, then 74 random bits. Ids of one millisecond have no order."""
    milliseconds = (now - _EPOCH) // _MILLISECOND
    return UUID(int=milliseconds << 80 | _stamped(7, chance))


def random_uuid(chance: Chance) -> UUID:
    """RFC 9562, 5.4 (version 4): tells neither when nor in what order it was made."""
    return UUID(int=int.from_bytes(chance.bytes(6)) << 80 | _stamped(4, chance))


def token(chance: Chance, bits: int = 160) -> str:
    """Exactly `bits` random bits as lower-case RFC 4648 base32 without padding, five bits a character.

    Raises ValueError when `bits` is no positive multiple of 5.
    """
    if bits <= 0 or bits % 5:
        raise ValueError(f"a base32 token has a positive multiple of 5 bits, not {bits}")
    return base64.b32encode(chance.bytes(-(-bits // 8))).decode()[: bits // 5].lower()


def support_reference(chance: Chance) -> str:
    """What a buyer tells the support, such as `KS-7QZ3M5ALDY`: 50 bits; it opens nothing."""
    return "KS-" + token(chance, bits=50).upper()


def fraction(chance: Chance) -> Fraction:
    """At least 0 and below 1, in steps of 2^-64: for jitter."""
    return Fraction(int.from_bytes(chance.bytes(8)), 1 << 64)


def _stamped(version: int, chance: Chance) -> int:
    """The lower 80 bits of a UUID: version, 12 random bits, variant, 62 random bits."""
    drawn = int.from_bytes(chance.bytes(10))
    return version << 76 | (drawn >> 68) << 64 | _VARIANT | drawn & ((1 << 62) - 1)
