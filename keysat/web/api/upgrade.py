"""Upgrading, for programs: what a change of tier costs, and opening its order. The license key is the credential."""

from typing import Annotated

from litestar import post
from litestar.params import JSONBody
from msgspec import Meta

from keysat.checkout.change.draft import Asker
from keysat.checkout.change.quote import UpgradeQuote, Wanted, quote_change, upgrade_quote
from keysat.checkout.change.read import Change, read_change
from keysat.checkout.change.upgrade import upgrade
from keysat.infra.work import Read
from keysat.licenses.refresh import authorized
from keysat.licenses.ring import present
from keysat.licenses.tables import License
from keysat.web.api.purchase import RedirectUrl
from keysat.web.idempotency import CREATES
from keysat.web.problems import refusals
from keysat.web.provide import WithShop, WithVisit
from keysat.web.throttle import Rate
from keysat.web.visit import Visit, limited
from keysat.web.wire import Inbound, KeyText, Line


class UpgradeQuoteRequest(Inbound, frozen=True, kw_only=True):
    """`offer`: another price and period of the tier. It may be one of the tier that the license has."""

    license_key: KeyText
    target_policy_slug: Annotated[Line, Meta(examples=["pro"])]
    offer: Line | None = None

    def wanted(self) -> Wanted:
        return Wanted(self.target_policy_slug, self.offer or None)


class UpgradeRequest(UpgradeQuoteRequest, frozen=True, kw_only=True):
    redirect_url: RedirectUrl | None = None


@post(
    "/v1/upgrade-quote",
    status_code=200,
    operation_id="quoteUpgrade",
    guards=[limited(Rate.PREVIEW)],
    responses=refusals(401, 404, 409, 429),
)
async def quote_upgrade(data: JSONBody[UpgradeQuoteRequest], shop: WithShop, visit: WithVisit) -> UpgradeQuote:
    """What going to another tier costs now, and from when on it holds. Nothing is written."""
    async with shop.read() as read:
        license = await _presented(read, visit, data.license_key)
        return upgrade_quote(await quote_change(read, license, data.wanted(), visit.now))


@post(
    "/v1/upgrade",
    status_code=200,
    operation_id="startUpgrade",
    opt=CREATES,
    guards=[limited(Rate.PURCHASE)],
    responses=refusals(401, 404, 429, 502),
)
async def start_upgrade(data: JSONBody[UpgradeRequest], shop: WithShop, visit: WithVisit) -> Change:
    """Open the order that pays the change, at the price of now. Once it is paid, the sold key is good for that tier."""
    async with shop.read() as read:
        license_id = (await _presented(read, visit, data.license_key)).id
    asker = Asker(redirect_url=data.redirect_url or None)
    change_id = await upgrade(visit.desk, license_id, data.wanted(), asker)
    async with shop.read() as read:
        return await read_change(read, change_id)


async def _presented(read: Read, visit: Visit, key: str) -> License:
    """Raises Unauthorized, before anything else is looked at: whoever has no key learns nothing."""
    return await authorized(read, await present(visit.shop.ring, key, visit.now))


ROUTES = (quote_upgrade, start_upgrade)
