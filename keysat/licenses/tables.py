"""What the buyer holds: the license, its seats, and the issuer keys that sign."""

from datetime import datetime
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, LargeBinary, String, Text
from sqlalchemy import Uuid as UuidType
from sqlalchemy.orm import Mapped, mapped_column

from keysat.infra.tables import Base, where

LicenseId = NewType("LicenseId", UUID)
MachineId = NewType("MachineId", UUID)
IssuerKeyId = NewType("IssuerKeyId", UUID)


class LicenseStatus(StrEnum):
    """What a person decided. Expiry is no status: it is computed."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class LicenseStep(StrEnum):
    SUSPEND = "suspend"
    UNSUSPEND = "unsuspend"
    REVOKE = "revoke"


LICENSE = {
    (LicenseStatus.ACTIVE, LicenseStep.SUSPEND): LicenseStatus.SUSPENDED,
    (LicenseStatus.SUSPENDED, LicenseStep.UNSUSPEND): LicenseStatus.ACTIVE,
    (LicenseStatus.ACTIVE, LicenseStep.REVOKE): LicenseStatus.REVOKED,
    (LicenseStatus.SUSPENDED, LicenseStep.REVOKE): LicenseStatus.REVOKED,  # which is the end
}


class IssuerStatus(StrEnum):
    ANNOUNCED = "announced"  # published, not signing yet
    SIGNING = "signing"  # new licenses; there is one
    VERIFYING = "verifying"  # goes on signing its own licenses, takes no new ones
    COMPROMISED = "compromised"  # its secret may be known to others


class IssuerStep(StrEnum):
    PROMOTE = "promote"
    RETIRE = "retire"
    COMPROMISE = "compromise"


ISSUER = {
    (IssuerStatus.ANNOUNCED, IssuerStep.PROMOTE): IssuerStatus.SIGNING,
    (IssuerStatus.VERIFYING, IssuerStep.PROMOTE): IssuerStatus.SIGNING,  # a restored key of an older shop
    (IssuerStatus.SIGNING, IssuerStep.RETIRE): IssuerStatus.VERIFYING,
    (IssuerStatus.ANNOUNCED, IssuerStep.COMPROMISE): IssuerStatus.COMPROMISED,
    (IssuerStatus.VERIFYING, IssuerStep.COMPROMISE): IssuerStatus.COMPROMISED,
}


ENDED = "status <> 'active'"
ON_TRIAL = "is_trial"
"""Two partial indices. A query has to say it in these words, for SQLite to walk along one."""


class IssuerKey(Base):
    """An Ed25519 key. `key_id` is public: the first 16 hex digits of SHA-256 of the raw public key."""

    __tablename__ = "issuer_keys"

    id: Mapped[IssuerKeyId] = mapped_column(UuidType(), primary_key=True)
    key_id: Mapped[str] = mapped_column(String(16), unique=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    sealed_seed: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[IssuerStatus]
    created_at: Mapped[datetime]
    signing_from: Mapped[datetime | None]
    verifying_from: Mapped[datetime | None]
    compromised_at: Mapped[datetime | None]

    __table_args__ = (Index("ux_issuer_keys_signing", "status", unique=True, **where("status = 'signing'")),)


class License(Base):
    """`issued_at` is the sale; `key_issued_at`, in whole seconds, is what the key says and moves when it is replaced.

    A presented key that is older than `keys_valid_from` answers `revoked`. `max_machines` 0 is unlimited;
    `seats_taken` counts the active machines; `seats_evict_after_days` null refuses a machine too many.
    """

    __tablename__ = "licenses"

    id: Mapped[LicenseId] = mapped_column(UuidType(), primary_key=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.id"))
    policy_id: Mapped[UUID | None] = mapped_column(ForeignKey("policies.id"))
    order_id: Mapped[UUID | None] = mapped_column(ForeignKey("orders.id"), unique=True)
    customer_id: Mapped[UUID | None] = mapped_column(ForeignKey("customers.id"))
    issuer_key_id: Mapped[UUID] = mapped_column(ForeignKey("issuer_keys.id"))
    status: Mapped[LicenseStatus]
    issued_at: Mapped[datetime]
    key_issued_at: Mapped[datetime]
    keys_valid_from: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    grace_seconds: Mapped[int]
    is_subscribed: Mapped[bool]
    max_machines: Mapped[int]
    seats_taken: Mapped[int]
    seats_evict_after_days: Mapped[int | None]
    entitlements: Mapped[list[str]] = mapped_column(JSON)
    is_trial: Mapped[bool]
    suspended_at: Mapped[datetime | None]
    suspension_reason: Mapped[str | None] = mapped_column(Text)
    revoked_at: Mapped[datetime | None]
    revocation_reason: Mapped[str | None] = mapped_column(Text)
    note: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("seats_taken >= 0", name="seats_taken"),
        CheckConstraint("max_machines >= 0", name="max_machines"),
        CheckConstraint("grace_seconds >= 0", name="grace_seconds"),
        # What the operator's list walks along, and a search looks into (`read.py`).
        # The last three cost nothing when a license is sold for good.
        Index("ix_licenses_customer", "customer_id", "id", "status", "product_id", "policy_id", "is_trial"),
        Index("ix_licenses_issued", "issued_at", "id"),
        Index("ix_licenses_product", "product_id", "issued_at", "id"),
        Index("ix_licenses_policy", "policy_id", "issued_at", "id"),
        Index(
            "ix_licenses_ended",
            *("status", "issued_at", "id", "product_id", "policy_id", "is_trial", "customer_id"),
            **where(ENDED),
        ),
        Index("ix_licenses_trials", "issued_at", "id", "product_id", "policy_id", "status", **where(ON_TRIAL)),
        Index("ix_licenses_expires", "expires_at", "id", **where("expires_at IS NOT NULL")),
    )


class Machine(Base):
    """A seat, taken from `activated_at` to `deactivated_at`. Of the machine only a hash of its fingerprint is kept.

    `last_seen_at` is coarse, to six hours; the exact time is telemetry.
    """

    __tablename__ = "machines"

    id: Mapped[MachineId] = mapped_column(UuidType(), primary_key=True)
    license_id: Mapped[UUID] = mapped_column(ForeignKey("licenses.id"))
    fingerprint_hash: Mapped[str] = mapped_column(String(64))
    hostname: Mapped[str | None] = mapped_column(String(255))
    platform: Mapped[str | None] = mapped_column(String(255))
    activated_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    deactivated_at: Mapped[datetime | None]
    deactivation_reason: Mapped[str | None] = mapped_column(String(255))

    __table_args__ = (
        Index("ux_machines_active", "license_id", "fingerprint_hash", unique=True, **where("deactivated_at IS NULL")),
        Index("ix_machines_license", "license_id", "activated_at"),
    )


class OwnField(StrEnum):
    """What an operator may set on one license, apart from its tier."""

    EXPIRES_AT = "expires_at"
    GRACE_SECONDS = "grace_seconds"
    MAX_MACHINES = "max_machines"
    SEATS_EVICT_AFTER_DAYS = "seats_evict_after_days"
    ENTITLEMENTS = "entitlements"


class OwnValue(Base):
    """A field of a license that its operator has set by hand, and why: a change of tier leaves it alone.

    `instead_of` is what the license has without it; a moment stands there as RFC 3339.
    """

    __tablename__ = "license_own_values"

    license_id: Mapped[LicenseId] = mapped_column(UuidType(), ForeignKey("licenses.id"), primary_key=True)
    field: Mapped[OwnField] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(Text)
    author: Mapped[str | None] = mapped_column(String(255))  # which key, account or session, by its id
    instead_of: Mapped[Any] = mapped_column(JSON, nullable=True)
    set_at: Mapped[datetime]


class SeatRefusal(Base):
    """When it was told last that all seats of a license are taken."""

    __tablename__ = "seat_refusals"

    license_id: Mapped[LicenseId] = mapped_column(ForeignKey("licenses.id", ondelete="CASCADE"), primary_key=True)
    told_at: Mapped[datetime]
