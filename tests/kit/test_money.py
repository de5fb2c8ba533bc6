from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.kit.currencies import EXPONENTS, SAT, exponent
from keysat.kit.errors import BadRequest
from keysat.kit.money import (
    MAX_MINOR,
    MAX_SATS,
    BtcRate,
    Money,
    UnitPrice,
    down,
    half_up,
    refund_sats,
    to_sats,
    up,
)

codes = st.sampled_from(sorted(EXPONENTS))
fiats = st.sampled_from(sorted(set(EXPONENTS) - {SAT}))
amounts = st.builds(Money, codes, st.integers(-MAX_MINOR, MAX_MINOR))
rationals = st.builds(Fraction, st.integers(-(10**9), 10**9), st.sampled_from([1, 2, 4, 5, 1000]))


@given(rationals)
def test_rounding_is_that_of_decimal(value: Fraction):
    exact = Decimal(value.numerator) / value.denominator
    assert half_up(value) == exact.to_integral_value(ROUND_HALF_UP)
    assert up(value) == exact.to_integral_value(ROUND_UP)
    assert down(value) == exact.to_integral_value(ROUND_DOWN)


@given(amounts)
def test_the_text_of_money_reads_back_as_the_same_money(money: Money):
    text = money.decimal_text()
    assert Money.parse(text, money.currency) == money
    assert Money.of(money.currency, Decimal(text)) == money
    assert len(text.partition(".")[2]) == exponent(money.currency)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("49.00", "USD", 4900),
        ("49", "USD", 4900),
        ("49.5", "USD", 4950),
        ("0.01", "USD", 1),
        ("-0.01", "USD", -1),
        ("5000", "JPY", 5000),
        ("19.900", "BHD", 19900),
        ("1.2345", "CLF", 12345),
        ("50000", SAT, 50000),
    ],
)
def test_an_amount_is_read_exactly(text: str, currency: str, minor: int):
    assert Money.parse(text, currency) == Money(currency, minor)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "49.001",
        "49.000",
        "49.",
        ".5",
        "+1",
        "1e3",
        "NaN",
        "Infinity",
        "1,00",
        "1_0",
        "٤",
        "4 9",
        "1\n",
        "9" * 30,
    ],
)
def test_what_is_no_amount_is_refused(text: str):
    with pytest.raises(BadRequest):
        Money.parse(text, "USD")


def test_an_amount_beyond_what_json_holds_is_refused():
    assert Money.parse("90071992547409.91", "USD").minor == MAX_MINOR
    with pytest.raises(BadRequest):
        Money.parse("90071992547409.92", "USD")
    with pytest.raises(BadRequest):
        _ = Money("USD", MAX_MINOR) + Money("USD", 1)


@given(st.text(), codes)
def test_any_text_is_an_amount_or_refused(text: str, currency: str):
    try:
        money = Money.parse(text, currency)
    except BadRequest:
        return
    assert Decimal(money.decimal_text()) == Decimal(text)


def test_a_decimal_from_outside_must_be_whole_minor_units():
    assert Money.of("USD", Decimal("4.9000")) == Money("USD", 490)
    assert Money.of("JPY", Decimal("5000.00")) == Money("JPY", 5000)
    assert Money.of("USD", Decimal("1E+3")) == Money("USD", 100000)
    for refused in ("4.901", "NaN", "sNaN", "Infinity", "1E+999999", "1E-999999"):
        with pytest.raises(BadRequest):
            Money.of("USD", Decimal(refused))


@given(amounts, st.integers(1, 1000))
def test_splitting_loses_nothing(money: Money, parts: int):
    shares = money.split(parts)
    assert len(shares) == parts
    assert sum(share.minor for share in shares) == money.minor
    assert max(shares).minor - min(shares).minor <= 1
    assert shares == sorted(shares, reverse=True)


def test_money_is_not_split_into_nothing():
    with pytest.raises(ValueError, match="at least one"):
        Money("USD", 1).split(0)


@given(codes, st.integers(-(10**12), 10**12), st.integers(-(10**12), 10**12))
def test_money_of_one_currency_is_added_and_compared_as_numbers_are(currency: str, left: int, right: int):
    a, b = Money(currency, left), Money(currency, right)
    assert (a + b).minor == left + right
    assert (a - b).minor == left - right
    assert a + -a == Money(currency, 0)
    assert (a < b, a <= b, a > b, a >= b, a == b) == (
        left < right,
        left <= right,
        left > right,
        left >= right,
        left == right,
    )


def test_currencies_do_not_mix():
    dollar, euro = Money("USD", 1), Money("EUR", 1)
    assert dollar != euro
    for mixed in (
        lambda: dollar + euro,
        lambda: dollar - euro,
        lambda: dollar < euro,
        lambda: dollar <= euro,
        lambda: dollar > euro,
        lambda: dollar >= euro,
    ):
        with pytest.raises(ValueError, match="do not mix"):
            mixed()


