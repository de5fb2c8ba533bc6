"""What happens to licenses, their machines and the keys that sign them, in the past tense."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from keysat.infra.events import Happening
from keysat.licenses.tables import OwnField


class Cause(StrEnum):
    """Why a seat was given back."""

    CLIENT_REQUESTED = "client_requested"
    ADMIN_FORCED = "admin_forced"
    IDLE = "idle"
    TIER_CHANGED = "tier_changed"


class LicenseIssued(Happening, frozen=True, tag="license.issued"):
    license_id: UUID
    product_id: UUID
    policy_id: UUID | None
    order_id: UUID | None
    customer_id: UUID | None
    is_trial: bool
    expires_at: datetime | None
    entitlements: Sequence[str]
    source: str


class LicenseSuspended(Happening, frozen=True, tag="license.suspended"):
    license_id: UUID


class LicenseUnsuspended(Happening, frozen=True, tag="license.unsuspended"):
    license_id: UUID


class LicenseRevoked(Happening, frozen=True, tag="license.revoked"):
    license_id: UUID


class LicenseKeyReplaced(Happening, frozen=True, tag="license.key_replaced"):
    license_id: UUID
    keys_valid_from: datetime


class LicenseEdited(Happening, frozen=True, tag="license.edited"):
    """The operator set these fields by hand."""

    license_id: UUID
    fields: list[OwnField]


class LicenseHandedOver(Happening, frozen=True, tag="license.handed_over"):
    """To another customer; null: nobody is known."""

    license_id: UUID
    from_customer_id: UUID | None
    to_customer_id: UUID | None


class MachineActivated(Happening, frozen=True, tag="machine.activated"):
    license_id: UUID
    machine_id: UUID
    fingerprint_hash: str


class MachineDeactivated(Happening, frozen=True, tag="machine.deactivated"):
    license_id: UUID
    machine_id: UUID
    fingerprint_hash: str
    reason: Cause


class LicenseSeatLimitReached(Happening, frozen=True, tag="license.seat_limit_reached"):
    """A machine asked for a seat, and all were taken. Told once an hour at most."""

    license_id: UUID
    product_id: UUID
    max_machines: int


class IssuerKeyAdded(Happening, frozen=True, tag="issuer_key.added"):
    issuer_key_id: UUID
    key_id: str
    status: str
    source: str  # created, restored


class IssuerKeyMoved(Happening, frozen=True, tag="issuer_key.moved"):
    issuer_key_id: UUID
    key_id: str
    status: str


class IssuerLicensesMoved(Happening, frozen=True, tag="issuer_key.licenses_moved"):
    issuer_key_id: UUID
    to_issuer_key_id: UUID
    licenses: int
