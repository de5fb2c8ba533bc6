"""The ring: signs, verifies, publishes, and learns of keys that another process added."""

import base64
from datetime import timedelta

import pytest
from nacl.signing import SigningKey, VerifyKey

from keysat.infra.vault import Vault, VaultError
from keysat.kit.ids import SeededChance
from keysat.kit.licensekey import parse
from keysat.licenses import ring as ring_module
from keysat.licenses.issuers import announce, mark_compromised, rotate
from keysat.licenses.ring import Ring, jwks, present, public_pem
from keysat.licenses.tables import IssuerStatus
from tests.conftest import NOON, TESTER
from tests.licenses.seller import Seller

SECOND = timedelta(seconds=1)


@pytest.mark.once
def test_the_pem_is_the_contracts_to_the_byte() -> None:
    raw = bytes.fromhex("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8")
    assert public_pem(raw) == (
        "-----BEGIN PUBLIC KEY-----\n"
        "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=\n"
        "-----END PUBLIC KEY-----\n"
    )


async def test_what_the_ring_signs_verifies_under_the_published_key(seller: Seller) -> None:
    signed = parse(await seller.key((await seller.sell()).id))
    (published,) = jwks(seller.ring)["keys"]
    assert (published["kty"], published["crv"], published["kid"]) == ("OKP", "Ed25519", seller.ring.signing.key_id)
    raw = base64.urlsafe_b64decode(published["x"] + "=")
    VerifyKey(raw).verify(signed.payload_bytes, signed.signature)
    assert seller.ring.find(published["kid"]) is seller.ring.signing
    assert seller.ring.find("0" * 16) is None


async def test_keys_are_found_by_id_whatever_process_made_them(seller: Seller) -> None:
    other = await Ring.open(seller.store, seller.vault)
    async with seller.store.work(NOON, TESTER) as work:
        new = await rotate(work, seller.vault)
    async with seller.store.read() as read:
        signature = await other.sign(read, new.id, b"payload")
    VerifyKey(new.public_key).verify(b"payload", signature)
    assert other.signing.id == new.id


async def test_a_signature_that_does_not_hold_lets_the_ring_look_again_every_few_seconds(seller: Seller) -> None:
    async def sold_elsewhere() -> str:
        async with seller.store.work(NOON, TESTER) as work:
            await rotate(work, seller.vault)
        return await seller.key((await seller.sell()).id)

    other = await Ring.open(seller.store, seller.vault)
    first, second = await sold_elsewhere(), None
    assert (await present(other, first, NOON)).reason is None
    second = await sold_elsewhere()
    assert (await present(other, second, NOON + 4 * SECOND)).reason == "bad_signature"
    assert (await present(other, second, NOON + 5 * SECOND)).reason is None


async def test_a_compromise_marked_elsewhere_is_learned_within_a_minute(seller: Seller) -> None:
    key = await seller.key((await seller.sell()).id)
    other = await Ring.open(seller.store, seller.vault)
    old = other.signing
    signer = (await present(other, key, NOON)).signer
    assert signer is not None
    assert not signer.is_compromised
    async with seller.store.work(NOON, TESTER) as work:
        await rotate(work, seller.vault)
        await mark_compromised(work, old.key_id)
    signer = (await present(other, key, NOON + 60 * SECOND)).signer
    assert signer is not None
    assert signer.is_compromised
    assert [key["kid"] for key in jwks(other)["keys"]] == [other.signing.key_id]


async def test_announced_keys_are_published(seller: Seller) -> None:
    async with seller.store.work(NOON, TESTER) as work:
        await announce(work, seller.vault)
    await seller.ring.fresh(NOON)
    assert {key.status for key in seller.ring.keys} == {IssuerStatus.SIGNING, IssuerStatus.ANNOUNCED}
    assert len(jwks(seller.ring)["keys"]) == 2


async def test_remembered_signatures_are_bounded_and_forged_ones_are_not_remembered(
    seller: Seller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ring_module, "VERIFIED_MOST", 2)
    keys = [await seller.key((await seller.sell()).id) for _ in range(4)]
    for key in keys:
        assert (await present(seller.ring, key, NOON)).reason is None
    assert len(seller.ring._verified) == 2
    signed = parse(keys[0])
    forged = type(signed)(signed.payload, signed.payload_bytes, SigningKey(bytes(32)).sign(b"").signature)
    assert await seller.ring.verify(forged, NOON) is None
    assert len(seller.ring._verified) == 2


async def test_another_vault_key_opens_nothing(seller: Seller) -> None:
    with pytest.raises(VaultError):
        await Ring.open(seller.store, Vault(b"x" * 32, SeededChance(2)))