def test_money_has_a_currency_that_exists():
    with pytest.raises(BadRequest):
        Money("XXX", 1)


@pytest.mark.parametrize(
    ("currency", "value", "quantity", "minor"),
    [
        ("USD", 1300, 10, 13),  # 0.013 a gigabyte
        ("USD", 1300, Fraction(1, 2), 1),  # 0.65 cents
        ("USD", 500, 1, 1),  # half a cent goes up
        ("USD", 499, 1, 0),
        ("JPY", 50_000, 1, 1),
        ("BHD", 50, 1, 1),
        ("CLF", 5, 1, 1),
        (SAT, 100_000, 7, 7),
        (SAT, 1_000, 150, 2),  # 1.5 sats
        ("USD", -500, 1, -1),
    ],
)
def test_a_line_is_rounded_once_in_any_currency(currency: str, value: int, quantity: int | Fraction, minor: int):
    assert UnitPrice(currency, value).line(quantity) == Money(currency, minor)


@given(codes, st.integers(0, 10**7), st.fractions(0, 10**4, max_denominator=1000))
def test_a_line_is_within_half_a_minor_unit_of_the_exact_product(currency: str, value: int, quantity: Fraction):
    exact = Fraction(value, 100_000) * quantity * 10 ** exponent(currency)
    assert abs(UnitPrice(currency, value).line(quantity).minor - exact) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("minor", "currency", "rate", "sats"),
    [
        (4900, "USD", "97000", 50516),
        (4900, "USD", "97123.45", 50452),
        (1, "USD", "97123.45", 11),
        (5000, "JPY", "14500000", 34483),
        (19900, "BHD", "36570.123", 54417),
        (100, "USD", "100000", 1000),
        (4900, "USD", "100000000", 49),
        (4900, "USD", "50000", 98000),
        (4900, "USD", "65000", 75385),
        (2500, "USD", "50000", 50000),
        (0, "USD", "50000", 0),
        (1, "USD", "100000000000", 1),
    ],
)
def test_a_price_becomes_sats_exactly_and_rounded_up(minor: int, currency: str, rate: str, sats: int):
    assert to_sats(Money(currency, minor), BtcRate.of(currency, Decimal(rate))) == sats


def test_a_pinned_rate_is_kept_in_a_ten_thousandth():
    assert BtcRate.of("USD", Decimal(50_000)).centibps == 500_000_000
    assert BtcRate.of("USD", Decimal("0.00005")).centibps == 1
    assert BtcRate.of("USD", Decimal("50000.5")).decimal_text() == "50000.5000"
    assert BtcRate.of("USD", Decimal("0.0001")).decimal_text() == "0.0001"


def test_more_than_all_bitcoin_is_refused():
    with pytest.raises(BadRequest):
        to_sats(Money("USD", 100_000_000), BtcRate.of("USD", Decimal("0.01")))
    with pytest.raises(BadRequest):
        to_sats(Money(SAT, MAX_SATS + 1), None)
    assert to_sats(Money(SAT, MAX_SATS), None) == MAX_SATS


def test_sats_are_sats_with_or_without_a_rate():
    assert to_sats(Money(SAT, 21), None) == refund_sats(Money(SAT, 21), BtcRate.of("USD", Decimal(1))) == 21


@given(fiats, st.integers(0, 10**9), st.integers(10**7, 10**13))
def test_the_seller_is_never_short_and_the_refund_never_more_than_was_paid(currency: str, minor: int, centibps: int):
    price, rate = Money(currency, minor), BtcRate(currency, centibps)
    exact = Fraction(minor, 10 ** exponent(currency)) / Fraction(centibps, 10_000) * 10**8
    assert 0 <= to_sats(price, rate) - exact < 1
    assert 0 <= exact - refund_sats(price, rate) < 1
    assert (to_sats(price, rate) == 0) == (minor == 0)


def test_a_rate_is_for_its_own_currency_and_prices_are_not_negative():
    rate = BtcRate.of("USD", Decimal(50_000))
    for price in (Money("EUR", 1), Money("USD", -1)):
        with pytest.raises(ValueError, match=r"rate|negative"):
            to_sats(price, rate)
    with pytest.raises(ValueError, match="rate"):
        to_sats(Money("USD", 1), None)


@pytest.mark.parametrize("price", ["0", "-1", "0.00004", "NaN", "Infinity", "1E+999999", "1E-999999"])
def test_a_rate_is_a_positive_number(price: str):
    with pytest.raises(ValueError, match="no price of bitcoin"):
        BtcRate.of("USD", Decimal(price))


def test_sats_have_no_price_in_sats():
    with pytest.raises(ValueError, match="no price of bitcoin"):
        BtcRate(SAT, 1)
