"""Looking licenses up."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import and_, or_, select

from keysat.infra.filtered import filtered
from keysat.infra.work import Read
from keysat.kit.paging import Page, cursor_parts, page_of
from keysat.licenses.tables import License, LicenseStatus, Machine


class LicenseFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is None does not filter."""

    status: LicenseStatus | None = None
    product_id: UUID | None = None
    policy_id: UUID | None = None
    customer_id: UUID | None = None
    is_trial: bool | None = None


async def list_licenses(read: Read, wanted: LicenseFilter, limit: int, cursor: str | None = None) -> Page[License]:
    """The latest sale first. Raises BadRequest for a cursor that is not ours."""
    query = select(License).order_by(License.issued_at.desc(), License.id.desc()).limit(limit + 1)
    query = filtered(query, License, wanted)
    if cursor is not None:
        at, after = cursor_parts(cursor, datetime, UUID)
        query = query.where(or_(License.issued_at < at, and_(License.issued_at == at, License.id < after)))
    rows = (await read.session.scalars(query)).all()
    return page_of(rows, limit, lambda row: (row.issued_at.isoformat(), str(row.id)))


async def machines_of(read: Read, license_id: UUID, *, most: int = 200) -> Sequence[Machine]:
    """The seats taken now, the machine seen last first."""
    active = Machine.license_id == license_id, Machine.deactivated_at.is_(None)
    return (
        await read.session.scalars(select(Machine).where(*active).order_by(Machine.last_seen_at.desc()).limit(most))
    ).all()
