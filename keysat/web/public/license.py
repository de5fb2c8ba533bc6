"""The buyer's own page of a license: how it stands, its key, its devices, paying, upgrading, cancelling.

The key is the only credential. It is typed once and goes from step to step in the body of the form, as a hidden field:
no cookie opens anything that another site could use, no address ever holds the key, and when the page is closed nothing
is left behind. Plain forms, no JavaScript needed.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import URLEncodedBody

from keysat.catalog.read import policies
from keysat.checkout.change.open import is_change_paid
from keysat.checkout.change.plan import unplan
from keysat.checkout.change.quote import Wanted, quote_change
from keysat.checkout.change.read import read_change
from keysat.checkout.change.tables import ChangedBy, ChangeStatus
from keysat.checkout.change.upgrade import upgrade
from keysat.checkout.subscribed import cancel, keep_on
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest, Forbidden, KeysatError, NotFound
from keysat.licenses.facts import facts_of_row
from keysat.licenses.machines import give_back
from keysat.licenses.refresh import WORDS, opened
from keysat.licenses.ring import Presented, present
from keysat.licenses.tables import License, LicenseStatus
from keysat.licenses.verdict import Reason, verdict
from keysat.subscriptions.read import the_subscription_of
from keysat.web.html import page, see_other
from keysat.web.problems import SAYABLE
from keysat.web.provide import WithVisit
from keysat.web.public.cards import BETWEEN
from keysat.web.public.holding import WITHDRAWN, holding_of, rate_known
from keysat.web.public.told import is_known
from keysat.web.public.ways import Way, planned, ways
from keysat.web.public.words import seen
from keysat.web.security import same_origin
from keysat.web.throttle import Rate
from keysat.web.visit import Visit
from keysat.web.wire import KeyText, Line, Paragraph


class LicenseForm(msgspec.Struct, frozen=True, kw_only=True):
    license_key: KeyText = ""
    act: Line = ""
    """Which button, as in `ACTS`; empty shows the license."""
    machine: Line = ""
    choice: Line = ""
    """The tier to go to, and its offer, as on the buy page."""
    charge: Line = ""
    """What the page before said that the upgrade costs, in minor units."""
    known: Paragraph = ""
    """As of `Holding.known`, on that page."""


@get("/license", include_in_schema=False)
async def ask_key(visit: WithVisit) -> Response[str]:
    return page(visit, "license_ask.html", license_key="")


@post("/license", status_code=200, include_in_schema=False, guards=[same_origin])
async def use_key(data: URLEncodedBody[LicenseForm], visit: WithVisit) -> Response[Any]:
    try:
        license = await _license(visit, data.license_key)
    except SAYABLE as error:
        return page(visit, "license_ask.html", trouble=error, license_key=data.license_key)
    if license.status is not LicenseStatus.ACTIVE or not data.act:
        return await _shown(visit, data, license)
    try:
        if data.act not in ACTS:
            raise BadRequest("This page has no such button. Enter the key again.")
        done = await ACTS[data.act](visit, data, license)
    except SAYABLE as error:
        return await _shown(visit, data, license, trouble=error)
    return await _shown(visit, data, license, news=done) if isinstance(done, str) else done


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


async def _release(visit: Visit, data: LicenseForm, license: License) -> str:
    try:
        machine_id = UUID(data.machine)
    except ValueError:
        raise NotFound("This device has no seat any more.") from None
    async with visit.work() as work:
        await give_back(work, license.id, machine_id)
    return "released"


async def _cancel(visit: Visit, data: LicenseForm, license: License) -> str:
    """For good, or at the `end` of what is paid."""
    async with visit.work() as work:
        subscription = await the_subscription_of(work, license.id)
        already = await cancel(work, subscription.id, reason=None, at_period_end=data.act == "end")
    return "over" if already else "cancelled"


async def _keep_on(visit: Visit, _data: LicenseForm, license: License) -> str:
    async with visit.work() as work:
        await keep_on(work, (await the_subscription_of(work, license.id)).id)
    return "kept_on"


async def _unplan(visit: Visit, _data: LicenseForm, license: License) -> str:
    async with visit.work() as work:
        await unplan(work, license.id, ChangedBy.BUYER)
    return "unplanned"


async def _upgrade(visit: Visit, data: LicenseForm, license: License) -> str | Response[Any]:
    visit.limit(Rate.PURCHASE)
    async with visit.shop.read() as read:
        holding = await holding_of(read, visit.shop, license, visit.now)
        asked = await quote_change(read, license, _wanted(data), visit.now)
    is_dearer = not data.charge.isdecimal() or asked.charge.minor > int(data.charge)  # than the buyer was shown
    if is_dearer or not is_known(holding.earlier, data.known):
        return await _way_shown(visit, data, license, is_dearer=is_dearer)
    change_id = await upgrade(visit.desk, license.id, _wanted(data))
    async with visit.shop.read() as read:
        change = await read_change(read, change_id)
    if change.checkout_url:
        return see_other(change.checkout_url)
    return "planned" if change.status is ChangeStatus.SCHEDULED else "opening"


def _wanted(data: LicenseForm) -> Wanted:
    slug, _, offer = data.choice.partition(BETWEEN)
    return Wanted(slug, offer or None)


async def _quote(visit: Visit, data: LicenseForm, license: License) -> Response[Any]:
    visit.limit(Rate.PREVIEW)
    return await _way_shown(visit, data, license, is_dearer=False)


async def _way_shown(visit: Visit, data: LicenseForm, license: License, *, is_dearer: bool) -> Response[Any]:
    shop = visit.shop
    async with shop.read() as read:
        holding = await holding_of(read, shop, license, visit.now)
        asked = await quote_change(read, license, _wanted(data), visit.now)
        way = Way.of(asked, await rate_known(read, shop, asked.charge.currency))
        can_pay = way.is_later or not await is_change_paid(read, license.id)
    return page(
        visit,
        "license_upgrade.html",
        license_key=data.license_key,
        holding=holding,
        way=way,
        is_dearer=is_dearer,
        can_pay=can_pay,
        act=way.act(await shop.tills.rails(holding.product.merchant_profile_id)),
        seller=holding.seller,
    )


async def _file(visit: Visit, _data: LicenseForm, license: License) -> Response[Any]:
    """The key alone, as it is signed now, so that a program can read the file."""
    async with visit.shop.read() as read:
        holding = await holding_of(read, visit.shop, license, visit.now)
    name = f"{holding.product.slug}-license.txt"
    return Response(
        f"{holding.key}\n",
        media_type="text/plain",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _shown(
    visit: Visit, data: LicenseForm, license: License, *, news: str = "", trouble: KeysatError | None = None
) -> Response[Any]:
    async with visit.shop.read() as read:
        license = await read.get(License, license.id)  # as it is now
        holding = await holding_of(read, visit.shop, license, visit.now)
        is_shown = holding.state not in WITHDRAWN
        plan = await planned(read, license.id) if is_shown else None
        tiers = [tier for tier in await policies(read, holding.product) if tier.is_open] if is_shown else []
        offered = await ways(read, license, tiers, visit.now) if plan is None else []
    return page(
        visit,
        "license.html",
        trouble=trouble,
        license_key=data.license_key,
        holding=holding,
        seller=holding.seller,
        state=holding.state,
        plan=plan,
        ways=offered,
        news=news,
        seen=partial(seen, now=visit.now),
    )


ACTS: Mapping[str, Callable[[Visit, LicenseForm, License], Awaitable[str | Response[Any]]]] = {
    "download": _file,
    "release": _release,
    "end": _cancel,
    "cancel": _cancel,
    "keep_on": _keep_on,
    "unplan": _unplan,
    "quote": _quote,
    "upgrade": _upgrade,
}
"""What a button does: words for the license's page, by their name there, or an answer of its own.

Raises what is `SAYABLE`.
"""

ROUTES = (ask_key, use_key)
