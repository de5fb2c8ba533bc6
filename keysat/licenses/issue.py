"""Licenses: issued, suspended, revoked, their keys shown and replaced."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import update

from keysat.infra.work import Read, Work
from keysat.kit.errors import Conflict, Unavailable
from keysat.kit.licensekey import TRIAL, UNBOUND_HASH, VERSION, Payload, assemble, check_entitlements, encode
from keysat.licenses.happenings import (
    LicenseIssued,
    LicenseKeyReplaced,
    LicenseRevoked,
    LicenseSuspended,
    LicenseUnsuspended,
)
from keysat.licenses.issuers import signing_key
from keysat.licenses.ring import Ring
from keysat.licenses.standing import signed_expiry
from keysat.licenses.tables import LICENSE, License, LicenseStatus, LicenseStep


@dataclass(frozen=True, slots=True)
class Terms:
    """What is sold: the tier's values at this moment, which later changes of the tier leave alone."""

    product_id: UUID
    policy_id: UUID | None
    expires_at: datetime | None = None
    grace_seconds: int = 0
    max_machines: int = 1
    """0: unlimited."""
    seats_evict_after_days: int | None = None
    """None: a machine too many is refused."""
    entitlements: tuple[str, ...] = ()
    is_trial: bool = False
    is_subscribed: bool = False
    """Paid by the period: the key's expiry then includes the grace."""


async def issue(work: Work, terms: Terms, *, order_id: UUID | None, customer_id: UUID | None, source: str) -> License:
    """A new license under the signing issuer key. Raises Unavailable when there is none.

    `source` is a code that tells how it was come by, such as `purchase` or `manual`.
    """
    issuer = await signing_key(work)
    if issuer is None:
        raise Unavailable("This shop has no issuer key yet.")
    check_entitlements(terms.entitlements)
    license = License(
        id=work.secret_id(),
        product_id=terms.product_id,
        policy_id=terms.policy_id,
        order_id=order_id,
        customer_id=customer_id,
        issuer_key_id=issuer.id,
        status=LicenseStatus.ACTIVE,
        issued_at=work.now,
        key_issued_at=_whole(work.now),
        expires_at=terms.expires_at,
        grace_seconds=terms.grace_seconds,
        is_subscribed=terms.is_subscribed,
        max_machines=terms.max_machines,
        seats_taken=0,
        seats_evict_after_days=terms.seats_evict_after_days,
        entitlements=list(terms.entitlements),
        is_trial=terms.is_trial,
        created_at=work.now,
    )
    work.session.add(license)
    await work.session.flush()
    work.record(
        LicenseIssued(
            license_id=license.id,
            product_id=terms.product_id,
            policy_id=terms.policy_id,
            order_id=order_id,
            customer_id=customer_id,
            is_trial=terms.is_trial,
            expires_at=terms.expires_at,
            entitlements=terms.entitlements,
            source=source,
        )
    )
    return license


async def key_text(read: Read, license: License, ring: Ring) -> str:
    """The key of the license as it stands, signed by the issuer key that it was first signed with.

    Keys are not stored: while the row is unchanged, the text is the same to the byte.
    """
    payload = encode(
        Payload(
            version=VERSION,
            flags=TRIAL if license.is_trial else 0,
            product_id=license.product_id,
            license_id=license.id,
            issued_at=int(license.key_issued_at.timestamp()),
            expires_at=signed_expiry(license),
            fingerprint_hash=UNBOUND_HASH,
            entitlements=tuple(license.entitlements),
        )
    )
    return assemble(payload, await ring.sign(read, license.issuer_key_id, payload))


async def suspend(work: Work, license_id: UUID, reason: str) -> License:
    """Until `unsuspend`. The reason, in the operator's words, stays in the row. Raises NotFound, IllegalStep."""
    license = await work.get(License, license_id)
    values = {"suspended_at": work.now, "suspension_reason": reason}
    await work.advance(LICENSE, license, LicenseStep.SUSPEND, **values)
    work.record(LicenseSuspended(license.id))
    return license


async def unsuspend(work: Work, license_id: UUID) -> License:
    """Raises NotFound, IllegalStep."""
    license = await work.get(License, license_id)
    await work.advance(LICENSE, license, LicenseStep.UNSUSPEND, suspended_at=None, suspension_reason=None)
    work.record(LicenseUnsuspended(license.id))
    return license


async def revoke(work: Work, license_id: UUID, reason: str) -> License:
    """For ever. The reason, in the operator's words, stays in the row. Raises NotFound, IllegalStep."""
    license = await work.get(License, license_id)
    values = {"revoked_at": work.now, "revocation_reason": reason}
    await work.advance(LICENSE, license, LicenseStep.REVOKE, **values)
    work.record(LicenseRevoked(license.id))
    return license


async def replace_key(work: Work, license_id: UUID) -> License:
    """For a key that leaked: online, all older keys of this license answer `revoked`; id, seats and history stay.

    Raises NotFound; Conflict when the license is revoked.
    """
    license = await work.hold(License, license_id)
    if license.status is LicenseStatus.REVOKED:
        raise Conflict("A revoked license gets no new key.")
    later = max(_whole(work.now), license.key_issued_at + timedelta(seconds=1))
    await work.session.execute(
        update(License).where(License.id == license_id).values(key_issued_at=later, keys_valid_from=later)
    )
    work.record(LicenseKeyReplaced(license.id, later))
    return license


def _whole(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)
