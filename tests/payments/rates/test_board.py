import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest

from keysat.infra.http import HttpClient
from keysat.kit.errors import BadRequest
from keysat.kit.ids import SeededChance
from keysat.kit.money import BtcRate, Money, to_sats
from keysat.payments.provider import Transient
from keysat.payments.rates.board import Pace, RateBoard, RateUnavailable
from tests.fakes.rate_sources import NAMES, RateSources, TravellingClock

START = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
IMPATIENT = Pace(source_seconds=0.5)


@pytest.fixture
def clock() -> TravellingClock:
    return TravellingClock(START)


@pytest.fixture
def market(clock: TravellingClock) -> RateSources:
    return RateSources(clock, USD=97_000, EUR=89_000, XPF=10_600_000)


@pytest.fixture
async def http(market: RateSources) -> AsyncGenerator[HttpClient, None]:
    client = HttpClient(transport=market)
    yield client
    await client.aclose()


@pytest.fixture
async def board(http: HttpClient, clock: TravellingClock) -> AsyncGenerator[RateBoard, None]:
    made = RateBoard(http, clock, SeededChance(7))
    yield made
    await made.aclose()


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail("it never happened")


def said(price: str | None) -> Callable[[str], Awaitable[Decimal | None]]:
    async def ask(_currency: str) -> Decimal | None:
        return None if price is None else Decimal(price)

    return ask


def openings(board: RateBoard) -> dict[str, int]:
    return {source.name: source.openings for source in board.health()}


async def test_all_sources_are_asked_at_once_and_their_median_is_the_rate(
    board: RateBoard, market: RateSources
) -> None:
    market.factors["kraken"] = Decimal("1.001")
    evidence = await board.rate("USD")
    assert evidence.rate == BtcRate("USD", 970_000_000)
    assert evidence.source == "kraken+coinbase+bitstamp+mempool.space+bitfinex+coingecko"
    assert evidence.sources[0] == ("kraken", Decimal("97097.000"), START)
    assert (evidence.at, evidence.stale) == (START, False)
    assert market.asked == dict.fromkeys(NAMES, 1)


async def test_prices_in_sats_need_no_rate(board: RateBoard, market: RateSources) -> None:
    for ask in (board.rate, board.refresh):
        with pytest.raises(BadRequest, match="needs no rate"):
            await ask("SAT")
    board.warm("SAT")
    assert board.peek("SAT") is None
    assert to_sats(Money("SAT", 2100), None) == 2100
    assert not market.asked


async def test_a_pin_asks_nobody(board: RateBoard, market: RateSources) -> None:
    pin = BtcRate.of("USD", Decimal(50_000))
    evidence = await board.rate("USD", pin)
    assert (evidence.rate, evidence.source, evidence.sources) == (pin, "pin", ())
    assert to_sats(Money("USD", 2500), evidence.rate) == 50_000
    assert board.peek("USD", pin) == evidence
    assert not market.asked


async def test_what_is_no_currency_is_refused(board: RateBoard) -> None:
    for code in ("ETH", "usd", ""):
        with pytest.raises(BadRequest):
            await board.rate(code)
        with pytest.raises(BadRequest):
            await board.refresh(code)
        with pytest.raises(BadRequest):
            board.peek(code)


async def test_peek_never_asks_and_knows_what_was_asked(board: RateBoard, market: RateSources) -> None:
    assert board.peek("USD") is None
    assert not market.asked
    evidence = await board.rate("USD")
    assert board.peek("USD") == evidence
    assert board.known() == (evidence,)
    assert board.peek("EUR") is None


async def test_a_page_warms_the_board_without_waiting_and_no_more_often_than_a_sale(
    board: RateBoard, market: RateSources, clock: TravellingClock
) -> None:
    board.warm("SAT")
    board.warm("USD", BtcRate.of("USD", Decimal(50_000)))
    assert not market.asked
    board.warm("USD")
    assert board.peek("USD") is None
    await until(lambda: board.peek("USD") is not None)
    await asyncio.sleep(0)  # the round's task ends
    board.warm("USD")
    assert market.asked["kraken"] == 1
    clock.travel(seconds=90)
    board.warm("USD")
    await until(lambda: market.asked["kraken"] == 2)


async def test_callers_of_one_moment_share_one_round(board: RateBoard, market: RateSources) -> None:
    answers = await asyncio.gather(*(board.rate("USD") for _ in range(20)))
    assert len(set(answers)) == 1
    assert set(market.asked.values()) == {1}


