"""Keys of our own making that must verify for ever: a release that breaks one of them breaks sold licenses.

`vectors.json` was written once, with a key whose seed stands in it; it is only ever added to.
"""

import base64
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from nacl.signing import SigningKey, VerifyKey

from keysat.kit.licensekey import assemble, encode, parse
from keysat.licenses.ring import public_pem

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "vectors.json").read_text())
KEYS: dict[str, dict[str, Any]] = VECTORS["keys"]
SIGNER = SigningKey(bytes.fromhex(VECTORS["seed_hex"]))


@pytest.mark.parametrize("name", KEYS)
def test_a_key_once_sold_still_says_what_it_said_and_still_verifies(name: str) -> None:
    vector = KEYS[name]
    signed = parse(vector["license_key"])
    said = signed.payload
    assert (said.version, said.flags, said.issued_at, said.expires_at) == tuple(
        vector[field] for field in ("version", "flags", "issued_at", "expires_at")
    )
    assert (said.product_id, said.license_id) == (UUID(vector["product_id"]), UUID(vector["license_id"]))
    assert list(said.entitlements) == vector["entitlements"]
    published = VerifyKey(base64.b64decode(VECTORS["public_key_pem"].splitlines()[1])[-32:])
    published.verify(signed.payload_bytes, signed.signature)


@pytest.mark.parametrize("name", [name for name, vector in KEYS.items() if vector["version"] == 2])
def test_the_same_license_is_signed_to_the_same_byte(name: str) -> None:
    payload = encode(parse(KEYS[name]["license_key"]).payload)
    assert assemble(payload, SIGNER.sign(payload).signature) == KEYS[name]["license_key"]


def test_the_public_key_is_written_as_it_always_was() -> None:
    assert public_pem(bytes(SIGNER.verify_key)) == VECTORS["public_key_pem"]
