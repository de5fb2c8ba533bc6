"""Buying, for programs: open an order, then ask until its key is there (public contract 3.7 and 3.8)."""

from functools import partial
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, UnsetType

from keysat.checkout.collect import look_if_stale
from keysat.checkout.order import purchase as open_order
from keysat.checkout.read import Poll, Purchase, order_by_invoice, poll, purchased
from keysat.checkout.wish import REDIRECT_MAX, Wish, checked_redirect, rail_of
from keysat.infra.house import Mode
from keysat.web.idempotency import CREATES
from keysat.web.problems import refusals
from keysat.web.provide import WithShop, WithVisit
from keysat.web.shared_limits import limit_shared
from keysat.web.throttle import Rate
from keysat.web.visit import limited
from keysat.web.wire import NO_NUL, Inbound, Line, Paragraph

RedirectUrl = Annotated[str, Meta(max_length=REDIRECT_MAX, pattern=NO_NUL)]


class PurchaseRequest(Inbound, frozen=True, kw_only=True):
    """An empty text counts as absent, and an unknown `rail` too.

    A tier with `trial_days` begins with its trial, unless a `code` is given, or `trial` is false: then it is bought.
    `fingerprint`: of the device, for a tier whose `trial_needs` says so.
    """

    product: Line
    policy_slug: Line | None = None
    offer: Line | None = None
    code: Line | None = None
    buyer_email: Line | None = None
    buyer_note: Paragraph | None = None
    redirect_url: RedirectUrl | None = None
    rail: Line | None = None
    fingerprint: Line | None = None
    trial: bool | None = None

    def wish(self) -> Wish:
        """Raises BadRequest."""
        return Wish(
            product=self.product,
            policy_slug=self.policy_slug or None,
            offer=self.offer or None,
            code=self.code or None,
            buyer_email=self.buyer_email or None,
            buyer_note=self.buyer_note or None,
            redirect_url=checked_redirect(self.redirect_url),
            rail=rail_of(self.rail),
            fingerprint=self.fingerprint or None,
            takes_trial=self.trial is not False,
        )


class Polled(Poll, frozen=True):
    sandbox: bool | UnsetType = UNSET


@post(
    "/v1/purchase",
    status_code=200,
    operation_id="createPurchase",
    opt=CREATES,
    guards=[limited(Rate.PURCHASE)],
    responses=refusals(404, 429, 502),
)
async def create_purchase(data: JSONBody[PurchaseRequest], shop: WithShop, visit: WithVisit) -> Purchase:
    """Open an order. What costs nothing is answered with its key; for anything else there is a checkout page."""
    order_id = await open_order(visit.desk, data.wish(), partial(limit_shared, visit, Rate.TRIAL))
    async with shop.read() as read:
        return await purchased(read, shop.ring, order_id, shop.settings.public_url)


@get("/v1/purchase/{invoice_id:str}", operation_id="getPurchase", responses=refusals(404, 429))
async def get_purchase(invoice_id: FromPath[str], shop: WithShop, visit: WithVisit) -> Polled:
    """How far the order is. A client that polls also makes this server look at the payment."""
    async with shop.read() as read:
        order = await order_by_invoice(read, invoice_id)
    visit.limit(Rate.WEAK_POLL if order.is_weak else Rate.POLL, order.id)
    await look_if_stale(visit.desk, order)
    async with shop.read() as read:
        seen = await poll(read, shop.ring, await order_by_invoice(read, invoice_id))
    return Polled(**msgspec.structs.asdict(seen), sandbox=True if shop.mode == Mode.SANDBOX else UNSET)


ROUTES = (create_purchase, get_purchase)
