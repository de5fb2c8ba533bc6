"""Signatures, in both styles: the published server's, and Standard Webhooks 1.0.0. Pure.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime

import msgspec
from nacl.signing import SigningKey

from keysat.kit.errors import BadRequest
from keysat.kit.ids import Chance

SECRET_PREFIX, PUBLIC_PREFIX = "whsec_", "whpk_"
SECRET_BYTES = 32
SECRET = re.compile("[!-~]{16,128}")


class Signer(msgspec.Struct, frozen=True):
    """`secret` as the receiver knows it; `seed` of an Ed25519 key whose public half he may know instead."""

    secret: str
    seed: bytes

    @property
    def public_key(self) -> str:
        return PUBLIC_PREFIX + _text(bytes(SigningKey(self.seed).verify_key))

    def __repr__(self) -> str:
        return "Signer(...)"


def new_signer(chance: Chance, secret: str | None = None) -> Signer:
    """With a secret that the receiver brought along, or a new one. Raises BadRequest for one that protects nothing."""
    if secret is None:
        secret = SECRET_PREFIX + _text(chance.bytes(SECRET_BYTES))
    if not SECRET.fullmatch(secret):
        raise BadRequest("A secret has 16 to 128 visible ASCII characters.")
    return Signer(secret, chance.bytes(32))


def headers(
    delivery_id: object, event_type: str, body: bytes, at: datetime, signers: Sequence[Signer]
) -> dict[str, str]:
    """Of one attempt at `at`. The present signer comes first, then those that are not retired yet.

    `X-Keysat-Signature` knows one secret: the present one. `-Previous` is there while an older one signs too.
    """
    timestamp = str(int(at.timestamp()))
    signed = b".".join((str(delivery_id).encode(), timestamp.encode(), body))
    given = {
        "Content-Type": "application/json",
        "X-Keysat-Event": event_type,
        "X-Keysat-Delivery": str(delivery_id),
        "webhook-id": str(delivery_id),
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(
            [
                *(f"v1,{_text(_hmac(hmac_key(one.secret), signed))}" for one in signers),
                *(f"v1a,{_text(SigningKey(one.seed).sign(signed).signature)}" for one in signers),
            ]
        ),
    }
    for name, signer in zip(("X-Keysat-Signature", "X-Keysat-Signature-Previous"), signers, strict=False):
        given[name] = f"sha256={_hmac(signer.secret.encode(), body).hex()}"
    return given


def hmac_key(secret: str) -> bytes:
    """As the libraries of Standard Webhooks read a secret: base64 behind the prefix; what is none is its own bytes."""
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        return secret.encode()


def verify(secret: str, given: dict[str, str], body: bytes, now: datetime, tolerance_seconds: int = 300) -> str | None:
    """What a receiver does; names in lower case. None: it is genuine and fresh; else what is wrong."""
    published = f"sha256={_hmac(secret.encode(), body).hex()}"
    if not hmac.compare_digest(published, given.get("x-keysat-signature", "")):
        return "X-Keysat-Signature is another"
    timestamp = given.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(now.timestamp() - int(timestamp)) > tolerance_seconds:
        return "webhook-timestamp is too far from now"
    signed = b".".join((given.get("webhook-id", "").encode(), timestamp.encode(), body))
    ours = f"v1,{_text(_hmac(hmac_key(secret), signed))}"
    signatures = given.get("webhook-signature", "").split(" ")
    return None if any(hmac.compare_digest(ours, one) for one in signatures) else "webhook-signature is another"


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
