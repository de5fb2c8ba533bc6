import pytest

from keysat.kit import errors
from keysat.kit.errors import CODES, INTERNAL_ERROR, ErrorCode, KeysatError, RateLimited, TierCap

SUBCLASSES = KeysatError.__subclasses__()


def test_no_code_stands_twice():
    assert len({each.code for each in CODES}) == len(CODES)


def test_the_list_has_every_code_of_the_module():
    assert set(CODES) == {each for each in vars(errors).values() if isinstance(each, ErrorCode)}


def test_the_codes_are_those_of_the_contract():
    assert {(each.code, each.status) for each in CODES} == {
        ("bad_request", 400),
        ("unauthorized", 401),
        ("tier_cap", 402),
        ("forbidden", 403),
        ("not_found", 404),
        ("method_not_allowed", 405),
        ("conflict", 409),
        ("request_in_flight", 409),
        ("precondition_failed", 412),
        ("too_large", 413),
        ("unsupported_media_type", 415),
        ("idempotency_mismatch", 422),
        ("rate_limited", 429),
        ("internal_error", 500),
        ("upstream_error", 502),
        ("btcpay_not_configured", 503),
        ("service_unavailable", 503),
    }


def test_every_code_has_its_own_exception():
    assert sorted(each.code.code for each in SUBCLASSES) == sorted(each.code for each in CODES)


@pytest.mark.parametrize("error", SUBCLASSES)
def test_an_error_carries_its_message(error: type[KeysatError]):
    raised = error("what is wrong")
    assert str(raised) == raised.message == "what is wrong"
    assert raised.retry_after_seconds is None
    assert raised.extra == {}


def test_an_error_tells_when_to_come_back_and_where_to_go():
    assert RateLimited("later", retry_after_seconds=7).retry_after_seconds == 7
    assert TierCap("full", upgrade_url="https://example.org").extra == {"upgrade_url": "https://example.org"}


def test_a_bare_error_is_an_internal_one():
    assert KeysatError("?").code is INTERNAL_ERROR
