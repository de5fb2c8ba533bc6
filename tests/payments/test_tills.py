"""In which money a provider is asked: fiat only where it prices fiat itself."""

from dataclasses import replace

import pytest

from keysat.kit.errors import BadRequest
from keysat.kit.money import Money
from keysat.payments.tills import OpenTill
from tests.checkout.counter import Counter

FIAT, SATS = Money("USD", 2500), Money("SAT", 21_000)


def in_sats_only(till: OpenTill) -> OpenTill:
    return replace(till, capabilities=replace(till.capabilities, prices_fiat_itself=False))


@pytest.mark.once
async def test_a_provider_without_fiat_is_asked_for_our_sats(counter: Counter) -> None:  # W-03, D-3
    till = counter.tills.all()[0]
    assert (till.asks_in(FIAT, 50_000), till.asks_in(SATS, 21_000)) == (FIAT, SATS)
    assert till.asks_in(FIAT, None) == FIAT
    assert in_sats_only(till).asks_in(FIAT, 50_000) == Money("SAT", 50_000)
    with pytest.raises(BadRequest, match="cannot be converted"):
        in_sats_only(till).asks_in(FIAT, None)
