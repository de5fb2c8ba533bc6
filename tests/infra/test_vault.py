"""What is sealed opens with the same key and purpose, and with nothing else."""

import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keysat.infra.setting_values import Secret
from keysat.infra.vault import Vault, VaultError, load_vault
from keysat.kit.ids import SeededChance, SystemChance

KEY = bytes(range(32))
VAULT = Vault(KEY, SystemChance())


@given(st.binary(max_size=2_000), st.text(max_size=40))
def test_what_is_sealed_opens_again(plain: bytes, purpose: str):
    sealed = VAULT.seal(plain, purpose)
    assert VAULT.open(sealed, purpose) == plain
    assert len(sealed) == len(plain) + 41
    assert len(plain) < 4 or plain not in sealed


def test_no_two_seals_are_alike():
    assert VAULT.seal(b"x", "a") != VAULT.seal(b"x", "a")


def test_another_purpose_or_key_does_not_open():
    sealed = VAULT.seal(b"hunter2", "issuer-key")
    for vault, purpose in ((VAULT, "webhook-secret"), (Vault(KEY[::-1], SystemChance()), "issuer-key")):
        with pytest.raises(VaultError) as caught:
            vault.open(sealed, purpose)
        assert "hunter2" not in str(caught.value)


@given(st.data())
def test_damaged_text_does_not_open(data: st.DataObject):
    sealed = bytearray(VAULT.seal(b"hunter2", "x"))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(VaultError):
        VAULT.open(bytes(sealed), "x")


@given(st.integers(0, 47))
def test_shortened_text_does_not_open(length: int):
    with pytest.raises(VaultError):
        VAULT.open(VAULT.seal(b"hunter2", "x")[:length], "x")


def test_what_was_sealed_by_the_first_release_still_opens():
    sealed = bytes.fromhex(
        "01c0a52fb1a1e02957addd988d42d72fc4029168b46c6f14e88728694acedb8a94bdd3ef8177585a8cea22b3aa74302fcb37"
    )
    assert VAULT.open(sealed, "issuer-key") == b"for years"


def test_derived_bytes_stay_the_same_and_depend_on_all_they_are_made_of():
    made = VAULT.derive("claim", b"order")
    assert made == Vault(KEY, SeededChance(9)).derive("claim", b"order")
    others = [
        VAULT.derive("claim", b"order2"),
        VAULT.derive("claimo", b"rder"),
        Vault(KEY[::-1], SystemChance()).derive("claim", b"order"),
        VAULT.derive("claim", b"order", size=31),
    ]
    assert made not in others
    assert [len(VAULT.derive("claim", b"", size)) for size in (1, 17, 64)] == [1, 17, 64]


def test_the_check_value_tells_keys_apart():
    assert VAULT.matches(VAULT.check_value())
    assert not Vault(KEY[::-1], SystemChance()).matches(VAULT.check_value())
    assert not VAULT.matches("")
    assert not VAULT.matches("ä")


def test_the_key_does_not_show():
    assert repr(VAULT) == "Vault(...)"


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_key_of_another_size_is_refused(size: int):
    with pytest.raises(VaultError):
        Vault(bytes(size), SystemChance())


def test_the_first_start_makes_a_key_that_only_the_owner_reads(tmp_path: Path):
    directory = tmp_path / "new" / "data"
    first = load_vault(None, directory, SystemChance())
    file = directory / "vault.key"
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(base64.urlsafe_b64decode(file.read_text().strip())) == 32
    assert load_vault(None, directory, SystemChance()).matches(first.check_value())
    assert [path.name for path in directory.iterdir()] == ["vault.key"]


def test_the_environments_key_wins_and_writes_no_file(tmp_path: Path):
    vault = load_vault(Secret(base64.urlsafe_b64encode(KEY).decode()), tmp_path, SystemChance())
    assert vault.matches(VAULT.check_value())
    assert list(tmp_path.iterdir()) == []


def test_daemons_that_start_together_share_one_key(tmp_path: Path):
    with ThreadPoolExecutor(8) as pool:
        starts = [pool.submit(load_vault, None, tmp_path, SystemChance()) for _ in range(32)]
    assert len({start.result().check_value() for start in starts}) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int):
    load_vault(None, tmp_path, SystemChance())
    file = tmp_path / "vault.key"
    file.chmod(mode)
    with pytest.raises(VaultError, match=f"chmod 600 {file}"):
        load_vault(None, tmp_path, SystemChance())
    file.chmod(0o400)
    load_vault(None, tmp_path, SystemChance())


@pytest.mark.parametrize("text", ["", "hunter2", "hunter2\n" * 100, "ä" * 43, "A" * 42])
def test_a_file_without_a_key_is_refused_and_left_alone(tmp_path: Path, text: str):
    file = tmp_path / "vault.key"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(VaultError) as caught:
        load_vault(None, tmp_path, SystemChance())
    assert str(file) in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert file.read_text() == text
