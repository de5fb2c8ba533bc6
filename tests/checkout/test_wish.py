import pytest

from keysat.checkout.wish import checked_redirect, rail_of
from keysat.kit.errors import BadRequest
from keysat.payments.provider import Rail


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "/thanks", "https://user@evil.test/", "https://ok.test/" + "x" * 2000]
)
def test_a_buyer_is_sent_on_to_absolute_web_addresses_alone(url: str):
    with pytest.raises(BadRequest, match="redirect_url"):
        checked_redirect(url)


def test_what_is_blank_or_unknown_counts_as_absent():
    assert (checked_redirect(""), checked_redirect("https://ok.test/x?y")) == (None, "https://ok.test/x?y")
    assert [rail_of(word) for word in (None, "", "pigeon", " On-Chain ", "card")] == [
        None,
        None,
        None,
        Rail.ONCHAIN,
        Rail.CARD,
    ]
