"""What the hot path knows of a license and of a machine: one point read for both, no session."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import and_, bindparam, select

from keysat.catalog.tables import Product
from keysat.infra.store import Store
from keysat.licenses.tables import License, LicenseStatus, Machine


class Facts(msgspec.Struct, frozen=True):
    """What is known of a license."""

    license_id: UUID
    product_id: UUID
    product_slug: str
    policy_id: UUID | None
    issuer_key_id: UUID
    status: LicenseStatus
    issued_at: datetime
    keys_valid_from: datetime | None
    expires_at: datetime | None
    grace_seconds: int
    max_machines: int
    seats_taken: int
    seats_evict_after_days: int | None
    entitlements: list[str]
    is_trial: bool

    @property
    def is_full(self) -> bool:
        return 0 < self.max_machines <= self.seats_taken


class Seen(msgspec.Struct, frozen=True):
    """A machine that has a seat; `last_seen_at` is the coarse one."""

    machine_id: UUID
    last_seen_at: datetime


_columns = (
    Machine.id,
    Machine.last_seen_at,
    License.id,
    License.product_id,
    Product.slug,
    License.policy_id,
    License.issuer_key_id,
    License.status,
    License.issued_at,
    License.keys_valid_from,
    License.expires_at,
    License.grace_seconds,
    License.max_machines,
    License.seats_taken,
    License.seats_evict_after_days,
    License.entitlements,
    License.is_trial,
)
_its_machine = and_(
    Machine.license_id == License.id,
    Machine.fingerprint_hash == bindparam("hash", type_=Machine.fingerprint_hash.type),
    Machine.deactivated_at.is_(None),
)
_license_with_machine = (
    select(*_columns)
    .select_from(License)
    .join(Product, Product.id == License.product_id)
    .outerjoin(Machine, _its_machine)
    .where(License.id == bindparam("license", type_=License.id.type))
)


async def known_of(store: Store, license_id: UUID, fingerprint_hash: bytes | None) -> tuple[Facts, Seen | None] | None:
    """The license and its machine with that fingerprint, as they stood at one moment."""
    hashed = fingerprint_hash.hex() if fingerprint_hash is not None else None
    row = await store.point(_license_with_machine, hashed, license_id)
    if row is None:
        return None
    machine_id, last_seen_at, *license = row
    return Facts(*license), Seen(machine_id, last_seen_at) if machine_id is not None else None


def facts_of_row(row: License, product_slug: str) -> Facts:
    return Facts(
        license_id=row.id,
        product_id=row.product_id,
        product_slug=product_slug,
        policy_id=row.policy_id,
        issuer_key_id=row.issuer_key_id,
        status=row.status,
        issued_at=row.issued_at,
        keys_valid_from=row.keys_valid_from,
        expires_at=row.expires_at,
        grace_seconds=row.grace_seconds,
        max_machines=row.max_machines,
        seats_taken=row.seats_taken,
        seats_evict_after_days=row.seats_evict_after_days,
        entitlements=row.entitlements,
        is_trial=row.is_trial,
    )
