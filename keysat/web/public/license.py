"""The buyer's own page of a license: how it stands, its key, its devices, paying, upgrading, cancelling.

The key is the only credential. It is typed once and goes from step to step in the body of the form, as a hidden field:
no cookie opens anything that another site could use, no address ever holds the key, and when the page is closed nothing
is left behind. Plain forms, no JavaScript needed.
"""

from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import URLEncodedBody

from keysat.catalog.read import policies
from keysat.checkout.change import unplan, upgrade
from keysat.checkout.change_quote import Wanted, quote_change
from keysat.checkout.change_read import shown as shown_change
from keysat.checkout.subscribed import cancel
from keysat.checkout.tables import ChangeStatus
from keysat.infra.work import Read, Work
from keysat.kit.errors import (
    BadRequest,
    Conflict,
    Forbidden,
    KeysatError,
    NotFound,
    RateLimited,
    Unavailable,
    UpstreamError,
)
from keysat.licenses.facts import facts_of_row
from keysat.licenses.machines import give_back
from keysat.licenses.refresh import WORDS, opened
from keysat.licenses.ring import Presented, present
from keysat.licenses.tables import License, LicenseStatus
from keysat.licenses.verdict import Reason, verdict
from keysat.subscriptions.lifecycle import keep_on
from keysat.subscriptions.read import subscription_of
from keysat.subscriptions.tables import Subscription
from keysat.web.html import page, told
from keysat.web.provide import WithActor, WithNow, WithShop, WithVisit
from keysat.web.public.cards import BETWEEN
from keysat.web.public.holding import WITHDRAWN, holding_of, rate_known
from keysat.web.public.ways import Way, planned, ways
from keysat.web.public.words import seen
from keysat.web.security import same_origin
from keysat.web.throttle import Rate
from keysat.web.visit import Visit, visit_of
from keysat.web.wire import KeyText, Line

_SAYABLE = (BadRequest, NotFound, Forbidden, Conflict, RateLimited, UpstreamError, Unavailable)
_Asking = Request[Any, Any, Any]


class LicenseForm(msgspec.Struct, frozen=True, kw_only=True):
    license_key: KeyText = ""
    act: Line = ""
    """Which button: empty shows the license; else a case of `_acted`, or `quote`, `upgrade`, `download`."""
    machine: Line = ""
    choice: Line = ""
    """The tier to go to, and its offer, as on the buy page."""
    charge: Line = ""
    """What the page before said that the upgrade costs, in minor units."""


@get("/license", include_in_schema=False)
async def ask_key(request: _Asking) -> Response[str]:
    return page(request, "license_ask.html", license_key="", trouble="")


@post("/license", status_code=200, include_in_schema=False, guards=[same_origin])
async def use_key(
    data: URLEncodedBody[LicenseForm],
    request: _Asking,
    visit: WithVisit,
    shop: WithShop,
    now: WithNow,
    actor: WithActor,
) -> Response[Any]:
    try:
        license = await _license(visit, data.license_key)
    except _SAYABLE as error:
        return told(page(request, "license_ask.html", license_key=data.license_key, trouble=error.message), error)
    if license.status is not LicenseStatus.ACTIVE:
        return await _page(request, data, license)
    news, trouble = "", None
    try:
        match data.act:
            case "":
                pass
            case "download":
                return await _file(request, license)
            case "quote":
                visit.limit(Rate.PREVIEW)
                return await _quote(request, data, license)
            case "upgrade":
                visit.limit(Rate.PURCHASE)
                if await _costs_more(visit, data, license):
                    return await _quote(request, data, license, is_dearer=True)
                change_id = await upgrade(shop.desk, license.id, _wanted(data), now, actor)
                async with shop.read() as read:
                    change = await shown_change(read, change_id)
                if change.checkout_url:
                    return Response(None, status_code=303, headers={"Location": change.checkout_url})
                news = "planned" if change.status is ChangeStatus.SCHEDULED else "opening"
            case _:
                async with shop.store.work(now, actor) as work:
                    news = await _acted(work, data, license.id)
    except _SAYABLE as error:
        trouble = error
    return await _page(request, data, license, news=news, trouble=trouble)


