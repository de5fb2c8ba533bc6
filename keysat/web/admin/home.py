"""The operator's first page: what needs a person, what was sold lately, and how all is that can fail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, URLEncodedBody
from sqlalchemy import select

from keysat.catalog.read import products
from keysat.checkout.sales import DAY, MONTH, WEEK, Figure, lately, latest_sales
from keysat.infra import attention
from keysat.infra.attention import AttentionView
from keysat.infra.work import Read
from keysat.kit.errors import KeysatError
from keysat.kit.money import Money
from keysat.kit.paging import Page
from keysat.licenses.read import how_many
from keysat.operators.scopes import Scope
from keysat.payments.profiles import profile_of
from keysat.payments.tables import ConnectionRow, ConnectionStatus
from keysat.upkeep.tallies import license_count
from keysat.web.admin import calls
from keysat.web.admin.door import PATH, admin_page, signed_in
from keysat.web.admin.finding import Finding, of_endpoint
from keysat.web.admin.providers import findings
from keysat.web.connecting import selling, shown
from keysat.web.html import see_other
from keysat.web.provide import WithVisit
from keysat.web.visit import Visit
from keysat.web.wire import Line
from keysat.webhooks.endpoints import endpoints
from keysat.webhooks.health import health_of

SHOWN_AT_ONCE = 20
SALES_SHOWN = 8
NO_CALLS: Page[AttentionView] = Page([], None)
SPANS = {"24 hours": DAY, "7 days": WEEK, "30 days": MONTH}


class CallForm(msgspec.Struct, frozen=True, kw_only=True):
    act: Line = ""


@dataclass(frozen=True, slots=True)
class Income:
    """Of orders in one currency, in one span of time."""

    total: Money
    orders: int


@dataclass(frozen=True, slots=True)
class Wellbeing:
    """Of one provider or receiver."""

    name: str
    path: str
    finding: Finding


@get("/", guards=[signed_in()])
async def show_home(visit: WithVisit, done: FromQuery[str] = "", cursor: FromQuery[str | None] = None) -> Response[str]:
    return await _page(visit, done=done, cursor=cursor)


@post("/calls/{call_id:int}", status_code=200, guards=[signed_in(Scope.ORDERS_READ)])
async def answer_call(data: URLEncodedBody[CallForm], visit: WithVisit, call_id: FromPath[int]) -> Response[Any]:
    """One of the acts that stand beside it."""
    try:
        async with visit.shop.read() as read:
            told, act = await calls.chosen(visit, read, call_id, data.act)
        await act.do(visit, told)
    except KeysatError as error:
        return await _page(visit, trouble=error)
    return see_other(f"{PATH}?done={act.name}")


async def _page(
    visit: Visit, *, trouble: KeysatError | None = None, done: str = "", cursor: str | None = None
) -> Response[str]:
    async with visit.shop.read() as read:
        sees_orders = visit.may(Scope.ORDERS_READ)
        page = await attention.attention(read, limit=SHOWN_AT_ONCE, cursor=cursor) if sees_orders else NO_CALLS
        return admin_page(
            visit,
            "admin/home.html",
            at=PATH,
            trouble=trouble,
            done=calls.DONE.get(done, ""),
            shown=await calls.shown(visit, read, page.items),
            next_cursor=page.next_cursor,
            spans=list(SPANS),
            incomes=await _incomes(read, visit.now) if sees_orders else {},
            sales=await latest_sales(read, SALES_SHOWN) if sees_orders else [],
            licenses=await _licenses(read, visit.now) if visit.may(Scope.LICENSES_READ) else None,
            providers=await _providers(visit, read) if visit.may(Scope.PAYMENT_PROVIDERS_READ) else None,
            default_is_paid=bool(await selling(read, await profile_of(read, None))),
            receivers=await _receivers(read) if visit.may(Scope.WEBHOOKS_READ) else [],
            has_product=bool((await products(read, include_inactive=True, limit=1)).items),
        )


async def _incomes(read: Read, now: datetime) -> Mapping[str, Sequence[Income]]:
    """By currency, for each of `SPANS`."""
    sold = await lately(read, now)
    return {
        currency: [
            Income(Money(currency, sold[currency, Figure.VALUE, span]), sold[currency, Figure.ORDERS, span])
            for span in SPANS.values()
        ]
        for currency in sorted({currency for currency, _, _ in sold})
    }


async def _licenses(read: Read, now: datetime) -> tuple[Sequence[int], int]:
    """How many were issued in each of `SPANS`, and how many there are."""
    issued = [await how_many(read, since=now - span) for span in SPANS.values()]
    return issued, await license_count(read)


async def _providers(visit: Visit, read: Read) -> Sequence[Wellbeing]:
    """What is worst of each."""
    rows = await read.session.scalars(
        select(ConnectionRow)
        .where(ConnectionRow.status == ConnectionStatus.ACTIVE)
        .order_by(ConnectionRow.connected_at)
    )
    found: list[Wellbeing] = []
    for row in rows:
        told = findings(shown(row), visit.office.webhook_url(row.provider, row.id))
        worst = next((one for one in told if one.tone == "bad"), told[0])
        found.append(Wellbeing(row.label, f"{PATH}/providers", worst))
    return found


async def _receivers(read: Read) -> Sequence[Wellbeing]:
    rows = (await endpoints(read)).items
    health = await health_of(read, rows)
    return [Wellbeing(row.url, f"{PATH}/webhooks/{row.id}", of_endpoint(row, health[row.id])) for row in rows]


ROUTES = (show_home, answer_call)
