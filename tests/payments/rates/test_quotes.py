from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.payments.rates.quotes import RULES, Accepted, Quote, Refusal, agree

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("kraken", "coinbase", "bitstamp", "bitfinex", "mempool.space", "coingecko")


def quotes(*prices: str | int | Decimal, currency: str = "USD", exchanges: int = 4) -> list[Quote]:
    return [
        Quote(name, currency, Decimal(price), NOW, index < exchanges)
        for index, (name, price) in enumerate(zip(NAMES, prices, strict=False))
    ]


def verdict(found: list[Quote], previous: Accepted | None = None, jumped: Accepted | None = None) -> Accepted | Refusal:
    return agree(found[0].currency if found else "USD", found, previous, jumped, NOW)


def accepted(result: Accepted | Refusal) -> Accepted:
    assert isinstance(result, Accepted), result
    return result


def refused(result: Accepted | Refusal) -> Refusal:
    assert isinstance(result, Refusal), result
    return result


def before(price: int, **ago: int) -> Accepted:
    return Accepted("USD", Decimal(price), NOW - timedelta(**ago), ())


def test_the_price_is_the_median_and_its_source_the_joined_names() -> None:
    result = accepted(verdict(quotes(97000, 97100, 96900)))
    assert result.price == 97000
    assert result.source == "kraken+coinbase+bitstamp"


def test_two_that_agree_are_enough_and_one_or_none_is_not() -> None:
    assert accepted(verdict(quotes(97000, 97001))).price == Decimal("97000.5")
    refused(verdict(quotes(97000)))
    refused(verdict([]))


def test_an_outlier_is_cut_and_not_named() -> None:
    result = accepted(verdict(quotes(97000, 97100, 50000)))
    assert result.source == "kraken+coinbase"
    assert result.price == 97050


def test_the_cut_is_two_percent_for_majors_and_five_for_others() -> None:
    assert accepted(verdict(quotes(100_000, 100_000, 96_000))).source == "kraken+coinbase"
    others = quotes(10**9, 10**9, 96 * 10**7, currency="IDR")
    assert accepted(verdict(others)).source == "kraken+coinbase+bitstamp"


@pytest.mark.parametrize("currency", ["USD", "IDR"])
def test_two_that_differ_by_more_than_three_percent_give_no_price(currency: str) -> None:
    thousand = 10_000 if currency == "IDR" else 1
    refused(verdict(quotes(100_000 * thousand, 103_001 * thousand, currency=currency)))
    accepted(verdict(quotes(100_000 * thousand, 103_000 * thousand, currency=currency)))


def test_aggregators_alone_give_no_price() -> None:
    assert "exchange" in refused(verdict(quotes(97000, 97000, 97000, exchanges=0))).reason
    accepted(verdict(quotes(97000, 97000, 97000, exchanges=1)))


def test_an_exchange_that_is_cut_away_does_not_count() -> None:
    refused(verdict(quotes(50000, 97000, 97000, 97000, exchanges=1)))


@pytest.mark.parametrize(("seconds", "counts"), [(-300, True), (-301, False), (60, True), (61, False)])
def test_a_price_counts_from_five_minutes_old_to_a_minute_ahead(seconds: int, counts: bool) -> None:
    first, second = quotes(97000, 97000)
    second = replace(second, at=NOW + timedelta(seconds=seconds))
    assert isinstance(verdict([first, second]), Accepted) == counts


def test_a_quote_in_another_currency_or_beyond_the_fence_is_not_heard() -> None:
    first, second = quotes(97000, 97000)
    refused(verdict([first, replace(second, currency="EUR")]))
    refused(agree("USD", quotes(1, 1), None, None, NOW))
    refused(agree("USD", quotes("NaN", "97000", "Infinity"), None, None, NOW))


def test_the_same_source_twice_is_one_source() -> None:
    [quote] = quotes(97000)
    refused(verdict([quote, quote]))


