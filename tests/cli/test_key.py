import io
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_keys_are_rotated_and_sold_ones_go_on_verifying(stocked: Run, nowhere: Path):
    first = stocked("key", "list", "--json").json["items"][0]
    pem = nowhere / "first.pem"
    pem.write_text(first["public_key"])
    before = stocked("license", "issue", "aurora", "pro", "--json").json
    assert "signing new licenses" in stocked("key", "rotate").out
    after = stocked("license", "issue", "aurora", "pro", "--json").json
    assert [one["status"] for one in stocked("key", "list", "--json").json["items"]] == ["verifying", "signing"]
    assert stocked("verify", before["key"], "--public-key", str(pem)).code == 0
    assert stocked("verify", after["key"], "--public-key", str(pem)).code == 1


def test_an_announced_key_waits_for_its_rotation(house: Run):
    house("key", "rotate", "--announce")
    assert [one["status"] for one in house("key", "list", "--json").json["items"]] == ["signing", "announced"]
    house("key", "rotate")
    assert [one["status"] for one in house("key", "list", "--json").json["items"]] == ["verifying", "signing"]


def test_the_words_of_a_key_bring_it_back_on_an_empty_host(house: Run, nowhere: Path, monkeypatch: pytest.MonkeyPatch):
    words = house("key", "export", "--yes").out.strip()
    assert len(words.split()) == 24
    key_id = house("key", "list", "--json").json["items"][0]["key_id"]
    house("init", "--data-dir", "elsewhere")
    monkeypatch.setattr("sys.stdin", io.StringIO(words.upper().replace(" ", "\n")))
    assert house("key", "restore", "--data-dir", "elsewhere").out == f"Issuer key {key_id} is here: signing.\n"


def test_licenses_of_a_compromised_key_are_signed_by_the_one_that_took_over(stocked: Run, nowhere: Path):
    key_id = stocked("key", "list", "--json").json["items"][0]["key_id"]
    sold = stocked("license", "issue", "aurora", "pro", "--json").json
    stocked("key", "rotate")
    pem = nowhere / "new.pem"
    pem.write_text(stocked("key", "list", "--json").json["items"][1]["public_key"])
    assert "signed anew: 1." in stocked("key", "compromise", key_id, "--yes").out
    anew = stocked("license", "show", str(sold["id"]), "--json").json
    assert stocked("verify", sold["key"], "--public-key", str(pem)).code == 1
    assert stocked("verify", anew["key"], "--public-key", str(pem)).code == 0


def test_the_key_that_signs_is_not_given_up(house: Run):
    key_id = house("key", "list", "--json").json["items"][0]["key_id"]
    told = house("key", "compromise", key_id, "--yes")
    assert (told.code, told.err.count("\n")) == (1, 1)
    house("key", "rotate")
    assert house("key", "compromise", key_id, "--yes").code == 0
