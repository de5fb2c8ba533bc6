import asyncio
from pathlib import Path

import pytest

from keysat.infra.settings import load
from keysat.kit.clock import SystemClock
from keysat.kit.ids import SystemChance
from keysat.upkeep.opening import open_shop
from tests.cli.conftest import Run
from tests.web.conftest import browse, doors_of


def answer_of(data_dir: Path, path: str) -> bytes:
    async def ask() -> bytes:
        opened = open_shop(load(data_dir=data_dir), clock=SystemClock(), chance=SystemChance())
        async with opened as shop, browse(doors_of(shop)) as client:
            return (await client.get(path)).content

    return asyncio.run(ask())


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


@pytest.mark.parametrize(
    "path", ["/v1/pubkey", "/v1/issuer/public-key", "/v1/issuer/keys", "/.well-known/jwks.json", "/"]
)
def test_what_the_shop_answers_can_be_saved_and_given_as_it_is(stocked: Run, nowhere: Path, path: str):
    key = stocked("license", "issue", "aurora", "pro", "--json").json["key"]
    assert stocked("key", "rotate").code == 0  # the first key goes on verifying what it signed
    (nowhere / "aurora.json").write_bytes(answer_of(nowhere / "data", path))
    told = stocked("verify", key, "--public-key", "aurora.json", "--json")
    listed = path in ("/v1/issuer/keys", "/.well-known/jwks.json")
    assert (told.code, told.json["reason"]) == ((0, None) if listed else (1, "bad_signature"))


@pytest.mark.parametrize("text", ["{}", '{"keys": []}', '{"keys": [{"kty": "RSA", "n": "AQAB"}]}', "[1", '{"keys": 1}'])
def test_json_without_a_public_key_is_told(stocked: Run, nowhere: Path, text: str):
    (nowhere / "no.json").write_text(text)
    key = stocked("license", "issue", "aurora", "pro", "--json").json["key"]
    told = stocked("verify", key, "--public-key", "no.json")
    assert (told.code, "holds no Ed25519 public key" in told.err) == (1, True)


def test_a_file_without_a_public_key_is_told(stocked: Run, nowhere: Path):
    (nowhere / "no.pem").write_text("-----BEGIN PUBLIC KEY-----\nhello\n-----END PUBLIC KEY-----\n")
    key = stocked("license", "issue", "aurora", "pro", "--json").json["key"]
    told = stocked("verify", key, "--public-key", str(nowhere / "no.pem"))
    assert (told.code, "holds no Ed25519 public key" in told.err) == (1, True)


def test_a_time_that_is_none_is_told(stocked: Run, pem: str):
    key = stocked("license", "issue", "aurora", "pro", "--json").json["key"]
    assert "is no time" in stocked("verify", key, "--public-key", pem, "--at", "tomorrow").err
    assert stocked("verify", key, "--public-key", pem, "--at", "2099-01-01").code == 0