def test_a_jump_needs_three_sources() -> None:
    previous = before(97000, minutes=20)
    refused(verdict(quotes(120_000, 120_000), previous))
    accepted(verdict(quotes(120_000, 120_000, 120_000), previous))


def test_fifteen_percent_is_no_jump_and_after_an_hour_nothing_is() -> None:
    accepted(verdict(quotes(115_000, 115_000), before(100_000, minutes=20)))
    accepted(verdict(quotes(85_000, 85_000), before(100_000, minutes=20)))
    refused(verdict(quotes(84_999, 84_999), before(100_000, minutes=20)))
    accepted(verdict(quotes(50_000, 50_000), before(100_000, minutes=60)))


def test_a_jump_is_believed_when_the_next_round_finds_it_too() -> None:
    previous = before(97_000, minutes=20)
    first = refused(agree("USD", quotes(120_000, 120_000), previous, None, NOW - timedelta(minutes=1)))
    assert first.jumped is not None
    assert accepted(verdict(quotes(120_500, 120_500), previous, first.jumped)).price == 120_500


def test_a_jump_that_moved_on_starts_anew() -> None:
    seen = before(120_000, minutes=1)
    again = refused(verdict(quotes(140_000, 140_000), before(97_000, minutes=20), seen)).jumped
    assert again is not None
    assert again.price == 140_000


def test_a_jump_must_hold_for_half_a_minute_however_often_one_looks() -> None:
    previous, seen = before(97_000, minutes=20), before(120_000, seconds=29)
    assert refused(verdict(quotes(120_000, 120_000), previous, seen)).jumped == seen
    accepted(verdict(quotes(120_000, 120_000), previous, before(120_000, seconds=30)))


def test_a_jump_seen_long_ago_is_not_the_round_before() -> None:
    result = refused(verdict(quotes(120_000, 120_000), before(97_000, minutes=30), before(120_000, minutes=11)))
    assert result.jumped is not None
    assert result.jumped.at == NOW


ANY = st.decimals(allow_nan=True, allow_infinity=True)
NEAR = st.decimals(min_value=1_000, max_value=2_000, places=4)


@given(st.lists(st.one_of(NEAR, ANY), max_size=6), st.sampled_from(["USD", "JPY", "KWD"]))
def test_whatever_the_sources_say_there_is_a_verdict_and_a_price_lies_among_them(
    prices: list[Decimal], currency: str
) -> None:
    result = verdict(quotes(*prices, currency=currency))
    if isinstance(result, Accepted):
        kept = [quote.price for quote in result.quotes]
        assert len(kept) >= RULES.quorum
        assert min(kept) <= result.price <= max(kept)
        assert any(quote.is_exchange for quote in result.quotes)


@given(st.lists(NEAR, min_size=1, max_size=6), st.permutations(range(6)))
def test_the_order_of_the_answers_does_not_move_the_price(prices: list[Decimal], order: list[int]) -> None:
    found = quotes(*prices)
    shuffled = [found[index] for index in order if index < len(found)]
    one, other = verdict(found), verdict(shuffled)
    assert isinstance(one, Accepted) == isinstance(other, Accepted)
    if isinstance(one, Accepted) and isinstance(other, Accepted):
        assert one.price == other.price


@given(st.integers(95_000, 95_400), st.integers(95_000, 95_400), ANY)
def test_one_liar_cannot_move_the_price_out_of_the_range_of_two_honest_sources(
    first: int, second: int, lie: Decimal
) -> None:
    result = accepted(verdict(quotes(first, lie, second)))
    assert min(first, second) <= result.price <= max(first, second)


@given(st.integers(60_000, 160_000), st.lists(st.integers(95_000, 98_000), min_size=2, max_size=2))
def test_two_sources_never_move_the_price_by_more_than_the_jump_at_once(last: int, prices: list[int]) -> None:
    result = verdict(quotes(*prices), before(last, minutes=5))
    assert isinstance(result, Refusal) or abs(result.price - last) <= RULES.jump * last
