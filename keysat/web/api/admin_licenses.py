"""Licenses, as their operator gives, finds, rests and ends them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.openapi.spec import Operation, RequestBody
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import Meta

from keysat.checkout import operate, subscribed
from keysat.customers.accounts import emails
from keysat.infra.work import Read
from keysat.kit.errors import Unavailable
from keysat.kit.paging import LIMIT_DEFAULT, LIMIT_MAX
from keysat.licenses import issue
from keysat.licenses.read import LicenseFilter, list_licenses
from keysat.licenses.tables import License as LicenseRow
from keysat.licenses.tables import LicenseStatus
from keysat.operators.scopes import Scope
from keysat.web.auth import needs
from keysat.web.filters import only
from keysat.web.idempotency import CREATES
from keysat.web.problems import refusals
from keysat.web.provide import WithRead, WithShop, WithWork
from keysat.web.wire import Line, Outbound, Paragraph, StrictInbound

Limit = Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)]
WORDLESS = "by the operator"
LIST = refusals(400, 401, 403)
ONE = refusals(400, 401, 403, 404)
ACT = refusals(400, 401, 403, 404, 409)
MAKE = refusals(400, 401, 403, 404, 409, 422, 503)


class Given(StrictInbound, frozen=True, kw_only=True):
    """A product that has tiers is given by one of them; private and archived ones may be given too."""

    product_slug: Annotated[Line, Meta(examples=["aurora"])]
    policy_slug: Annotated[Line, Meta(examples=["pro"])] | None = None
    buyer_email: Annotated[Line, Meta(examples=["ann@example.org"])] | None = None
    note: Annotated[Paragraph, Meta(examples=["For the review in the magazine."])] | None = None


class Why(StrictInbound, frozen=True, kw_only=True):
    reason: Annotated[str, Meta(max_length=500, pattern="^[^\\u0000]*$", examples=["Refunded."])] | None = None


@dataclass
class Bodiless(Operation):
    """In the OpenAPI document: the body may be left out, which a default alone does not tell."""

    def __post_init__(self) -> None:
        if isinstance(self.request_body, RequestBody):
            self.request_body.required = False


class Issued(Outbound, frozen=True, kw_only=True):
    license_id: UUID
    product_id: UUID
    policy_id: UUID | None
    order_id: UUID
    license_key: str
    issued_at: datetime
    expires_at: datetime | None
    entitlements: list[str]
    is_trial: bool
    max_machines: int


class License(Outbound, frozen=True, kw_only=True):
    """`max_machines` 0 is unlimited. Expiry is no status: `expires_at` tells, and `grace_seconds` follow it."""

    id: UUID
    product_id: UUID
    policy_id: UUID | None
    order_id: UUID | None
    customer_id: UUID | None
    buyer_email: str | None = None
    status: LicenseStatus
    issued_at: datetime
    expires_at: datetime | None
    grace_seconds: int
    is_subscribed: bool
    is_trial: bool
    max_machines: int
    seats_taken: int
    entitlements: list[str]
    suspended_at: datetime | None
    suspension_reason: str | None
    revoked_at: datetime | None
    revocation_reason: str | None


class Licenses(Outbound, frozen=True, kw_only=True):
    licenses: list[License]
    next_cursor: str | None


class Key(Outbound, frozen=True, kw_only=True):
    license_id: UUID
    license_key: str


JUDGES: dict[str, Any] = {"status_code": 200, "operation_class": Bodiless, "responses": ACT}


@post("/licenses", operation_id="issueLicense", status_code=200, opt=CREATES, responses=MAKE)
async def issue_license(work: WithWork, shop: WithShop, data: JSONBody[Given]) -> Issued:
    """Give a license away. It goes the road of a sale, as an order of price 0."""
    gift = await operate.gift(work, data.product_slug, data.policy_slug, data.buyer_email, data.note)
    order = await operate.give(work, gift)
    if order.license_id is None:
        raise Unavailable(f"The license could not be made: {order.failure}.")
    made = await work.get(LicenseRow, order.license_id)
    return Issued(
        license_id=made.id,
        product_id=made.product_id,
        policy_id=made.policy_id,
        order_id=order.id,
        license_key=await issue.key_text(work, made, shop.ring),
        issued_at=made.issued_at,
        expires_at=made.expires_at,
        entitlements=list(made.entitlements),
        is_trial=made.is_trial,
        max_machines=made.max_machines,
    )


@get(
    "/licenses",
    operation_id="listLicenses",
    guards=[only("limit", "cursor", "status", "product_id", "policy_id", "customer_id", "is_trial")],
    responses=LIST,
)
async def find_licenses(
    read: WithRead,
    limit: Limit = LIMIT_DEFAULT,
    cursor: FromQuery[str | None] = None,
    status: FromQuery[LicenseStatus | None] = None,
    product_id: FromQuery[UUID | None] = None,
    policy_id: FromQuery[UUID | None] = None,
    customer_id: FromQuery[UUID | None] = None,
    is_trial: FromQuery[bool | None] = None,
) -> Licenses:
    """The latest sale first. Of several filters all must hold."""
    wanted = LicenseFilter(status, product_id, policy_id, customer_id, is_trial)
    page = await list_licenses(read, wanted, limit, cursor)
    known = await emails(read, (row.customer_id for row in page.items))
    found = [_license(row, known.get(row.customer_id)) for row in page.items]
    return Licenses(licenses=found, next_cursor=page.next_cursor)


@get("/licenses/{license_id:uuid}", operation_id="getLicense", responses=ONE)
async def get_license(read: WithRead, license_id: FromPath[UUID]) -> License:
    """One license as it stands."""
    return await _joined(read, await read.get(LicenseRow, license_id))


@get(
    "/licenses/{license_id:uuid}/key",
    operation_id="showLicenseKey",
    opt=needs(Scope.LICENSES_WRITE),
    responses=ONE,
)
async def show_key(read: WithRead, shop: WithShop, license_id: FromPath[UUID]) -> Key:
    """Its key, signed as it stands: for a buyer who lost it. Of any status; validate tells what it counts."""
    row = await read.get(LicenseRow, license_id)
    return Key(license_id=row.id, license_key=await issue.key_text(read, row, shop.ring))


@post("/licenses/{license_id:uuid}/revoke", operation_id="revokeLicense", **JUDGES)
async def revoke_license(work: WithWork, license_id: FromPath[UUID], data: JSONBody[Why | None] = None) -> License:
    """End it for ever. The body may be left out."""
    return await _joined(work, await subscribed.revoke(work, license_id, _reason(data)))


@post("/licenses/{license_id:uuid}/suspend", operation_id="suspendLicense", **JUDGES)
async def suspend_license(work: WithWork, license_id: FromPath[UUID], data: JSONBody[Why | None] = None) -> License:
    """Let it rest until it is unsuspended. The body may be left out."""
    return await _joined(work, await issue.suspend(work, license_id, _reason(data)))


@post("/licenses/{license_id:uuid}/unsuspend", operation_id="unsuspendLicense", status_code=200, responses=ACT)
async def unsuspend_license(work: WithWork, license_id: FromPath[UUID]) -> License:
    """Let a suspended license count again."""
    return await _joined(work, await issue.unsuspend(work, license_id))


@post(
    "/licenses/{license_id:uuid}/replace-key",
    operation_id="replaceLicenseKey",
    status_code=200,
    opt=CREATES,
    responses=refusals(400, 401, 403, 404, 409, 422),
)
async def replace_key(work: WithWork, shop: WithShop, license_id: FromPath[UUID]) -> Key:
    """A new key for one that leaked: all older ones answer `revoked` from now on. Id, seats and history stay."""
    row = await issue.replace_key(work, license_id)
    return Key(license_id=row.id, license_key=await issue.key_text(work, row, shop.ring))


async def _joined(read: Read, row: LicenseRow) -> License:
    return _license(row, (await emails(read, [row.customer_id])).get(row.customer_id))


def _license(row: LicenseRow, email: str | None) -> License:
    return msgspec.structs.replace(msgspec.convert(row, License, from_attributes=True), buyer_email=email)


def _reason(data: Why | None) -> str:
    return (data.reason or "").strip() or WORDLESS if data is not None else WORDLESS


ROUTES = (
    issue_license,
    find_licenses,
    get_license,
    show_key,
    revoke_license,
    suspend_license,
    unsuspend_license,
    replace_key,
)
