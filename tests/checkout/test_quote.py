"""What a purchase costs, in the listed currency and in sats."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.catalog.pricing import reduced
from keysat.catalog.tables import DiscountKind
from keysat.catalog.views import DiscountView
from keysat.checkout.quote import quote
from keysat.kit.errors import BadRequest
from keysat.kit.money import BtcRate, Money
from keysat.payments.rates.board import RateEvidence, RateUnavailable
from tests.catalog.test_pricing import a_discount, discounts

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


@given(st.integers(1, 10**9), st.integers(100_000, 10**8), st.data())
def test_with_a_code_nobody_pays_more_than_the_list_price_or_less_than_nothing(
    minor: int, cents: int, data: st.DataObject
) -> None:
    """In both units, whichever the code works in; and one is 0 only where the other is."""
    base, rate = Money("EUR", minor), evidence(str(Decimal(cents) / 100))
    discount = data.draw(st.one_of(discounts("EUR"), discounts("SAT")))
    quoted = quote(base, rate, discount)
    assert quoted.base == base
    assert quoted.price.currency == "EUR"
    assert 0 <= quoted.price.minor <= base.minor
    assert quoted.amount_sats is not None
    assert quoted.base_sats is not None
    assert 0 <= quoted.amount_sats <= quoted.base_sats == quote(base, rate).base_sats
    assert quoted.is_free == (quoted.amount_sats == 0) == (quoted.asked.minor == 0)
    assert quoted.asked == (Money("SAT", quoted.amount_sats) if quoted.is_in_sats else quoted.price)


@given(st.integers(0, 10**12), discounts("SAT"))
def test_a_price_in_sats_is_reduced_in_sats_without_a_rate(minor: int, discount: DiscountView) -> None:
    quoted = quote(Money("SAT", minor), None, discount)
    assert quoted.amount_sats == quoted.price.minor == reduced(Money("SAT", minor), discount).minor
    assert (quoted.base_sats, quoted.rate, quoted.is_in_sats) == (minor, None, False)


def test_a_code_in_sats_wants_a_rate_unless_nothing_is_to_be_paid() -> None:
    sats = a_discount(kind=DiscountKind.FIXED, amount=100, currency="SAT")
    with pytest.raises(RateUnavailable):
        quote(Money("EUR", 4900), None, sats)
    assert quote(Money("EUR", 0), None, sats).is_free


def test_what_a_code_in_sats_leaves_is_worth_rounded_up() -> None:
    quoted = quote(Money("EUR", 4500), evidence("90000"), a_discount(kind=DiscountKind.FIXED, amount=1, currency="SAT"))
    assert (quoted.base_sats, quoted.amount_sats, quoted.price) == (50_000, 49_999, Money("EUR", 4500))
