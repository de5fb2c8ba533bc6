"""What a bitcoin costs: the prices on the board, how the sources do, and the operator's pins."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from litestar import delete, get, post, put
from litestar.openapi.spec import Example
from litestar.params import JSONBody, PathParameter
from msgspec import Meta

from keysat.kit.currencies import exponent
from keysat.kit.errors import NotFound
from keysat.kit.money import BtcRate
from keysat.payments.rates import pins
from keysat.payments.rates.board import RateEvidence, SourceHealth
from keysat.web.problems import refusals
from keysat.web.provide import WithShop, WithWork
from keysat.web.wire import Outbound, StrictInbound

Currency = Annotated[str, PathParameter(examples=[Example(value="USD")])]
Typed = Annotated[str, Meta(pattern=r"^[0-9]{1,15}(\.[0-9]{1,8})?$")]
Whole = Annotated[int, Meta(gt=0, le=10**15)]


class PinBody(StrictInbound, frozen=True, kw_only=True):
    """The price of one bitcoin in major units: text or a whole number. JSON's fractions are not exact."""

    price: Annotated[Typed | Whole, Meta(examples=["50000.00", 50_000])]


class RateWanted(StrictInbound, frozen=True, kw_only=True):
    currency: Annotated[str, Meta(max_length=8, examples=["EUR"])]


class Pin(Outbound, frozen=True, kw_only=True):
    """`price` of one bitcoin in major units; `centibps` the same in 1/10,000 of one."""

    currency: str
    price: str
    centibps: int


class Asked(Outbound, frozen=True, kw_only=True):
    source: str
    price: str
    at: datetime


class Rate(Outbound, frozen=True, kw_only=True):
    """A price the sources agreed on. `stale`: older than a minute, but still sold at."""

    currency: str
    price: str
    centibps: int
    source: str
    sources: list[Asked]
    at: datetime
    stale: bool


class Source(Outbound, frozen=True, kw_only=True):
    """`failures` in a row; until `open_until` it is left alone; `openings` counts how often that was, since start."""

    name: str
    failures: int
    open_until: datetime | None
    openings: int


class Rates(Outbound, frozen=True, kw_only=True):
    """A pin is sold at, whatever the sources say."""

    pins: list[Pin]
    rates: list[Rate]
    sources: list[Source]


class Unpinned(Outbound, frozen=True, kw_only=True):
    ok: bool = True


@get("/rates", operation_id="listRates")
async def list_rates(shop: WithShop) -> Rates:
    """What this process knows without asking anyone: prices it can still sell at, its sources, and the pins."""
    async with shop.read() as read:
        pinned = await pins.all_pins(read)
    return Rates(
        pins=[_pin(rate) for rate in pinned.values()],
        rates=[_rate(known) for known in shop.board.known()],
        sources=[_source(health) for health in shop.board.health()],
    )


@post("/rates/refresh", operation_id="refreshRate", status_code=200, responses=refusals(502))
async def refresh_rate(shop: WithShop, data: JSONBody[RateWanted]) -> Rate:
    """Ask the sources now, whatever is known or pinned."""
    return _rate(await shop.board.refresh(data.currency.upper()))


@put("/rates/{currency:str}/pin", operation_id="pinRate", status_code=200)
async def pin_rate(work: WithWork, currency: Currency, data: JSONBody[PinBody]) -> Pin:
    """Sell at this price of one bitcoin until it is unpinned: `{"price": "50000.00"}`."""
    return _pin(await pins.set_pin(work, currency.upper(), Decimal(data.price)))


@delete("/rates/{currency:str}/pin", operation_id="unpinRate", status_code=200, responses=refusals(404))
async def unpin_rate(work: WithWork, currency: Currency) -> Unpinned:
    """Back to what the sources say."""
    exponent(currency.upper())
    if not await pins.clear_pin(work, currency.upper()):
        raise NotFound(f"{currency.upper()} is not pinned.")
    return Unpinned()


def _pin(rate: BtcRate) -> Pin:
    return Pin(currency=rate.currency, price=rate.decimal_text(), centibps=rate.centibps)


def _rate(known: RateEvidence) -> Rate:
    return Rate(
        currency=known.rate.currency,
        price=known.rate.decimal_text(),
        centibps=known.rate.centibps,
        source=known.source,
        sources=[Asked(source=name, price=f"{price:f}", at=at) for name, price, at in known.sources],
        at=known.at,
        stale=known.stale,
    )


def _source(health: SourceHealth) -> Source:
    return Source(name=health.name, failures=health.failures, open_until=health.open_until, openings=health.openings)


ROUTES = (list_rates, refresh_rate, pin_rate, unpin_rate)
