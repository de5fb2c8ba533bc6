from decimal import Decimal

import pytest

from keysat.kit.currencies import EXPONENTS, SAT
from keysat.payments.rates.fences import UNITS_PER_DOLLAR, fence


@pytest.mark.parametrize(
    ("currency", "price"),
    [
        ("USD", "97000"),
        ("EUR", "89000.5"),
        ("JPY", "14500000"),
        ("IDR", "1584000000"),
        ("KWD", "29800"),
        ("IRR", "1E11"),
    ],
)
def test_a_real_price_is_inside_the_fence(currency: str, price: str) -> None:
    assert fence(currency).holds(Decimal(price))


@pytest.mark.parametrize("price", ["0", "-97000", "0.0000103", "999.99", "100000000.01", "NaN", "sNaN", "Infinity"])
def test_an_inverted_absurd_or_broken_price_is_outside(price: str) -> None:
    assert not fence("USD").holds(Decimal(price))


def test_the_ends_of_the_dollar_fence_are_a_thousand_and_a_hundred_million() -> None:
    assert fence("USD").holds(Decimal(1_000))
    assert fence("USD").holds(Decimal(100_000_000))


def test_an_inverted_price_is_outside_in_every_currency() -> None:
    for currency in EXPONENTS:
        if currency != SAT:
            assert not fence(currency).holds(1 / fence(currency).low)


def test_every_currency_of_the_list_is_an_active_one_and_stands_in_it_once() -> None:
    listed = [code for codes in UNITS_PER_DOLLAR.values() for code in codes.split()]
    assert len(listed) == len(set(listed))
    assert set(listed) <= set(EXPONENTS)
