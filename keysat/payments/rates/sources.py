"""The keyless public sources, as data: where each is asked, what it covers, and how its answer is read.

Source of the shapes: `payment-rails.md` 4. A parser answers None where the source has no opinion on the currency, and
raises SourceFailed or msgspec.ValidationError for an answer that does not fit; both count against the source.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

import msgspec

from keysat.payments.rates.quotes import Quote

Shape = TypeVar("Shape")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIX_SECONDS_MAX = 2**33  # the year 2242


class SourceFailed(Exception):
    """A source gave no usable answer. `throttled`: it wants to be left alone."""

    def __init__(self, reason: str, *, throttled: bool = False, retry_after_seconds: int | None = None) -> None:
        super().__init__(reason)
        self.throttled = throttled
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Reading:
    """What stands in an answer: the price, and the source's own time stamp where it has one."""

    price: Decimal
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Source:
    name: str
    url: Callable[[str], str]
    currencies: frozenset[str] | None  # None: a long list that changes; the answer tells
    is_exchange: bool
    read: Callable[[object, str], Reading | None]

    def covers(self, currency: str) -> bool:
        return self.currencies is None or currency in self.currencies

    def parse(self, json: object, currency: str, received_at: datetime) -> Quote | None:
        """`json`: numbers are int or Decimal. None: no opinion. Raises SourceFailed, msgspec.ValidationError."""
        try:
            found = self.read(json, currency)
        except ArithmeticError as error:  # the text "NaN" is a Decimal too, and so is a number beyond any exponent
            raise SourceFailed("a number that is none") from error
        if found is None or not found.price.is_finite() or found.price <= 0:
            return None
        return Quote(self.name, currency, found.price, found.at or received_at, self.is_exchange)


class _KrakenTicker(msgspec.Struct, frozen=True):
    a: tuple[Decimal, ...]  # ask, then volumes
    b: tuple[Decimal, ...]  # bid
    c: tuple[Decimal, ...]  # last trade


class _Kraken(msgspec.Struct, frozen=True):
    error: list[str] = []
    result: dict[str, _KrakenTicker] = {}


def _kraken(json: object, currency: str) -> Reading | None:
    answer = _as(json, _Kraken)
    for error in answer.error:
        if error.startswith("EQuery:Unknown asset pair"):
            return None
        is_throttled = "Rate limit" in error or "Too many requests" in error
        raise SourceFailed(error[:200], throttled=is_throttled)
    if len(answer.result) != 1:
        raise SourceFailed(f"{len(answer.result)} pairs in the answer, one was asked for")
    [(pair, ticker)] = answer.result.items()  # the key is Kraken's own name of the pair: XXBTZUSD for XBTUSD
    if not pair.endswith(currency) or not (ticker.a and ticker.b and ticker.c):
        raise SourceFailed(f"{pair} in the answer, {currency} was asked for")
    return Reading(_middle(ticker.b[0], ticker.a[0], ticker.c[0]))


class _CoinbaseRates(msgspec.Struct, frozen=True):
    currency: str
    rates: dict[str, object]  # coins too, some with texts that are no number: only ours is read


class _Coinbase(msgspec.Struct, frozen=True):
    data: _CoinbaseRates


def _coinbase(json: object, currency: str) -> Reading | None:
    data = _as(json, _Coinbase).data
    if data.currency != "BTC":
        raise SourceFailed(f"prices of {data.currency[:16]} in the answer, BTC was asked for")
    return Reading(_as(data.rates[currency], Decimal)) if currency in data.rates else None


class _Bitstamp(msgspec.Struct, frozen=True):
    last: Decimal
    bid: Decimal
    ask: Decimal
    timestamp: Decimal


def _bitstamp(json: object, _currency: str) -> Reading:
    answer = _as(json, _Bitstamp)
    return Reading(_middle(answer.bid, answer.ask, answer.last), _moment(answer.timestamp))


def _mempool(json: object, currency: str) -> Reading | None:
    answer = _as(json, dict[str, object])
    if "time" not in answer:
        raise SourceFailed("no time in the answer")
    at = _moment(_as(answer["time"], Decimal))
    return Reading(_as(answer[currency], Decimal), at) if currency in answer else None


def _bitfinex(json: object, _currency: str) -> Reading:
    fields = _as(json, list[object])
    if fields[:1] == ["error"]:
        raise SourceFailed(f"error {fields[1:]}"[:200], throttled=_BITFINEX_RATE_LIMIT in fields)
    if len(fields) <= _BITFINEX_LAST:
        raise SourceFailed(f"{len(fields)} fields in the answer")
    bid, ask, last = (_as(fields[index], Decimal) for index in (_BITFINEX_BID, _BITFINEX_ASK, _BITFINEX_LAST))
    return Reading(_middle(bid, ask, last))


_BITFINEX_RATE_LIMIT = 11010
_BITFINEX_BID, _BITFINEX_ASK, _BITFINEX_LAST = 0, 2, 6


class _CoinGecko(msgspec.Struct, frozen=True):
    bitcoin: dict[str, Decimal | None]


def _coingecko(json: object, currency: str) -> Reading | None:
    prices = _as(json, _CoinGecko).bitcoin
    price, updated = prices.get(currency.lower()), prices.get("last_updated_at")
    return Reading(price, _moment(updated) if updated is not None else None) if price is not None else None


def _as(json: object, shape: type[Shape]) -> Shape:
    return msgspec.convert(json, shape)


def _middle(bid: Decimal, ask: Decimal, last: Decimal) -> Decimal:
    """Between the best offers; the last trade where one side of the book is empty or crossed."""
    return (bid + ask) / 2 if 0 < bid <= ask else last


def _moment(unix_seconds: Decimal) -> datetime:
    if not 0 <= unix_seconds <= _UNIX_SECONDS_MAX:
        raise SourceFailed("a time stamp beyond reason")
    return _EPOCH + timedelta(seconds=int(unix_seconds))


def _codes(words: str) -> frozenset[str]:
    return frozenset(words.split())


SOURCES = (
    Source(
        "kraken",
        "https://api.kraken.com/0/public/Ticker?pair=XBT{}".format,
        _codes("USD EUR GBP CAD JPY CHF AUD"),
        True,
        _kraken,
    ),
    Source("coinbase", lambda _: "https://api.coinbase.com/v2/exchange-rates?currency=BTC", None, True, _coinbase),
    Source(
        "bitstamp",
        lambda currency: f"https://www.bitstamp.net/api/v2/ticker/btc{currency.lower()}/",
        _codes("USD EUR GBP"),
        True,
        _bitstamp,
    ),
    Source(
        "mempool.space",
        lambda _: "https://mempool.space/api/v1/prices",
        _codes("USD EUR GBP CAD CHF AUD JPY"),
        False,
        _mempool,
    ),
    Source(
        "bitfinex",
        "https://api-pub.bitfinex.com/v2/ticker/tBTC{}".format,
        _codes("USD EUR GBP JPY"),
        True,
        _bitfinex,
    ),
    Source(
        "coingecko",
        lambda currency: (
            "https://api.coingecko.com/api/v3/simple/price?ids=bitcoin"
            f"&vs_currencies={currency.lower()}&include_last_updated_at=true&precision=full"
        ),
        None,
        False,
        _coingecko,
    ),
)
"""In the order in which an order names them. At least two exchanges for every major currency."""