async def test_currencies_have_rounds_of_their_own(board: RateBoard) -> None:
    usd, eur = await asyncio.gather(board.rate("USD"), board.rate("EUR"))
    assert (usd.rate, eur.rate) == (BtcRate("USD", 970_000_000), BtcRate("EUR", 890_000_000))


async def test_a_caller_that_gives_up_does_not_end_the_round_of_the_others(
    board: RateBoard, market: RateSources
) -> None:
    market.is_open.clear()
    first, second = (asyncio.create_task(board.rate("USD")) for _ in range(2))
    await until(lambda: len(market.asked) == len(NAMES))
    first.cancel()
    await asyncio.sleep(0)
    market.is_open.set()
    assert (await second).rate == BtcRate("USD", 970_000_000)
    assert set(market.asked.values()) == {1}


async def test_a_rate_is_kept_for_a_minute_give_or_take_a_tenth(
    board: RateBoard, market: RateSources, clock: TravellingClock
) -> None:
    evidence = await board.rate("USD")
    clock.travel(seconds=53)
    assert await board.rate("USD") == evidence
    clock.travel(seconds=14)
    assert (await board.rate("USD")).stale
    assert set(market.asked.values()) == {1}


async def test_an_older_rate_is_served_at_once_and_refreshed_behind(
    board: RateBoard, market: RateSources, clock: TravellingClock
) -> None:
    await board.rate("USD")
    clock.travel(minutes=5)
    market.prices["USD"] = 98_000
    market.is_open.clear()
    old = await board.rate("USD")
    assert (old.rate, old.stale) == (BtcRate("USD", 970_000_000), True)
    market.is_open.set()
    await until(lambda: board.peek("USD") != old)
    new = await board.rate("USD")
    assert (new.rate, new.stale) == (BtcRate("USD", 980_000_000), False)
    assert set(market.asked.values()) == {2}


async def test_without_sources_the_last_rate_serves_ten_minutes_and_then_there_is_none(
    board: RateBoard, market: RateSources, clock: TravellingClock
) -> None:
    await board.rate("USD")
    market.break_all()
    clock.travel(minutes=9, seconds=59)
    assert (await board.rate("USD")).stale
    await until(lambda: market.asked["kraken"] == 2)
    await asyncio.sleep(0)
    clock.travel(seconds=1)
    assert board.peek("USD") is None
    with pytest.raises(RateUnavailable) as failure:
        await board.rate("USD")
    assert (failure.value.code.status, failure.value.code.code) == (502, "upstream_error")
    assert "try again in a minute" in failure.value.message
    assert "USD" in failure.value.message


async def test_after_a_round_without_a_price_the_sources_are_left_alone_for_a_moment(
    board: RateBoard, market: RateSources, clock: TravellingClock
) -> None:
    market.break_all()
    for _ in range(5):
        with pytest.raises(RateUnavailable):
            await board.rate("USD")
    assert set(market.asked.values()) == {1}
    market.broken.clear()
    clock.travel(seconds=12)
    assert (await board.rate("USD")).rate == BtcRate("USD", 970_000_000)


async def test_the_operators_refresh_asks_at_once_whatever_is_known(board: RateBoard, market: RateSources) -> None:
    await board.rate("USD")
    market.prices["USD"] = 98_000
    assert (await board.refresh("USD")).rate == BtcRate("USD", 980_000_000)
    market.break_all()
    for _ in range(2):
        with pytest.raises(RateUnavailable):
            await board.refresh("USD")
    assert market.asked["kraken"] == 4
    assert (await board.rate("USD")).rate == BtcRate("USD", 980_000_000)


async def test_one_liar_and_one_page_of_html_are_outvoted(board: RateBoard, market: RateSources) -> None:
    market.factors["bitfinex"] = Decimal("0.5")
    market.broken["coinbase"] = lambda: httpx.Response(200, text="<html>maintenance</html>")
    market.broken["coingecko"] = lambda: httpx.Response(200, content=b"[" * 300_000)
    evidence = await board.rate("USD")
    assert evidence.rate == BtcRate("USD", 970_000_000)
    assert evidence.source == "kraken+bitstamp+mempool.space"


