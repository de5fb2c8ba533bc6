"""The order of the refusals, as one table: whatever else is wrong, the earlier reason is told."""

from datetime import timedelta
from itertools import combinations
from typing import Any
from uuid import UUID

import pytest

from keysat.kit.licensekey import Payload
from keysat.licenses.facts import Facts
from keysat.licenses.tables import LicenseStatus
from keysat.licenses.verdict import Reason, Signer, Verdict, verdict
from tests.conftest import NOON
from tests.licenses.test_standing import facts

pytestmark = pytest.mark.once

HASH = bytes(31) + b"\1"
ISSUER = Signer(UUID(int=10), is_compromised=False)
Case = tuple[Facts, Payload, Signer, dict[str, Any]]


def payload(**fields: Any) -> Payload:
    values: dict[str, Any] = {
        "version": 2,
        "flags": 0,
        "product_id": UUID(int=9),
        "license_id": UUID(int=8),
        "issued_at": int(NOON.timestamp()),
        "expires_at": 0,
        "fingerprint_hash": bytes(32),
        "entitlements": (),
    }
    return Payload(**{**values, **fields})


FAULTS: list[tuple[str, dict[str, Any], Reason]] = [
    ("signer", {"signer": Signer(UUID(int=11), is_compromised=True)}, Reason.BAD_SIGNATURE),
    ("status", {"facts": {"status": LicenseStatus.REVOKED}}, Reason.REVOKED),
    ("replaced", {"facts": {"keys_valid_from": NOON + timedelta(seconds=1)}}, Reason.REVOKED),
    ("suspended", {"facts": {"status": LicenseStatus.SUSPENDED}}, Reason.SUSPENDED),
    ("product", {"payload": {"product_id": UUID(int=1)}}, Reason.PRODUCT_MISMATCH),
    ("slug", {"asked": {"product_slug": "other"}}, Reason.PRODUCT_MISMATCH),
    ("expiry", {"facts": {"expires_at": NOON, "grace_seconds": 0}}, Reason.EXPIRED),
    ("bound", {"payload": {"flags": 1}, "asked": {"fingerprint_hash": HASH}}, Reason.FINGERPRINT_MISMATCH),
]


def judged(*faults: dict[str, Any]) -> Verdict:
    merged: dict[str, dict[str, Any]] = {"facts": {}, "payload": {}, "asked": {}}
    signer = ISSUER
    for fault in faults:
        signer = fault.get("signer", signer)
        for part, values in merged.items():
            values.update({name: value for name, value in fault.get(part, {}).items() if name not in values})
    return verdict(facts(**merged["facts"]), payload(**merged["payload"]), signer, NOON, **merged["asked"])


@pytest.mark.parametrize(("name", "fault", "reason"), FAULTS, ids=[name for name, _, _ in FAULTS])
def test_each_fault_has_its_reason(name: str, fault: dict[str, Any], reason: Reason) -> None:
    assert judged(fault).reason is reason


def test_of_two_faults_the_earlier_is_told() -> None:
    for (_, first, reason), (_, second, _) in combinations(FAULTS, 2):
        assert judged(first, second).reason is reason


def test_nothing_wrong_is_good() -> None:
    assert judged() == Verdict(None)
    assert judged({"asked": {"product_slug": "app", "fingerprint_hash": HASH}}) == Verdict(None)


def test_a_key_of_exactly_the_moment_of_replacement_is_good() -> None:
    assert judged({"facts": {"keys_valid_from": NOON}}) == Verdict(None)


def test_a_bound_key_is_good_on_its_machine_and_without_a_fingerprint() -> None:
    bound = {"payload": {"flags": 1, "fingerprint_hash": HASH}}
    assert judged(bound, {"asked": {"fingerprint_hash": HASH}}) == Verdict(None)
    assert judged(bound) == Verdict(None)


def test_a_compromised_issuer_counts_for_licenses_that_are_still_its_own() -> None:
    assert judged({"signer": Signer(ISSUER.id, is_compromised=True)}) == Verdict(None)


def test_equality_counts_as_expired_and_grace_begins_with_the_end() -> None:
    over = NOON + timedelta(seconds=60)
    row = facts(expires_at=NOON, grace_seconds=60)
    assert verdict(row, payload(), ISSUER, NOON - timedelta(microseconds=1)) == Verdict(None)
    assert verdict(row, payload(), ISSUER, NOON) == Verdict(None, over)
    assert verdict(row, payload(), ISSUER, over - timedelta(microseconds=1)) == Verdict(None, over)
    assert verdict(row, payload(), ISSUER, over).reason is Reason.EXPIRED
