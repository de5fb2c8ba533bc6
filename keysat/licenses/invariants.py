"""What must hold of every license, whatever happened before."""

from datetime import datetime

from sqlalchemy import ColumnElement, func, or_, select

from keysat.infra.work import Read
from keysat.licenses.tables import IssuerKey, IssuerStatus, License, LicenseStatus, Machine

MOST = 100

_active_machines = (
    select(func.count())
    .where(Machine.license_id == License.id, Machine.deactivated_at.is_(None))
    .correlate(License)
    .scalar_subquery()
)

_rules: tuple[tuple[str, ColumnElement[bool]], ...] = (
    ("more seats are taken than it has", (License.max_machines > 0) & (License.seats_taken > License.max_machines)),
    ("its count of seats is not that of its machines", License.seats_taken != _active_machines),
    (
        "its status does not fit the time of its revocation",
        (License.status == LicenseStatus.REVOKED) != License.revoked_at.is_not(None),
    ),
    (
        "its status does not fit the time of its suspension",
        or_(
            (License.status == LicenseStatus.SUSPENDED) & License.suspended_at.is_(None),
            (License.status == LicenseStatus.ACTIVE) & License.suspended_at.is_not(None),
        ),
    ),
    ("its present key is older than its keys may be", License.key_issued_at < License.keys_valid_from),
)


async def broken(read: Read, _now: datetime) -> list[str]:
    """A line for each violation, at most 100 of a kind."""
    lines: list[str] = []
    for words, violated in _rules:
        ids = await read.session.scalars(select(License.id).where(violated).order_by(License.id).limit(MOST))
        lines += [f"license {license_id}: {words}" for license_id in ids]
    licenses = await read.session.scalar(select(func.count()).select_from(License))
    signing = await read.session.scalar(select(func.count()).where(IssuerKey.status == IssuerStatus.SIGNING))
    if licenses and signing != 1:
        lines.append(f"{signing} issuer keys sign new licenses instead of one")
    return lines
