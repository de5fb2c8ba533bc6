"""Signatures of both styles, against the figures of the standard and of a receiver's own arithmetic."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from keysat.kit.errors import BadRequest
from keysat.kit.ids import SeededChance
from keysat.webhooks.sign import Signer, headers, hmac_key, new_signer, verify

AT = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
STANDARD = Signer("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", bytes(32))


def lowered(given: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in given.items()}


def test_the_standards_own_example() -> None:
    """The first test of the reference libraries of Standard Webhooks."""
    given = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", "test", BODY, AT, [STANDARD])
    assert given["webhook-id"] == "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert given["webhook-timestamp"] == "1614265330"
    assert given["webhook-signature"].split(" ")[0] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_published_servers_signature_is_over_the_body_with_the_secret_as_text() -> None:  # published-server 4.4
    given = headers("an-id", "license.issued", BODY, AT, [STANDARD])
    expected = hmac.new(STANDARD.secret.encode(), BODY, hashlib.sha256).hexdigest()
    assert given["X-Keysat-Signature"] == f"sha256={expected}"
    assert (given["X-Keysat-Event"], given["X-Keysat-Delivery"]) == ("license.issued", "an-id")


def test_the_public_key_verifies_without_any_secret() -> None:  # D-39: the time is signed too
    signer = new_signer(SeededChance(1))
    given = headers("an-id", "ping", BODY, AT, [signer])
    [signature] = [one[4:] for one in given["webhook-signature"].split(" ") if one.startswith("v1a,")]
    key = VerifyKey(base64.b64decode(signer.public_key.removeprefix("whpk_")))
    key.verify(b"an-id.1614265330." + BODY, base64.b64decode(signature))
    with pytest.raises(BadSignatureError):
        key.verify(b"an-id.1614265331." + BODY, base64.b64decode(signature))


def test_while_two_secrets_sign_a_receiver_may_know_either() -> None:
    old, new = new_signer(SeededChance(1)), new_signer(SeededChance(2))
    given = lowered(headers("an-id", "ping", BODY, AT, [new, old]))
    assert [one.partition(",")[0] for one in given["webhook-signature"].split(" ")] == ["v1", "v1", "v1a", "v1a"]
    assert verify(new.secret, given, BODY, AT) is None
    assert verify(old.secret, {**given, "x-keysat-signature": given["x-keysat-signature-previous"]}, BODY, AT) is None
    assert verify(STANDARD.secret, given, BODY, AT) is not None


def test_what_was_altered_or_is_old_does_not_hold() -> None:  # D-39
    given = lowered(headers("an-id", "ping", BODY, AT, [STANDARD]))
    assert verify(STANDARD.secret, given, BODY, AT + timedelta(seconds=299)) is None
    assert "timestamp" in str(verify(STANDARD.secret, given, BODY, AT + timedelta(seconds=301)))
    assert verify(STANDARD.secret, given, BODY + b" ", AT) is not None
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature", "x-keysat-signature"):
        assert verify(STANDARD.secret, {**given, name: "1614265329"}, BODY, AT) is not None


def test_a_receiver_may_bring_its_secret_along() -> None:
    brought = "0123456789abcdef" * 4
    assert new_signer(SeededChance(1), brought).secret == brought
    assert hmac_key(brought) == base64.b64decode(brought)  # as the libraries of the standard do
    assert hmac_key("no base64: a secret!") == b"no base64: a secret!"
    for bad in ("", "short", "with space" * 3, "ümlaute" * 4, "x" * 129):
        with pytest.raises(BadRequest):
            new_signer(SeededChance(1), bad)


def test_no_secret_is_shown_by_accident() -> None:
    assert STANDARD.secret not in repr(STANDARD)
