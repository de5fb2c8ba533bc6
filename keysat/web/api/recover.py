"""Getting a lost key back, replacing one that leaked, and having it signed anew (public contract 3.13)."""

from typing import Annotated

from litestar import post
from litestar.params import JSONBody
from msgspec import Meta

from keysat.checkout.recover import Ask, Recovered, recover, replace_leaked_key, shown
from keysat.licenses.refresh import refreshable
from keysat.licenses.ring import present
from keysat.web.idempotency import CREATES
from keysat.web.problems import refusals
from keysat.web.provide import WithShop, WithVisit
from keysat.web.shared_limits import key_counted, limit_recovery, limit_replacement
from keysat.web.throttle import Rate
from keysat.web.wire import Inbound, KeyText, Line, Outbound


class RecoverRequest(Inbound, frozen=True, kw_only=True):
    """`invoice_id` may be the support reference too. One of the other two says whose the order is."""

    invoice_id: Annotated[Line, Meta(examples=["KS-7QZ3M5ALDY"])]
    email: Annotated[Line | None, Meta(examples=["ann@example.org"])] = None
    claim_code: Annotated[Line | None, Meta(examples=[""])] = None


class LinkSent(Outbound, frozen=True, kw_only=True):
    """The same whether there is such an order or not."""

    ok: bool
    sent: bool


class KeyShown(Inbound, frozen=True, kw_only=True):
    license_key: KeyText


class LeakedKey(Inbound, frozen=True, kw_only=True):
    """Any key of the license, the leaked one too."""

    license_key: KeyText
    claim_code: Annotated[Line, Meta(min_length=1)]


@post("/v1/recover", status_code=200, operation_id="recoverLicense", responses=refusals(404, 429))
async def recover_license(data: JSONBody[RecoverRequest], shop: WithShop, visit: WithVisit) -> Recovered | LinkSent:
    """The key of an order; for a support reference and an e-mail address, a link is mailed instead."""
    ask = Ask(data.invoice_id, data.email or "", data.claim_code or "")
    await limit_recovery(visit, ask)
    async with visit.work() as work:
        found = await recover(work, shop.vault, ask)
        return await shown(work, shop.ring, found.license) if found is not None else LinkSent(ok=True, sent=True)


@post("/v1/licenses/refresh", status_code=200, operation_id="refreshLicenseKey", responses=refusals(403, 404, 429))
async def refresh_key(data: JSONBody[KeyShown], shop: WithShop, visit: WithVisit) -> Recovered:
    """The key signed anew, from what the license is now: offline apps learn so of a renewal or an upgrade."""
    presented = await present(shop.ring, data.license_key, visit.now)
    counted = key_counted(presented)
    visit.limit(Rate.LICENSE if counted else Rate.BAD_KEY, counted)
    async with shop.read() as read:
        return await shown(read, shop.ring, await refreshable(read, presented))


@post(
    "/v1/licenses/replace-key",
    status_code=200,
    operation_id="replaceLeakedKey",
    opt=CREATES,
    responses=refusals(404, 429),
)
async def replace_key(data: JSONBody[LeakedKey], shop: WithShop, visit: WithVisit) -> Recovered:
    """A new key for one that leaked: all older ones answer `revoked` from now on. Seats and history stay."""
    presented = await present(shop.ring, data.license_key, visit.now)
    license_id = await limit_replacement(visit, presented, data.claim_code)
    async with visit.work() as work:
        found = await replace_leaked_key(work, shop.vault, license_id, data.claim_code)
        return await shown(work, shop.ring, found.license)


ROUTES = (recover_license, refresh_key, replace_key)
