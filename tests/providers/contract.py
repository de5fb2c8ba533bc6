"""Who is under contract."""

import pytest

from tests.providers.world_btcpay import open_btcpay
from tests.providers.world_sandbox import open_sandbox
from tests.providers.world_zaprite import open_zaprite
from tests.providers.worlds import Ability, Entry

EVERYTHING = frozenset(Ability)

WORLDS = (
    Entry("btcpay", EVERYTHING - {Ability.CARDS}, open_btcpay),
    Entry("sandbox", EVERYTHING - {Ability.RATES}, open_sandbox),
    # When money is late is told by the way it came (test_zaprite.py); nobody there can call an order invalid.
    Entry("zaprite", EVERYTHING - {Ability.RATES, Ability.SIGNED, Ability.LATE, Ability.MARK}, open_zaprite),
)


def in_worlds_with(*abilities: Ability) -> pytest.MarkDecorator:
    """Runs the test once in each world that can do what the test is about."""
    able = [entry for entry in WORLDS if entry.abilities.issuperset(abilities)]
    return pytest.mark.parametrize("world", able, indirect=True, ids=[entry.name for entry in able])
