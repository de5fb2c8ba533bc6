"""Issuer keys: made once, rotated without breaking anyone, written down as words and brought back."""

import hashlib
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from keysat.infra.events import Actor
from keysat.infra.store import Store
from keysat.infra.tables import EventRow
from keysat.infra.vault import Vault
from keysat.kit.errors import BadRequest, Conflict
from keysat.kit.ids import SeededChance
from keysat.licenses.issuers import (
    announce,
    create_first,
    mark_compromised,
    move_licenses,
    restore,
    rotate,
    seed_of,
    signing_key,
    words_of,
    words_of_key,
)
from keysat.licenses.ring import Ring, issuer_keys, present
from keysat.licenses.tables import IssuerStatus
from tests.conftest import NOON, TESTER
from tests.licenses.seller import Seller

BIP39_ZEROS = "abandon " * 23 + "art"  # the reference vector of 256 zero bits


async def statuses(store: Store) -> list[IssuerStatus]:
    async with store.read() as read:
        return sorted(key.status for key in await issuer_keys(read))


async def test_the_first_key_is_made_once(store: Store) -> None:
    vault = Vault(bytes(32), SeededChance(2))
    async with store.work(NOON, TESTER) as work:
        key = await create_first(work, vault)
        assert await create_first(work, vault) is key
    assert await statuses(store) == [IssuerStatus.SIGNING]
    assert key.key_id == hashlib.sha256(key.public_key).hexdigest()[:16]


async def test_rotating_takes_the_announced_key_and_keeps_the_old_one_verifying(seller: Seller) -> None:
    async with seller.store.work(NOON, TESTER) as work:
        announced = await announce(work, seller.vault)
    assert await statuses(seller.store) == [IssuerStatus.ANNOUNCED, IssuerStatus.SIGNING]
    with pytest.raises(Conflict):
        async with seller.store.work(NOON, TESTER) as work:
            await announce(work, seller.vault)
    async with seller.store.work(NOON, TESTER) as work:
        assert (await rotate(work, seller.vault)).id == announced.id
    assert await statuses(seller.store) == [IssuerStatus.SIGNING, IssuerStatus.VERIFYING]


async def test_a_compromised_key_counts_until_the_license_is_signed_by_another(seller: Seller) -> None:
    license = await seller.sell()
    key = await seller.key(license.id)
    first = seller.ring.signing
    with pytest.raises(Conflict):
        async with seller.store.work(NOON, TESTER) as work:
            await mark_compromised(work, first.key_id)
    async with seller.store.work(NOON, TESTER) as work:
        await rotate(work, seller.vault)
        await mark_compromised(work, first.key_id)
    await seller.ring.refresh()
    assert (await seller.validate(key)).ok  # nobody is locked out by our misfortune
    async with seller.store.work(NOON, TESTER) as work:
        assert await move_licenses(work, first.key_id) == 1
        assert await move_licenses(work, first.key_id) == 0
        with pytest.raises(Conflict):
            await move_licenses(work, seller.ring.signing.key_id)
    assert (await seller.validate(key)).reason == "bad_signature"
    assert (await seller.validate(await seller.key(license.id))).ok


async def test_an_unknown_key_id_is_said_to_be_unknown(seller: Seller) -> None:
    with pytest.raises(BadRequest):
        async with seller.store.work(NOON, TESTER) as work:
            await mark_compromised(work, "0" * 16)
    with pytest.raises(BadRequest):
        async with seller.store.read() as read:
            await words_of_key(read, seller.vault, "0" * 16)


@pytest.mark.once
def test_words_are_bip_39_of_the_seed() -> None:
    assert words_of(bytes(32)) == BIP39_ZEROS
    assert seed_of("  " + BIP39_ZEROS.upper().replace(" ", "\n")) == bytes(32)


@pytest.mark.once
@pytest.mark.parametrize("words", ["", "abandon " * 24, "abandon " * 11 + "about", "correct horse battery staple", "é"])
def test_words_of_no_key_are_refused_and_not_repeated(words: str) -> None:
    with pytest.raises(BadRequest) as refused:
        seed_of(words)
    assert "abandon" not in refused.value.message