async def _license(visit: Visit, key: str) -> License:
    """Whose key it is. Also one that is suspended or revoked: its buyer is told so, and can do nothing.

    A key that was replaced does not lead to the one that replaced it. Raises BadRequest, NotFound, Forbidden,
    RateLimited.
    """
    presented = await present(visit.shop.ring, key, visit.now)
    if presented.signed is None or presented.signer is None:
        visit.limit(Rate.BAD_KEY)
    payload, _ = opened(presented)
    visit.limit(Rate.LICENSE, payload.license_id)
    async with visit.shop.read() as read:
        return await _presented(read, presented)


async def _presented(read: Read, presented: Presented) -> License:
    payload, signer = opened(presented)
    license = await read.session.get(License, payload.license_id)
    if license is None:
        raise NotFound("There is no license with this key.")
    reason = verdict(facts_of_row(license, ""), payload, signer, license.issued_at).reason
    is_shown = reason in (None, Reason.EXPIRED, Reason.SUSPENDED) or license.status is LicenseStatus.REVOKED
    if not is_shown and reason is not None:
        raise Forbidden(WORDS.get(reason, "This key does not count for this license."))
    return license


async def _acted(work: Work, data: LicenseForm, license_id: UUID) -> str:
    """What was done, as the page says it. Raises NotFound, Conflict; BadRequest for a button that is not there."""
    if data.act == "release":
        await give_back(work, license_id, _machine(data.machine))
        return "released"
    if data.act == "unplan":
        await unplan(work, license_id)
        return "unplanned"
    subscription = await _subscription(work, license_id)
    match data.act:
        case "cancel" | "end":
            already = await cancel(work, subscription.id, reason=None, at_period_end=data.act == "end")
            return "over" if already else "cancelled"
        case "keep_on":
            await keep_on(work, subscription.id)
            return "kept_on"
        case _:
            raise BadRequest("This page has no such button. Enter the key again.")


async def _subscription(read: Read, license_id: UUID) -> Subscription:
    found = await subscription_of(read, license_id)
    if found is None:
        raise NotFound("This license has no subscription: it does not renew.")
    return found


def _machine(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("This device has no seat any more.") from None


def _wanted(data: LicenseForm) -> Wanted:
    slug, _, offer = data.choice.partition(BETWEEN)
    return Wanted(slug, offer or None)


async def _costs_more(visit: Visit, data: LicenseForm, license: License) -> bool:
    """Than the buyer was shown. Less is as well: the price falls from second to second."""
    async with visit.shop.read() as read:
        asked = await quote_change(read, license, _wanted(data), visit.now)
    return not data.charge.isdecimal() or asked.charge.minor > int(data.charge)


async def _quote(request: _Asking, data: LicenseForm, license: License, *, is_dearer: bool = False) -> Response[Any]:
    visit = visit_of(request)
    async with visit.shop.read() as read:
        holding = await holding_of(read, visit.shop, license, visit.now)
        asked = await quote_change(read, license, _wanted(data), visit.now)
        way = Way.of(asked, await rate_known(read, visit.shop, asked.charge.currency))
    return page(
        request,
        "license_upgrade.html",
        license_key=data.license_key,
        holding=holding,
        way=way,
        is_dearer=is_dearer,
        act=way.act(visit.shop.tills.rails()),
    )


async def _file(request: _Asking, license: License) -> Response[Any]:
    """The key alone, as it is signed now, so that a program can read the file."""
    visit = visit_of(request)
    async with visit.shop.read() as read:
        holding = await holding_of(read, visit.shop, license, visit.now)
    name = f"{holding.product.slug}-license.txt"
    return Response(
        f"{holding.key}\n",
        media_type="text/plain",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _page(
    request: _Asking, data: LicenseForm, license: License, *, news: str = "", trouble: KeysatError | None = None
) -> Response[Any]:
    visit = visit_of(request)
    async with visit.shop.read() as read:
        license = await read.get(License, license.id)  # as it is now
        holding = await holding_of(read, visit.shop, license, visit.now)
        is_shown = holding.state not in WITHDRAWN
        plan = await planned(read, license.id) if is_shown else None
        tiers = [tier for tier in await policies(read, holding.product) if tier.is_open] if is_shown else []
        offered = await ways(read, license, tiers, visit.now) if plan is None else []
    response = page(
        request,
        "license.html",
        license_key=data.license_key,
        holding=holding,
        state=holding.state,
        plan=plan,
        ways=offered,
        news=news,
        trouble=trouble.message if trouble else "",
        seen=partial(seen, now=visit.now),
    )
    return told(response, trouble)


ROUTES = (ask_key, use_key)
