import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.payments.rates.quotes import MAJORS, Accepted, Quote, agree
from keysat.payments.rates.sources import SOURCES, SourceFailed

RECEIVED = datetime(2025, 6, 15, 15, 7, tzinfo=UTC)
STAMPED = datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC)
FIXTURES = Path(__file__).parent / "fixtures"
BY_NAME = {source.name: source for source in SOURCES}


def answer(name: str) -> object:
    return json.loads((FIXTURES / f"{name}.json").read_text(), parse_float=Decimal)


def parsed(source: str, fixture: str, currency: str = "USD") -> Quote | None:
    return BY_NAME[source].parse(answer(fixture), currency, RECEIVED)


@pytest.mark.parametrize(
    ("source", "price", "at", "is_exchange"),
    [
        ("kraken", "97005.05", RECEIVED, True),
        ("coinbase", "97001.25", RECEIVED, True),
        ("bitstamp", "97005", STAMPED, True),
        ("mempool.space", "96990", STAMPED, False),
        ("bitfinex", "97004", RECEIVED, True),
        ("coingecko", "96995.12345678901", STAMPED, False),
    ],
)
def test_the_documented_answer_is_read(source: str, price: str, at: datetime, is_exchange: bool) -> None:
    assert parsed(source, source) == Quote(source, "USD", Decimal(price), at, is_exchange)


def test_all_documented_answers_together_make_a_price() -> None:
    found = [quote for source in SOURCES if (quote := parsed(source.name, source.name))]
    result = agree("USD", found, None, None, RECEIVED + timedelta(seconds=1))
    assert isinstance(result, Accepted)
    assert result.source == "kraken+coinbase+bitstamp+mempool.space+bitfinex+coingecko"


@pytest.mark.parametrize(
    ("source", "fixture"),
    [
        ("coinbase", "coinbase"),
        ("mempool.space", "mempool.space"),
        ("coingecko", "coingecko_unknown"),
        ("kraken", "kraken_unknown_pair"),
    ],
)
def test_a_currency_that_is_missing_is_no_opinion(source: str, fixture: str) -> None:
    assert parsed(source, fixture, "XPF") is None


@pytest.mark.parametrize(("source", "fixture"), [("kraken", "kraken_throttled"), ("bitfinex", "bitfinex_throttled")])
def test_an_answer_that_says_slow_down_is_a_throttling(source: str, fixture: str) -> None:
    with pytest.raises(SourceFailed) as failure:
        parsed(source, fixture)
    assert failure.value.throttled


def test_another_error_of_kraken_is_a_failure_but_no_throttling() -> None:
    with pytest.raises(SourceFailed) as failure:
        BY_NAME["kraken"].parse({"error": ["EService:Unavailable"]}, "USD", RECEIVED)
    assert not failure.value.throttled


def test_an_answer_for_another_pair_is_refused() -> None:
    with pytest.raises(SourceFailed):
        parsed("kraken", "kraken", "EUR")
    with pytest.raises(SourceFailed):
        BY_NAME["coinbase"].parse({"data": {"currency": "ETH", "rates": {"USD": "2500"}}}, "USD", RECEIVED)


def test_a_book_with_an_empty_side_falls_back_to_the_last_trade() -> None:
    book = {"last": "97007", "bid": "0", "ask": "97008", "timestamp": "1750000000"}
    quote = BY_NAME["bitstamp"].parse(book, "USD", RECEIVED)
    assert quote is not None
    assert quote.price == 97007


@pytest.mark.parametrize("price", [-1, 0, "NaN", "-Infinity"])
def test_a_price_that_is_none_is_no_opinion(price: int | str) -> None:
    assert BY_NAME["mempool.space"].parse({"time": 1750000000, "USD": price}, "USD", RECEIVED) is None


def test_a_time_stamp_beyond_reason_is_a_failure() -> None:
    for stamp in (10**20, -5, Decimal("Infinity")):
        with pytest.raises(SourceFailed):
            BY_NAME["mempool.space"].parse({"time": stamp, "USD": 97000}, "USD", RECEIVED)


def test_a_number_that_is_none_is_a_failure_of_its_source() -> None:
    for answer in ({"time": "NaN", "USD": 97000}, {"time": "sNaN", "USD": 97000}):
        with pytest.raises(SourceFailed):
            BY_NAME["mempool.space"].parse(answer, "USD", RECEIVED)


def test_every_major_currency_is_covered_by_two_exchanges_at_least() -> None:
    for currency in MAJORS:
        assert sum(source.is_exchange and source.covers(currency) for source in SOURCES) >= 2


def test_every_address_is_https_and_names_the_currency_or_asks_for_all() -> None:
    for source in SOURCES:
        url = source.url("EUR")
        assert url.startswith("https://")
        assert "eur" in url.lower() or source.name in {"coinbase", "mempool.space"}


WORDS = st.sampled_from(["data", "rates", "error", "result", "a", "b", "c", "USD", "time", "bitcoin", "usd", "last"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(WORDS, inner),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_a_quote_no_opinion_or_a_named_failure(json: object) -> None:
    for reader in SOURCES:
        try:
            quote = reader.parse(json, "USD", RECEIVED)
        except (SourceFailed, msgspec.ValidationError):
            continue
        assert quote is None or quote.price > 0
