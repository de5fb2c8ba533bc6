"""What a purchase costs, in the listed currency and in sats."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.checkout.quote import quote
from keysat.kit.errors import BadRequest
from keysat.kit.money import BtcRate, Money
from keysat.payments.rates.board import RateEvidence

NOON = datetime(2026, 1, 15, 12, tzinfo=UTC)


def evidence(price: str, currency: str = "EUR") -> RateEvidence:
    rate = Decimal(price)
    return RateEvidence(BtcRate.of(currency, rate), "kraken+coinbase", (("kraken", rate, NOON),), NOON)


def test_sats_are_rounded_up() -> None:
    quoted = quote(Money("EUR", 4900), evidence("90000"))
    assert (quoted.base, quoted.price) == (Money("EUR", 4900), Money("EUR", 4900))
    assert (quoted.base_sats, quoted.amount_sats) == (54_445, 54_445)  # 54444.4
    assert quoted.rate == evidence("90000")


def test_an_exact_price_is_not_rounded() -> None:
    assert quote(Money("EUR", 4500), evidence("90000")).amount_sats == 50_000


def test_sats_need_no_rate_and_keep_none() -> None:
    for rate in (None, evidence("90000")):
        quoted = quote(Money("SAT", 21_000), rate)
        assert (quoted.base_sats, quoted.amount_sats, quoted.rate) == (21_000, 21_000, None)


@pytest.mark.parametrize("currency", ["EUR", "SAT", "JPY"])
def test_what_costs_nothing_is_free_without_a_rate(currency: str) -> None:
    quoted = quote(Money(currency, 0), None)
    assert quoted.is_free
    assert (quoted.base_sats, quoted.amount_sats, quoted.rate) == (0, 0, None)


def test_without_a_rate_the_sats_are_unknown_and_not_nothing() -> None:
    quoted = quote(Money("EUR", 4900), None)
    assert not quoted.is_free
    assert (quoted.base_sats, quoted.amount_sats, quoted.rate) == (None, None, None)


def test_more_than_all_bitcoin_is_refused() -> None:
    with pytest.raises(BadRequest):
        quote(Money("EUR", 2**52), evidence("0.01"))


@given(st.integers(1, 10**10), st.integers(100_000, 10**8))
def test_the_shop_never_gets_less_than_its_price_and_at_most_a_sat_more(minor: int, cents: int) -> None:
    sats = quote(Money("EUR", minor), evidence(str(Decimal(cents) / 100))).amount_sats
    assert sats is not None
    exact = Fraction(minor, cents) * 100_000_000
    assert exact <= sats < exact + 1
