"""Licenses that change: their tier, their end as it is paid, and what their operator sets by hand.

Each holds the license's row. The id stays, and so does the key's `issued_at`: the sold key goes on verifying.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import delete, select, update

from keysat.catalog.tables import Policy
from keysat.infra.work import Read, Work
from keysat.kit.errors import BadRequest, Conflict
from keysat.kit.licensekey import check_entitlements
from keysat.licenses.happenings import Cause, LicenseEdited, LicenseHandedOver
from keysat.licenses.issue import Terms
from keysat.licenses.seats import shrink
from keysat.licenses.tables import License, LicenseStatus, OwnField, OwnValue

DAY_SECONDS = 86_400


class OwnValues(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields to set; `max_machines` 0 is unlimited, `expires_at` null is never. Those left out stay the tier's."""

    expires_at: datetime | UnsetType | None = UNSET
    grace_seconds: int | UnsetType = UNSET
    max_machines: int | UnsetType = UNSET
    seats_evict_after_days: int | UnsetType | None = UNSET
    entitlements: list[str] | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Changed:
    license: License
    released: int
    """Machines that have lost their seat."""
    kept: frozenset[OwnField]
    """Fields that the operator had set by hand, and that stay."""


def tier_terms(policy: Policy, *, expires_at: datetime | None, is_subscribed: bool, is_trial: bool = False) -> Terms:
    """The tier's values. Grace is in days with a subscription, and in seconds without (`decisions.md`)."""
    return Terms(
        product_id=policy.product_id,
        policy_id=policy.id,
        expires_at=expires_at,
        grace_seconds=policy.grace_period_days * DAY_SECONDS if is_subscribed else policy.grace_seconds,
        max_machines=policy.max_machines,
        seats_evict_after_days=policy.seats_evict_after_days,
        entitlements=tuple(policy.entitlements),
        is_trial=is_trial or policy.is_trial,
        is_subscribed=is_subscribed,
    )


async def change_tier(work: Work, license_id: UUID, terms: Terms, *, keeps_own_values: bool = True) -> Changed:
    """Give the license another tier's values. What its operator set by hand stays, unless told otherwise.

    The end of a subscribed license is what is paid, whatever was set by hand. Machines beyond the seats are released,
    those seen last stay. Records no `license.tier_changed`: only the caller knows by which change. Raises NotFound,
    BadRequest, and Conflict when the license is revoked.
    """
    license = await _standing(work, license_id)
    if terms.product_id != license.product_id:
        raise BadRequest("A license cannot move to a tier of another product.")
    check_entitlements(terms.entitlements)
    gone = [] if keeps_own_values else list(OwnField)
    if terms.is_subscribed:
        gone.append(OwnField.EXPIRES_AT)
    await work.session.execute(delete(OwnValue).where(OwnValue.license_id == license_id, OwnValue.field.in_(gone)))
    kept = await own_fields(work, license_id)
    for field in kept:
        of_field = OwnValue.license_id == license_id, OwnValue.field == field
        await work.session.execute(update(OwnValue).where(*of_field).values(instead_of=_told(getattr(terms, field))))
    license.policy_id, license.is_trial, license.is_subscribed = terms.policy_id, terms.is_trial, terms.is_subscribed
    for field in set(OwnField) - kept:
        value = getattr(terms, field)
        setattr(license, field, list(value) if field is OwnField.ENTITLEMENTS else value)
    return Changed(license, await shrink(work, license_id, Cause.TIER_CHANGED), kept)


async def set_end(work: Work, license_id: UUID, expires_at: datetime, *, grace_seconds: int | None = None) -> License:
    """A subscribed license holds through what is paid; `grace_seconds` None leaves its grace. Raises NotFound."""
    license = await work.hold(License, license_id)
    license.expires_at = expires_at
    if grace_seconds is not None:
        license.grace_seconds = grace_seconds
    return license


async def set_own(
    work: Work, license_id: UUID, values: OwnValues, reason: str, *, cleared: Collection[OwnField] = ()
) -> License:
    """The operator's own values for this one license. The reason, in the operator's words, stays in the rows.

    `cleared` fields go back to what the license has without them. Raises NotFound; BadRequest; Conflict when it is
    revoked, or when the end of a subscribed license is to be set.
    """
    license = await _standing(work, license_id)
    given = {field: getattr(values, field) for field in OwnField if getattr(values, field) is not UNSET}
    if OwnField.EXPIRES_AT in given and license.is_subscribed:
        raise Conflict(
            "This license ends with what is paid for it. Change its subscription instead: pause, cancel or resume it, "
            "or settle an order for its next period."
        )
    if min((value for value in given.values() if isinstance(value, int)), default=0) < 0:
        raise BadRequest("Seats, days and seconds are not negative.")
    if OwnField.ENTITLEMENTS in given:
        check_entitlements(tuple(given[OwnField.ENTITLEMENTS]))
    said = {"reason": reason, "author": work.actor.credential or work.actor.kind, "set_at": work.now}
    for field, value in given.items():
        first = {"license_id": license_id, "field": field, "instead_of": _told(getattr(license, field)), **said}
        await work.session.execute(
            work.insert(OwnValue).values(first).on_conflict_do_update(index_elements=["license_id", "field"], set_=said)
        )
        setattr(license, field, value)
    gone = delete(OwnValue).where(OwnValue.license_id == license_id, OwnValue.field.in_(cleared))
    back = (await work.session.execute(gone.returning(OwnValue.field, OwnValue.instead_of))).all()
    for field, told in back:
        setattr(license, field, _untold(field, told))
    if given or back:
        await work.session.flush()
        await shrink(work, license_id, Cause.ADMIN_FORCED)
        work.record(LicenseEdited(license_id, sorted({*given, *(field for field, _ in back)})))
    return license


async def set_note(work: Work, license_id: UUID, note: str | None) -> License:
    """The operator's own words about this license, of any status; blank is none. Raises NotFound."""
    license = await work.hold(License, license_id)
    license.note = (note or "").strip() or None
    return license


async def hand_over(work: Work, license_id: UUID, customer_id: UUID | None) -> License:
    """To another buyer, or to nobody who is known. Its orders stay with who placed them. Raises NotFound."""
    license = await work.hold(License, license_id)
    if license.customer_id != customer_id:
        work.record(LicenseHandedOver(license_id, license.customer_id, customer_id))
        license.customer_id = customer_id
    return license


async def own_values(read: Read, license_id: UUID) -> Sequence[OwnValue]:
    """What the operator has set by hand, with who and why."""
    of_license = select(OwnValue).where(OwnValue.license_id == license_id).order_by(OwnValue.field)
    return (await read.session.scalars(of_license)).all()


async def own_fields(work: Work, license_id: UUID) -> frozenset[OwnField]:
    """Which fields the operator has set by hand."""
    return frozenset(await work.session.scalars(select(OwnValue.field).where(OwnValue.license_id == license_id)))


async def _standing(work: Work, license_id: UUID) -> License:
    license = await work.hold(License, license_id)
    if license.status is LicenseStatus.REVOKED:
        raise Conflict("A revoked license does not change any more.")
    return license


def _told(value: datetime | int | Sequence[str] | None) -> Any:
    """As JSON holds it."""
    return value.isoformat() if isinstance(value, datetime) else value


def _untold(field: OwnField, told: Any) -> Any:
    return datetime.fromisoformat(told) if field is OwnField.EXPIRES_AT and told is not None else told
