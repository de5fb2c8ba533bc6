import base64
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from keysat.kit.errors import BadRequest
from keysat.kit.licensekey import (
    UNBOUND_HASH,
    BadFormat,
    Payload,
    assemble,
    check_entitlements,
    encode,
    fingerprint_hash,
    parse,
    parse_payload,
)

ISSUER = SigningKey(bytes(range(32)))
U64 = st.integers(0, 2**64 - 1)

entitlements = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
payloads = st.builds(
    Payload,
    version=st.just(2),
    flags=st.integers(0, 255),
    product_id=st.uuids(),
    license_id=st.uuids(),
    issued_at=U64,
    expires_at=U64,
    fingerprint_hash=st.binary(min_size=32, max_size=32),
    entitlements=st.lists(entitlements, max_size=5).map(tuple),
)
SOLD = Payload(2, 0, UUID(int=1), UUID(int=2), 1_700_000_000, 0, UNBOUND_HASH, ("pro", "multi-device"))


def sold(payload: Payload) -> str:
    body = encode(payload)
    return assemble(body, ISSUER.sign(body).signature)


def verifies(text: str) -> bool:
    try:
        key = parse(text)
        ISSUER.verify_key.verify(key.payload_bytes, key.signature)
    except (BadFormat, BadSignatureError):
        return False
    return True


@pytest.mark.parametrize("name", ["v1", "v2", "v2_perpetual_unbound"])
def test_keys_of_the_published_server_are_read_and_verify(shared_data: Path, name: str):
    vectors: dict[str, Any] = json.loads((shared_data / "license-key-vectors.json").read_text())
    text, expected = vectors[name]["licenseKey"], vectors[name]["expected"]
    key = parse(text)
    payload = key.payload
    assert payload == Payload(
        expected["version"],
        expected["flags"],
        UUID(expected["productUuid"]),
        UUID(expected["licenseUuid"]),
        expected["issuedAt"],
        expected["expiresAt"],
        bytes.fromhex(expected["fingerprintHashHex"]),
        tuple(expected["entitlements"]),
    )
    assert (payload.is_bound, payload.is_trial) == (expected["isFingerprintBound"], expected["isTrial"])
    if expected["fingerprintRaw"] is not None:
        assert fingerprint_hash(expected["fingerprintRaw"]) == payload.fingerprint_hash
    issuer = VerifyKey(base64.b64decode(vectors["publicKeyPem"].splitlines()[1])[-32:])
    issuer.verify(key.payload_bytes, key.signature)
    assert assemble(key.payload_bytes, key.signature) == text
    assert payload.version == 1 or encode(payload) == key.payload_bytes


@given(payloads)
def test_what_is_sold_reads_back_the_same(payload: Payload):
    text = sold(payload)
    key = parse(text)
    assert key.payload == payload
    assert key.payload_bytes == encode(payload)
    assert verifies(text)
    assert verifies(f" \n{text}\t")
    assert verifies("LIC1" + text[4:].lower())


def test_a_key_without_entitlements_has_242_characters():
    assert len(sold(Payload(2, 0, UUID(int=1), UUID(int=2), 0, 0, UNBOUND_HASH, ()))) == 242


def test_every_truncation_is_refused():
    text = sold(SOLD)
    assert not any(verifies(text[:length]) for length in range(len(text)))
    assert not any(verifies(text[start:]) for start in range(1, len(text)))


def test_every_bit_flip_is_refused_or_is_another_letter_case_of_the_same_key():
    text = sold(SOLD)
    raw = text.encode()
    for index in range(len(raw)):
        for bit in range(7):
            flipped = bytearray(raw)
            flipped[index] ^= 1 << bit
            changed = flipped.decode()
            if verifies(changed):
                assert index > len("LIC1")
                assert changed.upper() == text


@given(payloads, st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), st.booleans())
def test_base32_is_canonical(payload: Payload, last: str, of_payload: bool):
    """Another last character gives other bytes or none: surplus bits must be zero."""
    text = sold(payload)
    prefix, body, signature = text.split("-")
    changed = f"{prefix}-{body[:-1]}{last}-{signature}" if of_payload else text[:-1] + last
    try:
        key = parse(changed)
    except BadFormat:
        return
    assert assemble(key.payload_bytes, key.signature) == changed


