import pytest

from keysat.checkout.pay_link import pay_token, subscription_to_pay
from keysat.infra.store import Store
from keysat.infra.vault import Vault
from keysat.kit.errors import NotFound
from keysat.kit.ids import SeededChance, random_uuid

pytestmark = pytest.mark.once


def vault(byte: int) -> Vault:
    return Vault(bytes([byte]) * 32, SeededChance(1))


def test_a_token_is_one_for_each_subscription_and_vault() -> None:
    chance = SeededChance(2)
    ids = [random_uuid(chance) for _ in range(50)]
    tokens = {pay_token(vault(byte), row_id) for byte in (1, 2) for row_id in ids}
    assert len(tokens) == 100
    assert {len(token) for token in tokens} == {52}


async def test_whatever_is_no_token_of_ours_is_refused_alike(store: Store) -> None:
    ours = pay_token(vault(1), random_uuid(SeededChance(2)))
    forged = ours[:26] + pay_token(vault(2), random_uuid(SeededChance(2)))[26:]
    said: set[str] = set()
    async with store.read() as read:
        for token in (ours, forged, ours[:-1], ours + "a", "", "é" * 52, "0" * 52, ours[:25] + "7" + ours[26:]):
            with pytest.raises(NotFound) as refused:
                await subscription_to_pay(read, vault(1), token)
            said.add(refused.value.message)
    assert len(said) == 1
