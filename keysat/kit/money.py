"""Money as whole minor units of a currency, with exact arithmetic and rounding that has a name.

The minor unit is 10^-exponent of the major unit (cents of USD, yen of JPY, fils of BHD, sats of SAT).
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import total_ordering
from math import ceil, floor
from typing import Self

from keysat.kit.currencies import SAT, exponent
from keysat.kit.errors import BadRequest

MAX_MINOR = 2**53 - 1
"""The largest amount: what every JSON reader can still hold exactly (RFC 8259, 6)."""

MAX_SATS = 21 * 10**14
"""All the bitcoin there will ever be."""

SATS_PER_BTC = 10**8
_CENTIBPS_PER_MAJOR = 10**4
_UNIT_PRICE_PER_MAJOR = 10**5
_DIGITS_MAX = 20
_DECIMAL = re.compile(r"(-?)([0-9]{1,20})(?:\.([0-9]{1,20}))?")


def half_up(value: Fraction) -> int:
    """To the nearest whole, a half away from zero: a credit note is the exact negative of its line."""
    rounded = floor(abs(value) + Fraction(1, 2))
    return rounded if value >= 0 else -rounded


def up(value: Fraction) -> int:
    """Away from zero."""
    return ceil(value) if value >= 0 else floor(value)


def down(value: Fraction) -> int:
    """Towards zero."""
    return floor(value) if value >= 0 else ceil(value)


def is_countable(number: Decimal) -> bool:
    """Neither NaN nor infinite, nor with an exponent whose exact arithmetic would never end (1e999999999)."""
    return number.is_finite() and abs(number.adjusted()) <= _DIGITS_MAX


@total_ordering
@dataclass(frozen=True, slots=True, order=False)
class Money:
    """Raises BadRequest for an unknown currency and beyond MAX_MINOR; ValueError when currencies are mixed."""

    currency: str
    minor: int

    def __post_init__(self) -> None:
        exponent(self.currency)
        if abs(self.minor) > MAX_MINOR:
            raise BadRequest(f"{self.minor} is more {self.currency} than can be counted: stay below {MAX_MINOR + 1}")

    @classmethod
    def parse(cls, text: str, currency: str) -> Self:
        """Reads `49.00`: digits, and at most as many decimals as the currency has. Raises BadRequest otherwise."""
        places = exponent(currency)
        match = _DECIMAL.fullmatch(text)
        if match is None:
            raise BadRequest(f"{text[:32]!r} is not an amount: write digits and a point, such as 49.00")
        sign, whole, decimals = match[1], match[2], match[3] or ""
        if len(decimals) > places:
            raise BadRequest(f"{text} has {len(decimals)} decimals, {currency} has {places}")
        return cls(currency, int(sign + whole + decimals.ljust(places, "0")))

    @classmethod
    def of(cls, currency: str, major: Decimal) -> Self:
        """From a number of major units, as JSON from outside gives it; surplus zeros are fine.

        Raises BadRequest when it is no whole number of minor units.
        """
        if not is_countable(major):
            raise BadRequest(f"{major} is not an amount of {currency}")
        minor = Fraction(major) * 10 ** exponent(currency)
        if minor.denominator != 1:
            raise BadRequest(f"{major} has more decimals than {currency}, which has {exponent(currency)}")
        return cls(currency, minor.numerator)

    def decimal_text(self) -> str:
        """In major units with exactly the currency's decimals and a point: `49.00`, `5000`, `19.900`."""
        places = exponent(self.currency)
        sign = "-" if self.minor < 0 else ""
        if places == 0:
            return f"{self.minor}"
        whole, decimals = divmod(abs(self.minor), 10**places)
        return f"{sign}{whole}.{decimals:0{places}d}"

    def split(self, parts: int) -> list[Self]:
        """Parts that differ by at most one minor unit, the larger ones first, and add up to the whole."""
        if parts < 1:
            raise ValueError(f"money is split into at least one part, not {parts}")
        share, rest = divmod(self.minor, parts)
        return [type(self)(self.currency, share + (index < rest)) for index in range(parts)]

    def __add__(self, other: "Money") -> "Money":
        return Money(self.currency, self.minor + self._same(other))

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.currency, self.minor - self._same(other))

    def __neg__(self) -> "Money":
        return Money(self.currency, -self.minor)

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._same(other)

    def _same(self, other: "Money") -> int:
        if other.currency != self.currency:
            raise ValueError(f"{self.currency} and {other.currency} do not mix without a rate")
        return other.minor


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """The price of one unit of something, fine enough for a gigabyte: `value` is in 1/100,000 of the major unit."""

    currency: str
    value: int

    def __post_init__(self) -> None:
        exponent(self.currency)

    def line(self, quantity: int | Fraction) -> Money:
        """Price times quantity, rounded half up once to whole minor units."""
        major = Fraction(self.value, _UNIT_PRICE_PER_MAJOR) * quantity
        return Money(self.currency, half_up(major * 10 ** exponent(self.currency)))


@dataclass(frozen=True, slots=True)
class BtcRate:
    """The price of one bitcoin: `centibps` is in 1/10,000 of the currency's major unit, and above 0."""

    currency: str
    centibps: int

    def __post_init__(self) -> None:
        exponent(self.currency)
        if self.currency == SAT or self.centibps <= 0:
            raise ValueError(f"no price of bitcoin: {self.centibps} in {self.currency}")

    @classmethod
    def of(cls, currency: str, price: Decimal) -> Self:
        """From the price of one bitcoin in major units, rounded half up to 1/10,000.

        Raises ValueError when that is not a positive number.
        """
        if not is_countable(price):
            raise ValueError(f"no price of bitcoin: {price} {currency}")
        return cls(currency, half_up(Fraction(price) * _CENTIBPS_PER_MAJOR))

    def decimal_text(self) -> str:
        """The price of one bitcoin in major units, with all four decimals: `50000.0000`."""
        whole, decimals = divmod(self.centibps, _CENTIBPS_PER_MAJOR)
        return f"{whole}.{decimals:04d}"


def to_sats(price: Money, rate: BtcRate | None) -> int:
    """What the buyer pays: rounded up, so the seller is never short, and 0 only for 0.

    A price in SAT is its own answer and needs no rate. Raises BadRequest above MAX_SATS.
    """
    return up(_exact_sats(price, rate))


def refund_sats(amount: Money, rate: BtcRate | None) -> int:
    """What the buyer gets back at this rate: rounded down. Raises BadRequest above MAX_SATS."""
    return down(_exact_sats(amount, rate))


def _exact_sats(price: Money, rate: BtcRate | None) -> Fraction:
    if price.minor < 0:
        raise ValueError(f"a price in sats is not negative: {price}")
    if price.currency == SAT:
        sats = Fraction(price.minor)
    elif rate is not None and rate.currency == price.currency:
        major = Fraction(price.minor, 10 ** exponent(price.currency))
        sats = major * SATS_PER_BTC * _CENTIBPS_PER_MAJOR / rate.centibps
    else:
        raise ValueError(f"{price.currency} needs its own rate, not {rate}")
    if sats > MAX_SATS:
        raise BadRequest(f"{price.decimal_text()} {price.currency} is more bitcoin than there will ever be")
    return sats
