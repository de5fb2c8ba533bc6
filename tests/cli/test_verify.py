from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def pem(stocked: Run, nowhere: Path) -> str:
    path = nowhere / "key.pem"
    path.write_text(stocked("key", "list", "--json").json["items"][0]["public_key"])
    return str(path)


def test_a_key_tells_what_is_in_it_without_a_shop(stocked: Run, pem: str):
    given = stocked("license", "issue", "aurora", "pro", "--json").json
    told = stocked("verify", given["key"], "--public-key", pem, "--json")
    assert told.code == 0
    assert told.json["ok"] is True
    assert (told.json["license_id"], told.json["expires_at"]) == (given["id"], None)
    assert told.json["entitlements"] == ["core", "sync", "export", "themes", "priority-support"]


def test_a_key_that_was_tampered_with_does_not_hold(stocked: Run, pem: str):
    key = stocked("license", "issue", "aurora", "pro", "--json").json["key"]
    head, body, signature = key.split("-")
    other = ("B" if body[40] == "A" else "A").join((body[:40], body[41:]))
    told = stocked("verify", f"{head}-{other}-{signature}", "--public-key", pem, "--json")
    assert told.code == 1
    assert told.json["reason"] == "bad_signature"


@pytest.mark.parametrize("text", ["LIC1-AAAA", "hello", ""])
def test_what_is_no_key_is_told_in_one_line(stocked: Run, pem: str, text: str):
    told = stocked("verify", text, "--public-key", pem)
    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("keysat: This is no license key")


def test_a_file_without_a_public_key_is_told(stocked: Run, nowhere: Path):
    (nowhere / "no.pem").write_text("-----BEGIN PUBLIC KEY-----\nhello\n-----END PUBLIC KEY-----\n")
    key = stocked("license", "issue", "aurora", "pro", "--json").json["key"]
    told = stocked("verify", key, "--public-key", str(nowhere / "no.pem"))
    assert (told.code, "holds no Ed25519 public key" in told.err) == (1, True)


def test_a_time_that_is_none_is_told(stocked: Run, pem: str):
    key = stocked("license", "issue", "aurora", "pro", "--json").json["key"]
    assert "is no time" in stocked("verify", key, "--public-key", pem, "--at", "tomorrow").err
    assert stocked("verify", key, "--public-key", pem, "--at", "2099-01-01").code == 0
