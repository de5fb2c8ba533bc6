"""Licenses, as their operator finds, edits, rests and ends them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, patch, post
from litestar.openapi.spec import Example
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from keysat.catalog.read import policies, product_by_slug
from keysat.catalog.tiers import tier_named
from keysat.checkout import subscribed
from keysat.checkout.hand_over import hand_over
from keysat.checkout.history import orders_of_license
from keysat.checkout.read import find_order
from keysat.customers.accounts import normal_email
from keysat.infra.timeline import Told, timeline
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest, NotFound
from keysat.kit.paging import LIMIT_DEFAULT, Page
from keysat.licenses import issue
from keysat.licenses.change import OwnValues, set_note, set_own
from keysat.licenses.read import LicenseFilter, licenses_named, list_licenses, search_licenses
from keysat.licenses.tables import License as LicenseRow
from keysat.licenses.tables import LicenseStatus, OwnField
from keysat.operators.scopes import Scope
from keysat.subscriptions.read import subscription_of
from keysat.web.api.license_shapes import License, LicenseDetail, detail, joined
from keysat.web.api.reasons import WITH_REASON, Reason, Why, reason_of
from keysat.web.auth import needs
from keysat.web.etag import TAGGED, edits
from keysat.web.filters import Address, Cursor, Limit, Moment, Slug, of_buyer
from keysat.web.idempotency import CREATES
from keysat.web.problems import refusals
from keysat.web.provide import WithRead, WithShop, WithWork
from keysat.web.wire import NO_NUL, Count, Instant, Line, Outbound, Paragraph, StrictInbound

NEVER = "never"
Words = Annotated[
    str | None,
    QueryParameter(
        min_length=1,
        max_length=254,
        pattern=NO_NUL,
        description="The beginning of an e-mail address or a name; of a license's id, from eight digits on; "
        "a support reference or an invoice id, whole.",
        examples=[Example(value="ann@")],
    ),
]
End = Annotated[
    str,
    Meta(
        max_length=64,
        pattern=NO_NUL,
        description="A moment as in RFC 3339, with its zone; or `never`.",
        examples=["2031-01-01T00:00:00Z"],
    ),
]


class LicenseEdit(StrictInbound, frozen=True, kw_only=True):
    """An absent field stays; null takes the buyer or the note away, and gives the others back to the tier.

    `buyer_email` hands the license over to that customer, new or known. The others are this license's own, whatever its
    tier says, with the `reason`; `max_machines` 0 is unlimited.
    """

    buyer_email: Annotated[Line, Meta(examples=["dora@example.org"])] | UnsetType | None = UNSET
    note: Paragraph | UnsetType | None = UNSET
    expires_at: End | UnsetType | None = UNSET
    grace_seconds: Count | UnsetType | None = UNSET
    max_machines: Annotated[Count, Meta(examples=[5])] | UnsetType | None = UNSET
    seats_evict_after_days: Annotated[int, Meta(ge=0, le=36_500)] | UnsetType | None = UNSET
    entitlements: list[Line] | UnsetType | None = UNSET
    reason: Annotated[Reason, Meta(examples=["A second office."])] | None = None


class Licenses(Outbound, frozen=True, kw_only=True):
    licenses: list[License]
    next_cursor: str | None


class Key(Outbound, frozen=True, kw_only=True):
    license_id: UUID
    license_key: str


class Timeline(Outbound, frozen=True, kw_only=True):
    events: list[Told]
    next_cursor: str | None


@get("/licenses", operation_id="listLicenses", responses=refusals(404))
async def find_licenses(
    read: WithRead,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    q: Words = None,
    status: FromQuery[LicenseStatus | None] = None,
    product_id: FromQuery[UUID | None] = None,
    product_slug: Slug = None,
    policy_id: FromQuery[UUID | None] = None,
    policy_slug: Slug = None,
    customer_id: FromQuery[UUID | None] = None,
    buyer_email: Address = None,
    invoice_id: Slug = None,
    is_trial: FromQuery[bool | None] = None,
    issued_after: Moment = None,
    issued_before: Moment = None,
    expires_after: Moment = None,
    expires_before: Moment = None,
) -> Licenses:
    """The latest sale first; with `q` by what begins so; with `expires_*` the next to end first.

    Of several filters all must hold. `*_after` is included, `*_before` is not. `policy_slug` needs its product.
    `invoice_id` may be a support reference or an order's id too.
    """
    sold = await _sold(read, product_id, product_slug, policy_id, policy_slug)
    email = normal_email(buyer_email) if buyer_email is not None else None
    if sold is None:
        return Licenses(licenses=[], next_cursor=None)
    wanted = LicenseFilter(
        status=status,
        product_id=sold[0],
        policy_id=sold[1],
        customer_id=customer_id,
        is_trial=is_trial,
        issued_after=issued_after,
        issued_before=issued_before,
        expires_after=expires_after,
        expires_before=expires_before,
    )
    wanted = await of_buyer(read, wanted, email)
    if wanted is None:
        return Licenses(licenses=[], next_cursor=None)
    page = await _page(read, wanted, invoice_id, (q or "").strip(), limit, cursor)
    return Licenses(licenses=await joined(read, page.items), next_cursor=page.next_cursor)


@get("/licenses/search", operation_id="searchLicenses", responses=refusals(404))
async def find_by_buyer(
    read: WithRead,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    buyer_email: Address = None,
    invoice_id: Slug = None,
) -> Licenses:
    """`GET /v1/admin/licenses` under its published name, with these two of its filters."""
    return await find_licenses.fn(read, limit, cursor, buyer_email=buyer_email, invoice_id=invoice_id)


@get("/licenses/{license_id:uuid}", operation_id="getLicense", opt=TAGGED, responses=refusals(404))
async def get_license(read: WithRead, license_id: FromPath[UUID]) -> LicenseDetail:
    """One license as it stands, with what was set by hand, its machines and its orders."""
    return await detail(read, license_id)


@patch("/licenses/{license_id:uuid}", operation_id="editLicense", opt=edits(get_license), responses=refusals(404, 409))
async def edit_license(work: WithWork, license_id: FromPath[UUID], data: JSONBody[LicenseEdit]) -> LicenseDetail:
    """The end of a license that renews follows its subscription: 409, and its subscription is what to change."""
    own, cleared = own_values_of(data)
    if own != OwnValues() or cleared:
        await set_own(work, license_id, own, reason_of(data.reason), cleared=cleared)
    if data.buyer_email is not UNSET:
        await hand_over(work, license_id, data.buyer_email)
    if data.note is not UNSET:
        await set_note(work, license_id, data.note)
    return await detail(work, license_id)


@get("/licenses/{license_id:uuid}/events", operation_id="listLicenseEvents", responses=refusals(404))
async def list_events(
    read: WithRead, license_id: FromPath[UUID], limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
) -> Timeline:
    """What happened to it, to its machines, its subscription and its orders, the latest first."""
    row = await read.get(LicenseRow, license_id)
    subscription = await subscription_of(read, license_id)
    orders = await orders_of_license(read, row)
    about = [license_id, *(order.id for order in orders), *([subscription.id] if subscription else [])]
    page = await timeline(read, about, limit, cursor)
    return Timeline(events=page.items, next_cursor=page.next_cursor)


@get(
    "/licenses/{license_id:uuid}/key",
    operation_id="showLicenseKey",
    opt=needs(Scope.LICENSES_WRITE),
    responses=refusals(404),
)
async def show_key(read: WithRead, shop: WithShop, license_id: FromPath[UUID]) -> Key:
    """Its key, signed as it stands: for a buyer who lost it. Of any status; validate tells what it counts."""
    row = await read.get(LicenseRow, license_id)
    return Key(license_id=row.id, license_key=await issue.key_text(read, row, shop.ring))


@post("/licenses/{license_id:uuid}/revoke", operation_id="revokeLicense", **WITH_REASON)
async def revoke_license(work: WithWork, license_id: FromPath[UUID], data: JSONBody[Why | None] = None) -> License:
    """End it for ever. The body may be left out."""
    return await _one(work, await subscribed.revoke(work, license_id, reason_of(data and data.reason)))


@post("/licenses/{license_id:uuid}/suspend", operation_id="suspendLicense", **WITH_REASON)
async def suspend_license(work: WithWork, license_id: FromPath[UUID], data: JSONBody[Why | None] = None) -> License:
    """Let it rest until it is unsuspended. The body may be left out."""
    return await _one(work, await issue.suspend(work, license_id, reason_of(data and data.reason)))


@post(
    "/licenses/{license_id:uuid}/unsuspend",
    operation_id="unsuspendLicense",
    status_code=200,
    responses=refusals(404, 409),
)
async def unsuspend_license(work: WithWork, license_id: FromPath[UUID]) -> License:
    """Let a suspended license count again."""
    return await _one(work, await issue.unsuspend(work, license_id))


@post(
    "/licenses/{license_id:uuid}/replace-key",
    operation_id="replaceLicenseKey",
    status_code=200,
    opt=CREATES,
    responses=refusals(404),
)
async def replace_key(work: WithWork, shop: WithShop, license_id: FromPath[UUID]) -> Key:
    """A new key for one that leaked: all older ones answer `revoked` from now on. Id, seats and history stay."""
    row = await issue.replace_key(work, license_id)
    return Key(license_id=row.id, license_key=await issue.key_text(work, row, shop.ring))


def own_values_of(data: msgspec.Struct) -> tuple[OwnValues, list[OwnField]]:
    """What a body sets, and what it gives back with null. Raises BadRequest for an end that is no moment."""
    said = {field: getattr(data, field, UNSET) for field in OwnField}
    given = {field.value: value for field, value in said.items() if value is not None and value is not UNSET}
    if "expires_at" in given:
        given["expires_at"] = _end(given["expires_at"])
    return OwnValues(**given), [field for field, value in said.items() if value is None]


def _end(words: str) -> datetime | None:
    if words == NEVER:
        return None
    try:
        return msgspec.convert(words, Instant)
    except msgspec.ValidationError:
        raise BadRequest(
            f"expires_at: {words[:40]!r} is no moment with a zone, as in 2031-01-01T00:00:00Z, nor `never`."
        ) from None


async def _one(read: Read, row: LicenseRow) -> License:
    return (await joined(read, [row]))[0]


async def _sold(
    read: Read, product_id: UUID | None, product_slug: str | None, policy_id: UUID | None, policy_slug: str | None
) -> tuple[UUID | None, UUID | None] | None:
    """Product and tier; None: the ones named by id and by slug differ. Raises NotFound, BadRequest."""
    if product_slug is None and policy_slug is None:
        return product_id, policy_id
    if product_slug is None:
        raise BadRequest("A tier's slug is its product's: say product_slug too, or policy_id.")
    product = await product_by_slug(read, product_slug)
    if product_id not in (None, product.id):
        return None
    if policy_slug is None:
        return product.id, policy_id
    tier = tier_named(product, await policies(read, product), policy_slug, by_operator=True)
    return (product.id, tier.id) if policy_id in (None, tier.id) else None


async def _page(
    read: Read, wanted: LicenseFilter, reference: str | None, words: str, limit: int, cursor: str | None
) -> Page[LicenseRow]:
    if reference is not None:
        ordered = await _ordered(read, reference)
        return Page([*await licenses_named(read, "", wanted, ordered)], None)
    if not words:
        return await list_licenses(read, wanted, limit, cursor)
    named = await licenses_named(read, words, wanted, await _ordered(read, words)) if cursor is None else ()
    return Page([*named], None) if named else await search_licenses(read, words, wanted, limit, cursor)


async def _ordered(read: Read, reference: str) -> Sequence[UUID]:
    """The license that an order made, or changed."""
    try:
        order = await find_order(read, reference)
    except NotFound:
        return ()
    return (order.license_id,) if order.license_id is not None else ()


ROUTES = (
    find_licenses,
    find_by_buyer,
    get_license,
    edit_license,
    list_events,
    show_key,
    revoke_license,
    suspend_license,
    unsuspend_license,
    replace_key,
)
