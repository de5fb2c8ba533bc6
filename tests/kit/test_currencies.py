import pytest
from babel.core import get_global
from hypothesis import given
from hypothesis import strategies as st

from keysat.kit.currencies import EXPONENTS, SAT, exponent, is_known
from keysat.kit.errors import BadRequest


def codes_with(places: int) -> set[str]:
    return {code for code in EXPONENTS if exponent(code) == places}


def test_the_exponents_are_those_of_iso_4217():
    assert codes_with(0) == {
        *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"),
        *("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF", SAT),
    }
    assert codes_with(3) == {"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"}
    assert codes_with(4) == {"CLF", "UYW"}
    assert codes_with(2) == set(EXPONENTS) - codes_with(0) - codes_with(3) - codes_with(4)
    assert {"USD", "EUR", "CHF", "ARS", "COP", "HUF", "XCG", "ZWG"} <= codes_with(2)


def test_the_list_is_that_of_january_2026():
    assert len(EXPONENTS) == 165 + 1  # and SAT
    assert not {"ANG", "BGN", "CUC", "HRK", "SLL", "ZWL"} & set(EXPONENTS)  # withdrawn
    assert not {"XAU", "XDR", "XTS", "XXX"} & set(EXPONENTS)  # without a minor unit


def test_every_tender_that_babel_knows_today_can_be_priced_in():
    tenders = {
        code
        for currencies in get_global("territory_currencies").values()
        for code, _since, until, tender in currencies
        if tender and until is None
    }
    assert {code for code in tenders if not is_known(code)} <= {"BGN"}  # the euro since 2026-01-01


@pytest.mark.parametrize("code", ["usd", "BTC", "", "US", "USDT", "EUR "])
def test_an_unknown_code_is_named_and_told_what_to_do(code: str):
    assert not is_known(code)
    with pytest.raises(BadRequest, match="ISO 4217") as refused:
        exponent(code)
    assert repr(code) in refused.value.message


@given(st.text())
def test_any_text_is_known_or_refused(code: str):
    if is_known(code):
        assert 0 <= exponent(code) <= 4
    else:
        with pytest.raises(BadRequest):
            exponent(code)