async def test_a_source_that_never_answers_is_not_waited_for(
    http: HttpClient, market: RateSources, clock: TravellingClock
) -> None:
    market.silent = {"kraken", "bitstamp"}
    board = RateBoard(http, clock, SeededChance(7), pace=IMPATIENT)
    assert (await board.rate("USD")).source == "coinbase+mempool.space+bitfinex+coingecko"
    await board.aclose()


async def test_a_throttled_source_is_left_alone_as_long_as_it_wants(
    board: RateBoard, market: RateSources, clock: TravellingClock
) -> None:
    market.broken["kraken"] = lambda: httpx.Response(429, headers={"Retry-After": "120"})
    later = "Thu, 15 Jan 2026 12:02:00 GMT"
    market.broken["coingecko"] = lambda: httpx.Response(503, headers={"Retry-After": later})
    market.broken["bitfinex"] = lambda: httpx.Response(429, headers={"Retry-After": "soon"})
    assert (await board.rate("USD")).source == "coinbase+bitstamp+mempool.space"
    market.broken.clear()
    clock.travel(seconds=119)
    await board.refresh("USD")
    assert (market.asked["kraken"], market.asked["coingecko"], market.asked["bitfinex"]) == (1, 1, 2)
    clock.travel(seconds=1)
    assert (await board.refresh("USD")).source.startswith("kraken+")
    assert market.asked["coingecko"] == 2
    assert {name for name, count in openings(board).items() if count} == {"kraken", "bitfinex", "coingecko"}


async def test_three_failures_open_the_breaker_and_it_is_seen(board: RateBoard, market: RateSources) -> None:
    market.broken["bitstamp"] = lambda: httpx.Response(500)
    for _ in range(5):
        await board.refresh("USD")
    assert market.asked["bitstamp"] == 3
    [health] = [source for source in board.health() if source.name == "bitstamp"]
    assert health.openings == 1
    assert health.open_until is not None


async def test_a_jump_by_two_sources_waits_until_it_holds(
    board: RateBoard, market: RateSources, clock: TravellingClock
) -> None:
    for name in ("bitstamp", "bitfinex", "mempool.space", "coingecko"):
        market.broken[name] = lambda: httpx.Response(503)
    await board.rate("USD")
    clock.travel(minutes=11)
    market.prices["USD"] = 150_000
    with pytest.raises(RateUnavailable):
        await board.rate("USD")
    clock.travel(seconds=31)
    assert (await board.rate("USD")).rate == BtcRate("USD", 1_500_000_000)


async def test_a_connected_till_is_a_source_and_can_make_the_quorum(
    board: RateBoard, market: RateSources, clock: TravellingClock
) -> None:
    market.broken["coingecko"] = lambda: httpx.Response(503)
    with pytest.raises(RateUnavailable):
        await board.rate("XPF")
    board.add_source("btcpay", said("10610000"))
    evidence = await board.refresh("XPF")
    assert evidence.source == "coinbase+btcpay"
    assert evidence.rate == BtcRate.of("XPF", Decimal(10_605_000))
    board.remove_source("btcpay")
    board.remove_source("btcpay")
    clock.travel(minutes=11)
    with pytest.raises(RateUnavailable):
        await board.rate("XPF")


async def test_a_till_without_opinion_or_with_trouble_hurts_nobody(
    http: HttpClient, market: RateSources, clock: TravellingClock
) -> None:
    async def broken(_currency: str) -> Decimal | None:
        raise Transient("the server is starting", retry_after_seconds=90)

    board = RateBoard(http, clock, SeededChance(7), extra_sources={"one": said(None), "two": broken})
    board.add_source("three", said("NaN"))
    assert "two" not in (await board.rate("USD")).source
    assert openings(board)["one"] == 0
    assert openings(board)["two"] == 1
    await board.aclose()


async def test_a_till_cannot_take_the_name_of_an_exchange(board: RateBoard) -> None:
    with pytest.raises(ValueError, match="kraken"):
        board.add_source("kraken", said("1"))


async def test_closing_ends_the_round_and_tells_who_waits(board: RateBoard, market: RateSources) -> None:
    before = asyncio.all_tasks()
    market.is_open.clear()
    waiting = asyncio.create_task(board.rate("USD"))
    await until(lambda: len(market.asked) == len(NAMES))
    await board.aclose()
    with pytest.raises(RateUnavailable):
        await waiting
    with pytest.raises(RateUnavailable):
        await board.rate("USD")
    assert asyncio.all_tasks() == before