@pytest.mark.once
async def test_on_an_empty_host_the_restored_key_signs_and_every_old_key_verifies(
    seller: Seller, sqlite_template: Path, tmp_path: Path
) -> None:
    """The new host has a vault key of its own, and has made an issuer key, which sold nothing yet."""
    sold = await seller.key((await seller.sell()).id)
    async with seller.store.read() as read:
        words = await words_of_key(read, seller.vault, seller.ring.signing.key_id)
    shutil.copyfile(sqlite_template, tmp_path / "new.db")
    host, vault = Store(f"sqlite+aiosqlite:///{tmp_path / 'new.db'}"), Vault(b"n" * 32, SeededChance(9))
    async with host.work(NOON, TESTER) as work:
        unused = await create_first(work, vault)
    ring = await Ring.open(host, vault)
    assert (await present(ring, sold, NOON)).reason == "bad_signature"
    async with host.work(NOON, TESTER) as work:
        await restore(work, vault, words)
    await ring.refresh()
    assert (await present(ring, sold, NOON)).reason is None
    assert ring.signing.public_key == seller.ring.signing.public_key
    assert {key.id: key.status for key in ring.keys}[unused.id] is IssuerStatus.VERIFYING
    await host.close()


async def test_words_of_a_key_that_is_here_make_it_sign_again_only_while_the_other_sold_nothing(seller: Seller) -> None:
    old = seller.ring.signing
    async with seller.store.read() as read:
        words = await words_of_key(read, seller.vault, old.key_id)
    async with seller.store.work(NOON, TESTER) as work:
        await rotate(work, seller.vault)
        assert (await restore(work, seller.vault, words)).status is IssuerStatus.SIGNING
        await rotate(work, seller.vault)
    await seller.sell()
    async with seller.store.work(NOON, TESTER) as work:
        assert (await restore(work, seller.vault, words)).status is IssuerStatus.VERIFYING


async def test_a_compromised_key_stays_so_when_its_words_come_back(seller: Seller) -> None:
    old = seller.ring.signing
    async with seller.store.work(NOON, TESTER) as work:
        words = await words_of_key(work, seller.vault, old.key_id)
        new = await rotate(work, seller.vault)
        await mark_compromised(work, old.key_id)
        assert (await restore(work, seller.vault, words)).status is IssuerStatus.COMPROMISED
        assert (await signing_key(work)) is new


async def test_a_key_from_elsewhere_verifies_once_something_was_sold_here(seller: Seller) -> None:
    await seller.sell()
    for _ in range(2):
        async with seller.store.work(NOON, TESTER) as work:
            restored = await restore(work, seller.vault, BIP39_ZEROS)
        assert restored.status is IssuerStatus.VERIFYING
    assert await statuses(seller.store) == [IssuerStatus.SIGNING, IssuerStatus.VERIFYING]


async def test_a_restored_key_signs_when_there_is_none(store: Store) -> None:
    vault = Vault(bytes(32), SeededChance(2))
    async with store.work(NOON, TESTER) as work:
        restored = await restore(work, vault, BIP39_ZEROS)
        assert (await signing_key(work)) is restored


async def test_events_and_rows_hold_no_secret(seller: Seller) -> None:
    async with seller.store.work(NOON, Actor("test")) as work:
        await announce(work, seller.vault)
        await rotate(work, seller.vault)
        restored = await restore(work, seller.vault, BIP39_ZEROS)
    async with seller.store.read() as read:
        told = " ".join(await read.session.scalars(select(EventRow.body)))
        seeds = [seller.vault.open(key.sealed_seed, "issuer-key") for key in await issuer_keys(read)]
    assert restored.key_id in told
    assert all(seed.hex() not in told and words_of(seed) not in told for seed in seeds)
    assert restored.sealed_seed != bytes(32)
    assert "signer" not in repr(seller.ring.signing)