@given(payloads, st.sampled_from("=-_ +0189é٣\u0130\u017f\u212a\0"), st.integers(0, 400))
def test_a_character_from_outside_the_alphabet_is_refused(payload: Payload, intruder: str, at: int):
    text = sold(payload)
    at = 5 + at % (len(text) - 5)
    for changed in (text[:at] + intruder + text[at:], text[:at] + intruder + text[at + 1 :]):
        if changed.strip() != text:
            with pytest.raises(BadFormat):
                parse(changed)


@given(st.text() | st.text("LIC1-AB27=- ").map(lambda text: "LIC1-" + text))
def test_any_text_is_a_key_or_bad_format(text: str):
    with pytest.raises(BadFormat):
        parse(text)


@given(st.binary(max_size=300) | st.binary(max_size=90).map(lambda tail: b"\2" + bytes(81) + tail))
def test_any_payload_is_read_or_bad_format_and_never_read_two_ways(data: bytes):
    try:
        payload = parse_payload(data)
    except BadFormat:
        return
    assert payload.version == 1 or encode(payload) == data


@pytest.mark.parametrize(
    "text", ["", "LIC1", "LIC1-", "LIC1--", "LIC1-AA-AA", "LIC1-AE-AE-AE", f"LIC1-{'A' * 200_000}-A"]
)
def test_what_is_no_key_is_refused(text: str):
    with pytest.raises(BadFormat):
        parse(text)


def test_the_prefix_is_in_capitals():
    with pytest.raises(BadFormat):
        parse(sold(SOLD).lower())


@pytest.mark.parametrize("version", [0, 3, 255])
def test_an_unknown_version_is_refused(version: int):
    with pytest.raises(BadFormat):
        parse_payload(bytes([version]) + encode(SOLD)[1:])


@pytest.mark.parametrize("size", [73, 75, 83])
def test_a_payload_of_version_1_has_74_bytes(size: int):
    with pytest.raises(BadFormat):
        parse_payload(b"\1" + bytes(size - 1))


def test_the_list_of_entitlements_ends_with_the_payload_and_is_utf_8():
    body = encode(SOLD)
    for broken in (body + b"\0", body[:-1], body[:82] + b"\3" + body[83:], body[:-1] + b"\xff"):
        with pytest.raises(BadFormat):
            parse_payload(broken)


def test_unknown_flags_mean_nothing():
    payload = parse_payload(b"\2\xfc" + encode(SOLD)[2:])
    assert (payload.is_bound, payload.is_trial) == (False, False)


def test_the_largest_key_is_read():
    largest = Payload(2, 0, UUID(int=1), UUID(int=2), 0, 0, UNBOUND_HASH, ("x" * 255,) * 255)
    assert parse(sold(largest)).payload == largest


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 1},
        {"flags": 256},
        {"issued_at": -1},
        {"expires_at": 2**64},
        {"fingerprint_hash": b""},
        {"entitlements": ("x",) * 256},
        {"entitlements": ("é" * 128,)},
        {"entitlements": ("\ud800",)},
    ],
)
def test_what_a_key_cannot_hold_is_not_written(changes: dict[str, Any]):
    fields = {name: getattr(SOLD, name) for name in Payload.__slots__}
    with pytest.raises(ValueError):  # noqa: PT011  (struct, codec and our own limits)
        encode(Payload(**{**fields, **changes}))


def test_a_signature_has_64_bytes():
    with pytest.raises(ValueError, match="64 bytes"):
        assemble(b"", bytes(63))
    with pytest.raises(BadFormat, match="64 bytes"):
        parse("LIC1-AA-AA")


def test_a_fingerprint_is_hashed_as_it_came():
    assert fingerprint_hash("hello").hex() == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert fingerprint_hash("hello ") != fingerprint_hash("hello")


@pytest.mark.parametrize("wrong", ["", "Pro", "-pro", "_pro", "a b", "é", "pro\n", "x" * 256])
def test_an_entitlement_is_a_slug(wrong: str):
    with pytest.raises(BadRequest, match="entitlement"):
        check_entitlements(["pro", wrong])


def test_a_key_holds_255_entitlements_of_255_bytes():
    check_entitlements([])
    check_entitlements(["0_-z", "x" * 255] + ["pro"] * 253)
    with pytest.raises(BadRequest, match="256"):
        check_entitlements(["pro"] * 256)
