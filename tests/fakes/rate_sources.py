"""The public rate sources, as one fake network: each answers in its documented shape, at prices the test sets."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import httpx

Prices = Mapping[str, Decimal]


def _kraken(prices: Prices, _now: int) -> object:
    sides = {code: [str(price), "1", "1.000"] for code, price in prices.items()}
    return {"error": [], "result": {f"XXBTZ{code}": dict.fromkeys("abc", side) for code, side in sides.items()}}


def _coinbase(prices: Prices, _now: int) -> object:
    rates = {code: str(price) for code, price in prices.items()}
    return {"data": {"currency": "BTC", "rates": {"ETH": "27.1", **rates}}}


def _bitstamp(prices: Prices, now: int) -> object:
    [price] = prices.values()
    return {"last": str(price), "bid": str(price), "ask": str(price), "timestamp": str(now)}


def _mempool(prices: Prices, now: int) -> object:
    return {"time": now, **{code: int(price) for code, price in prices.items()}}


def _bitfinex(prices: Prices, _now: int) -> object:
    [price] = prices.values()
    return [int(price), 8, int(price), 6, 505, 0, int(price), 512, 98120, 95480]


def _coingecko(prices: Prices, now: int) -> object:
    return {"bitcoin": {**{code.lower(): int(price) for code, price in prices.items()}, "last_updated_at": now}}


_SHAPES: Mapping[str, tuple[str, Callable[[Prices, int], object]]] = {
    "api.kraken.com": ("kraken", _kraken),
    "api.coinbase.com": ("coinbase", _coinbase),
    "www.bitstamp.net": ("bitstamp", _bitstamp),
    "mempool.space": ("mempool.space", _mempool),
    "api-pub.bitfinex.com": ("bitfinex", _bitfinex),
    "api.coingecko.com": ("coingecko", _coingecko),
}
_ONE_PAIR = re.compile(r"(?:pair=XBT|/btc|/tBTC|vs_currencies=)([A-Za-z]{3})")

NAMES = tuple(name for name, _ in _SHAPES.values())


class TravellingClock:
    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def travel(self, **span: int) -> None:
        self.moment += timedelta(**span)


class RateSources(httpx.AsyncBaseTransport):
    """What the market says, and what is wrong with each source."""

    def __init__(self, clock: TravellingClock, **prices: int) -> None:
        self._clock = clock
        self.prices = prices
        self.factors: dict[str, Decimal] = {}  # by source: what it multiplies its prices with
        self.broken: dict[str, Callable[[], httpx.Response]] = {}  # by source: what it answers instead
        self.silent: set[str] = set()  # sources that never answer
        self.asked: Counter[str] = Counter()
        self.is_open = asyncio.Event()  # while unset, all answers are held back
        self.is_open.set()

    def break_all(self) -> None:
        self.broken = dict.fromkeys(NAMES, lambda: httpx.Response(503))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name, shape = _SHAPES[request.url.host]
        self.asked[name] += 1
        await self.is_open.wait()
        if name in self.silent:
            await asyncio.Event().wait()
        if name in self.broken:
            return self.broken[name]()
        pair = _ONE_PAIR.search(str(request.url))
        codes = self.prices if pair is None else {pair[1].upper()} & self.prices.keys()
        prices = {code: self.prices[code] * self.factors.get(name, Decimal(1)) for code in codes}
        return httpx.Response(200, text=json.dumps(shape(prices, int(self._clock.now().timestamp()))))
