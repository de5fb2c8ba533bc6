"""Discount codes and free-license codes, as their operator writes them, and what they sold."""

from uuid import UUID

from litestar import delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody

from keysat.catalog import discounts, shapes
from keysat.catalog.discount_read import discount
from keysat.catalog.discount_read import discounts as listed
from keysat.catalog.read import product_by_slug
from keysat.catalog.tables import DiscountKind
from keysat.checkout.redemptions import RedemptionView, ReportLine, redemptions, report
from keysat.kit.paging import LIMIT_DEFAULT
from keysat.web.etag import TAGGED, edits
from keysat.web.filters import Cursor, Limit, Moment
from keysat.web.idempotency import CREATES
from keysat.web.problems import refusals
from keysat.web.provide import WithRead, WithWork
from keysat.web.wire import Active, Done, Line, Outbound


class Codes(Outbound, frozen=True, kw_only=True):
    codes: list[shapes.DiscountCode]
    next_cursor: str | None


class CodeDetail(Outbound, frozen=True, kw_only=True):
    """With its uses, the newest first; `next_cursor` is theirs."""

    code: shapes.DiscountCode
    redemptions: list[RedemptionView]
    next_cursor: str | None


class Report(Outbound, frozen=True, kw_only=True):
    lines: list[ReportLine]
    next_cursor: str | None


@post("/discount-codes", operation_id="createCode", status_code=200, opt=CREATES, responses=refusals(404))
async def create_code(work: WithWork, data: JSONBody[discounts.NewDiscount]) -> shapes.DiscountCode:
    """`amount` is basis points for percent, else minor units of `discount_currency` (SAT unless it is given)."""
    return shapes.discount_code(await discounts.create(work, data))


@get("/discount-codes", operation_id="listCodes", responses=refusals(404))
async def list_codes(
    read: WithRead,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    include_inactive: FromQuery[bool] = False,
    product_slug: FromQuery[Line | None] = None,
    kind: FromQuery[DiscountKind | None] = None,
) -> Codes:
    """By code. Of several filters all must hold."""
    product = await product_by_slug(read, product_slug) if product_slug else None
    page = await listed(
        read,
        include_inactive=include_inactive,
        limit=limit,
        cursor=cursor,
        product_id=product.id if product else None,
        kind=kind,
    )
    return Codes(codes=[shapes.discount_code(view) for view in page.items], next_cursor=page.next_cursor)


@get("/discount-codes/report", operation_id="reportCodes")
async def report_codes(
    read: WithRead,
    limit: Limit = LIMIT_DEFAULT,
    cursor: Cursor = None,
    since: Moment = None,
    until: Moment = None,
) -> Report:
    """Uses and sums by referrer label and currency: what to pay those who brought the buyers."""
    page = await report(read, since=since, until=until, limit=limit, cursor=cursor)
    return Report(lines=page.items, next_cursor=page.next_cursor)


@get("/discount-codes/{code_id:uuid}", operation_id="getCode", opt=TAGGED, responses=refusals(404))
async def get_code(
    read: WithRead, code_id: FromPath[UUID], limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None
) -> CodeDetail:
    """One code, with its uses."""
    view = await discount(read, code_id)
    page = await redemptions(read, code_id, limit, cursor)
    return CodeDetail(code=shapes.discount_code(view), redemptions=page.items, next_cursor=page.next_cursor)


@patch("/discount-codes/{code_id:uuid}", operation_id="editCode", opt=edits(get_code), responses=refusals(404))
async def edit_code(
    work: WithWork, code_id: FromPath[UUID], data: JSONBody[discounts.DiscountEdit]
) -> shapes.DiscountCode:
    """An absent field stays, null clears. Code, kind, currency and product stay what they were."""
    return shapes.discount_code(await discounts.edit(work, code_id, data))


@patch(
    "/discount-codes/{code_id:uuid}/active", operation_id="setCodeActive", opt=edits(get_code), responses=refusals(404)
)
async def set_code_active(work: WithWork, code_id: FromPath[UUID], data: JSONBody[Active]) -> Done:
    """A code that is not active cannot be used any more; orders that use it go on."""
    await discounts.set_active(work, code_id, data.active)
    return Done()


@delete(
    "/discount-codes/{code_id:uuid}",
    operation_id="deleteCode",
    status_code=200,
    opt=edits(get_code),
    responses=refusals(404, 409),
)
async def delete_code(work: WithWork, code_id: FromPath[UUID]) -> Done:
    """Refused once an order used it, also one that came to nothing: disable it then."""
    await discounts.delete_discount(work, code_id)
    return Done()


ROUTES = (
    create_code,
    list_codes,
    report_codes,
    get_code,
    edit_code,
    set_code_active,
    delete_code,
)
