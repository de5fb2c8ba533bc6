"""Whether a presented key is good: the decision of `POST /v1/validate`, in the order of the contract's 3.11. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from keysat.kit.licensekey import Payload
from keysat.licenses.facts import Facts
from keysat.licenses.standing import grace_end, standing
from keysat.licenses.tables import LicenseStatus


class Reason(StrEnum):
    """Why not. All that validate and the machine endpoints may answer."""

    BAD_FORMAT = "bad_format"
    BAD_SIGNATURE = "bad_signature"
    NOT_FOUND = "not_found"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    INVALID_STATE = "invalid_state"  # the contract's word for a status that is none of our three: never said
    PRODUCT_MISMATCH = "product_mismatch"
    EXPIRED = "expired"
    FINGERPRINT_MISMATCH = "fingerprint_mismatch"
    TOO_MANY_MACHINES = "too_many_machines"
    NOT_ACTIVATED = "not_activated"
    RATE_LIMITED = "rate_limited"  # said by the door


@dataclass(frozen=True, slots=True)
class Signer:
    """The issuer key that the presented key's signature holds for."""

    id: UUID
    is_compromised: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    reason: Reason | None
    """None: good, as far as no machine is concerned."""
    grace_until: datetime | None = None
    """Set within the grace."""


GOOD = Verdict(None)


def verdict(
    facts: Facts,
    payload: Payload,
    signer: Signer,
    at: datetime,
    *,
    product_slug: str | None = None,
    fingerprint_hash: bytes | None = None,
) -> Verdict:
    """Seats are not decided here: that needs the machine's row, and comes after all of this."""
    refusal = (
        _signer_refusal(facts, signer)
        or _status_refusal(facts, payload)
        or _product_refusal(facts, payload, product_slug)
    )
    if refusal is not None:
        return Verdict(refusal)
    until = standing(facts, (), None, at).until
    over = grace_end(facts)
    if over is not None and at >= over:
        return Verdict(Reason.EXPIRED)
    if fingerprint_hash is not None and payload.is_bound and payload.fingerprint_hash != fingerprint_hash:
        return Verdict(Reason.FINGERPRINT_MISMATCH)  # before a seat is bound to the wrong machine (W-55)
    return Verdict(None, over) if until is not None and at >= until else GOOD


def _signer_refusal(facts: Facts, signer: Signer) -> Reason | None:
    """What a compromised key signed counts only until the license has been signed again by another."""
    if signer.is_compromised and signer.id != facts.issuer_key_id:
        return Reason.BAD_SIGNATURE
    return None


def _status_refusal(facts: Facts, payload: Payload) -> Reason | None:
    if facts.status is LicenseStatus.REVOKED or _is_replaced(facts, payload):
        return Reason.REVOKED
    if facts.status is LicenseStatus.SUSPENDED:
        return Reason.SUSPENDED
    return None


def _is_replaced(facts: Facts, payload: Payload) -> bool:
    return facts.keys_valid_from is not None and payload.issued_at < facts.keys_valid_from.timestamp()


def _product_refusal(facts: Facts, payload: Payload, product_slug: str | None) -> Reason | None:
    """The product in the key must be the license's own, and the one that the app asks for."""
    if payload.product_id != facts.product_id or product_slug not in (None, facts.product_slug):
        return Reason.PRODUCT_MISMATCH
    return None
