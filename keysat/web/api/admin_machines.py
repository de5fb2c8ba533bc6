"""Machines, as the operator sees them and frees their seats."""

from datetime import datetime
from uuid import UUID

from litestar import get, post
from litestar.params import FromPath, FromQuery, JSONBody

from keysat.catalog.read import names_of, product_by_slug
from keysat.customers.accounts import emails
from keysat.kit.paging import LIMIT_DEFAULT
from keysat.licenses.machines import force_release
from keysat.licenses.read import list_machines
from keysat.licenses.tables import LicenseStatus
from keysat.web.api.reasons import WITH_REASON, Why
from keysat.web.filters import Cursor, Limit, Slug
from keysat.web.problems import refusals
from keysat.web.provide import WithRead, WithWork
from keysat.web.wire import Outbound


class Machine(Outbound, frozen=True, kw_only=True):
    """`last_heartbeat_at` is exact to six hours. Of a machine only a hash is kept: `ip_last_seen` is always null."""

    id: UUID
    license_id: UUID
    license_status: LicenseStatus
    product_id: UUID
    product_slug: str
    product_name: str
    buyer_email: str | None
    fingerprint_hash: str
    hostname: str | None
    platform: str | None
    ip_last_seen: None = None
    activated_at: datetime
    last_heartbeat_at: datetime
    deactivated_at: datetime | None
    deactivation_reason: str | None
    active: bool


class Machines(Outbound, frozen=True, kw_only=True):
    machines: list[Machine]
    next_cursor: str | None


class Freed(Outbound, frozen=True, kw_only=True):
    ok: bool = True


@get("/machines", operation_id="listMachines", responses=refusals(404))
async def find_machines(
    read: WithRead,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    license_id: FromQuery[UUID | None] = None,
    product_id: FromQuery[UUID | None] = None,
    product_slug: Slug = None,
    include_inactive: FromQuery[bool] = False,
) -> Machines:
    """Those that have a seat, and with `include_inactive` those that had one; the latest first."""
    named = (await product_by_slug(read, product_slug)).id if product_slug is not None else product_id
    if product_id not in (None, named):
        return Machines(machines=[], next_cursor=None)
    page = await list_machines(
        read, limit, cursor, license_id=license_id, product_id=named, include_inactive=include_inactive
    )
    known = await emails(read, (license.customer_id for _, license in page.items))
    products, _ = await names_of(read, (license.product_id for _, license in page.items), ())
    found = [
        Machine(
            id=row.id,
            license_id=row.license_id,
            license_status=license.status,
            product_id=license.product_id,
            product_slug=products[license.product_id].slug,
            product_name=products[license.product_id].name,
            buyer_email=known.get(license.customer_id),
            fingerprint_hash=row.fingerprint_hash,
            hostname=row.hostname,
            platform=row.platform,
            activated_at=row.activated_at,
            last_heartbeat_at=row.last_seen_at,
            deactivated_at=row.deactivated_at,
            deactivation_reason=row.deactivation_reason,
            active=row.deactivated_at is None,
        )
        for row, license in page.items
    ]
    return Machines(machines=found, next_cursor=page.next_cursor)


@post("/machines/{machine_id:uuid}/deactivate", operation_id="releaseMachine", **WITH_REASON)
async def deactivate_machine(work: WithWork, machine_id: FromPath[UUID], data: JSONBody[Why | None] = None) -> Freed:
    """Frees its seat for another machine; the app on this one is told at its next check. The body may be left out."""
    await force_release(work, machine_id, data and data.reason)
    return Freed()


ROUTES = (find_machines, deactivate_machine)
