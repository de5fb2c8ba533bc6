"""Sold keys verify in every SDK without a server: our own vectors, and those of the published SDKs."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.sdk.go import Go
from tests.sdk.offline import KeyRefused
from tests.sdk.python import Python
from tests.sdk.typescript import TypeScript

ALL = (Python, TypeScript, Go)
OURS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "licenses" / "vectors.json").read_text())
PEM: str = OURS["public_key_pem"]
KEY: str = OURS["keys"]["subscribed"]["license_key"]
ENDS: int = OURS["keys"]["subscribed"]["expires_at"]


@pytest.mark.parametrize("sdk", ALL)
@pytest.mark.parametrize("name", OURS["keys"])
def test_our_vectors_say_the_same_to_every_sdk(sdk: type[Python | TypeScript | Go], name: str) -> None:
    vector = OURS["keys"][name]
    said = sdk.verify(vector["license_key"], PEM, vector["issued_at"])
    assert (said.version, said.flags, said.issued_at, said.expires_at) == tuple(
        vector[field] for field in ("version", "flags", "issued_at", "expires_at")
    )
    assert (str(said.product_id), str(said.license_id)) == (vector["product_id"], vector["license_id"])
    assert list(said.entitlements) == vector["entitlements"]


def test_the_published_vectors_are_read_by_these_clients(shared_data: Path) -> None:
    published: dict[str, Any] = json.loads((shared_data / "license-key-vectors.json").read_text())
    for name in ("v1", "v2", "v2_perpetual_unbound"):
        expected = published[name]["expected"]
        for sdk in ALL:
            said = sdk.verify(published[name]["licenseKey"], published["publicKeyPem"], 1_700_000_000)
            assert (said.version, said.expires_at, said.flags) == tuple(
                expected[field] for field in ("version", "expiresAt", "flags")
            )
            assert (list(said.entitlements), said.fingerprint_hash.hex()) == (
                expected["entitlements"],
                expected["fingerprintHashHex"],
            )


@pytest.mark.parametrize("sdk", ALL)
def test_expiry_is_met_by_equality_and_known_only_after_the_signature(sdk: type[Python | TypeScript | Go]) -> None:
    assert sdk.verify(KEY, PEM, ENDS - 1).expires_at == ENDS
    with pytest.raises(KeyRefused, match="expired"):
        sdk.verify(KEY, PEM, ENDS)
    with pytest.raises(KeyRefused, match="bad_signature"):
        sdk.verify(tampered(KEY), PEM, ENDS)


@pytest.mark.parametrize("sdk", ALL)
@pytest.mark.parametrize("text", ["", "LIC1", "LIC1--", "lic1" + KEY[4:], KEY + "-AA", KEY[:-2], KEY.replace("A", "1")])
def test_what_is_no_key_is_refused_by_every_sdk(sdk: type[Python | TypeScript | Go], text: str) -> None:
    with pytest.raises(KeyRefused, match=r"bad_(format|encoding)"):
        sdk.verify(text, PEM, ENDS - 1)


def test_only_go_wants_the_key_exactly_as_it_was_issued() -> None:
    for text in (f" {KEY}\n", KEY[:5] + KEY[5:].lower()):
        assert Python.verify(text, PEM, 0) == TypeScript.verify(text, PEM, 0)
        with pytest.raises(KeyRefused, match="bad_format"):
            Go.verify(text, PEM, 0)


def tampered(key: str) -> str:
    """One bit of the license id is another."""
    prefix, payload, signature = key.split("-")
    raw = bytearray(base64.b32decode(payload + "=" * (-len(payload) % 8)))
    raw[20] ^= 1
    return "-".join((prefix, base64.b32encode(bytes(raw)).decode().rstrip("="), signature))
