import pytest

from keysat.infra.written import counts, date, date_and_time, money
from keysat.kit.money import Money
from tests.conftest import NOON


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Money("USD", 2500), "$25.00"),
        (Money("USD", 123456789), "$1,234,567.89"),
        (Money("JPY", 2500), "¥2,500"),
        (Money("KWD", 19900), "KWD 19.900"),
        (Money("ISK", 5000), "ISK 5,000"),
        (Money("CLF", 12345), "CLF 1.2345"),
        (Money("EUR", -5), "-€0.05"),
        (Money("SAT", 1234), "1,234 sats"),
        (Money("SAT", 1), "1 sat"),
        (Money("SAT", 0), "0 sats"),
    ],
)
def test_money_has_the_decimals_of_its_currency(amount: Money, text: str) -> None:
    assert money(amount).replace("\xa0", " ") == text


def test_money_is_written_as_the_reader_writes_it() -> None:
    assert money(Money("EUR", 123456), "de").replace("\xa0", " ") == "1.234,56 €"


def test_moments_are_in_utc() -> None:
    assert (date(NOON), date_and_time(NOON)) == ("15 Jan 2026", "15 Jan 2026, 12:00 UTC")


def test_what_there_is_none_of_is_not_counted() -> None:
    assert counts((3, "license"), (0, "code"), (1, "open order")) == "3 licenses, 1 open order"
    assert counts((0, "code")) == ""
