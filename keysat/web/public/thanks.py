"""The page a buyer comes back to: how far the order is, and in the end the key."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from litestar import Request, Response, get

from keysat.catalog.read import policy, product
from keysat.catalog.views import PolicyView, ProductView
from keysat.checkout.collect import look_if_stale
from keysat.checkout.held import takes_late_money
from keysat.checkout.pay_link import pay_token
from keysat.checkout.read import order_by_invoice, payable_attempt, poll
from keysat.checkout.recover import claim_code_to_show
from keysat.checkout.seller import told_of
from keysat.checkout.tables import Order, PaidHow, Purpose
from keysat.infra.vault import Vault
from keysat.infra.work import Read
from keysat.kit.currencies import SAT
from keysat.kit.errors import NotFound
from keysat.kit.money import Money
from keysat.licenses.tables import License
from keysat.payments.tables import Attempt
from keysat.subscriptions.read import subscription_of
from keysat.subscriptions.tables import Subscription
from keysat.upkeep.shop import Shop
from keysat.web.html import page, see_other
from keysat.web.provide import WithVisit
from keysat.web.public import words
from keysat.web.public.cards import Line, buy_page, entitlement_lines
from keysat.web.public.holding import Bill, bill_of
from keysat.web.public.progress import MOVING, Facts, Progress, progress, refresh_seconds
from keysat.web.security import SECRET_PAGE
from keysat.web.throttle import Rate
from keysat.web.visit import Visit

PARAMETER = "invoice_id"


@dataclass(frozen=True, slots=True)
class Sale:
    """All that the page tells of one order."""

    order: Order
    product: ProductView
    tier: PolicyView | None
    attempt: Attempt | None
    license: License | None
    key: str | None
    subscription: Subscription | None
    bill: Bill | None
    """The next payment; None: there is none."""
    takes_late: bool
    """Money that comes after its time, by itself."""
    seller: Mapping[str, object]

    @property
    def what(self) -> str:
        return f"{self.product.name} {self.tier.name}" if self.tier else self.product.name

    @property
    def facts(self) -> Facts:
        return Facts(
            status=self.order.status,
            expires_at=self.order.expires_at,
            takes_late=self.takes_late,
            was_opened=self.attempt is not None,
            money_seen=self.seen is not None,
            money_missing=self.missing is not None,
            money_refused=self.attempt is not None and self.attempt.is_refused,
            watch_until=self.order.watch_until,
            license_status=self.license.status if self.license else None,
        )

    @property
    def price(self) -> Money:
        return Money(self.order.listed_currency, self.order.listed_value)

    @property
    def sats(self) -> Money | None:
        """None where the price is in sats anyway, or nothing is to be paid."""
        sats = self.order.amount_sats
        return Money(SAT, sats) if sats and self.order.listed_currency != SAT else None

    @property
    def asked(self) -> Money | None:
        """What the provider asks for: the price, or sats where it does not price fiat."""
        return self.attempt.asked if self.attempt else None

    @property
    def seen(self) -> Money | None:
        return self.attempt.seen if self.attempt else None

    @property
    def missing(self) -> Money | None:
        return self.attempt.missing if self.attempt else None

    @property
    def surplus(self) -> Money | None:
        """What was paid too much on the attempt that paid the order, and the seller was told of."""
        asked, seen, order = self.asked, self.seen, self.order
        if self.attempt is None or self.attempt.id != order.paid_attempt_id or order.paid_how == PaidHow.MARKED:
            return None
        return seen - asked if seen and asked and seen > asked else None

    def again(self, vault: Vault) -> str:
        """Where to start anew."""
        if self.order.purpose is Purpose.RENEWAL and self.subscription is not None:
            return f"/pay/{pay_token(vault, self.subscription.id)}"
        if self.order.purpose is Purpose.TIER_CHANGE:
            return "/license"
        return buy_page(self.product, self.tier, self.order.offer_id)

    @property
    def entitlements(self) -> list[Line]:
        if self.license is None:
            return []
        hidden = self.tier.hidden_entitlements if self.tier else ()
        return entitlement_lines(self.product, self.license.entitlements, hidden)

    @property
    def seats(self) -> str:
        return words.seats(self.license.max_machines) if self.license else ""


@get("/thank-you", include_in_schema=False)
async def thank_you(request: Request[Any, Any, Any], visit: WithVisit) -> Response[str]:
    invoice_id = request.query_params.get(PARAMETER, "")
    try:
        async with visit.shop.read() as read:
            order = await order_by_invoice(read, invoice_id)
    except NotFound as error:
        return _unknown(visit, error)
    visit.limit(Rate.WEAK_POLL if order.is_weak else Rate.POLL, order.id)
    await look_if_stale(visit.desk, order)
    async with visit.shop.read() as read:
        sale = await sale_of(read, visit.shop, invoice_id, visit.now)
    return _page(visit, sale)


@get("/thank-you/key", include_in_schema=False)
async def download(request: Request[Any, Any, Any], visit: WithVisit) -> Response[Any]:
    """The key alone, so that a program can read the file as it is."""
    try:
        async with visit.shop.read() as read:
            sale = await sale_of(read, visit.shop, request.query_params.get(PARAMETER, ""), visit.now)
    except NotFound as error:
        return _unknown(visit, error)
    visit.limit(Rate.WEAK_POLL if sale.order.is_weak else Rate.POLL, sale.order.id)
    if sale.key is None:  # the page that waits, which looks again at its own address
        return see_other(sale.order.page, SECRET_PAGE)
    return Response(
        sale.key + "\n",
        media_type="text/plain",
        headers=SECRET_PAGE | {"Content-Disposition": f'attachment; filename="{sale.product.slug}-license.txt"'},
    )


async def sale_of(read: Read, shop: Shop, invoice_id: str, now: datetime) -> Sale:
    """Raises NotFound."""
    order = await order_by_invoice(read, invoice_id)
    license = await read.session.get(License, order.license_id) if order.license_id else None
    subscription = await subscription_of(read, license.id) if license and license.is_subscribed else None
    sold = await product(read, order.product_id)
    return Sale(
        order=order,
        product=sold,
        tier=await policy(read, order.policy_id) if order.policy_id else None,
        attempt=await _attempt(read, order),
        license=license,
        key=(await poll(read, shop.ring, order)).license_key,
        subscription=subscription,
        bill=await bill_of(read, shop, license, subscription, now) if license and subscription else None,
        takes_late=await takes_late_money(read, order),
        seller=await told_of(read, sold.merchant_profile_id),
    )


async def _attempt(read: Read, order: Order) -> Attempt | None:
    """The one that paid it, else the one that can."""
    paid = await read.session.get(Attempt, order.paid_attempt_id) if order.paid_attempt_id else None
    return paid or await payable_attempt(read, order.id)


def _page(visit: Visit, sale: Sale) -> Response[str]:
    now, vault = visit.now, visit.shop.vault
    state = progress(sale.facts, now)
    is_first = sale.order.purpose not in (Purpose.RENEWAL, Purpose.TIER_CHANGE)  # they pay for a license that is there
    left = max(sale.order.expires_at - now, timedelta(0))
    return page(
        visit,
        "thanks.html",
        headers=SECRET_PAGE,
        sale=sale,
        order=sale.order,
        state=state,
        is_moving=state in MOVING and now <= sale.order.watch_until,
        refresh_seconds=refresh_seconds(now - sale.order.status_at),
        has_key=state == Progress.READY and sale.key is not None,
        left_seconds=int(left.total_seconds()),
        left=words.about(left),
        download=download_of(sale),
        again=sale.again(vault),
        claim_code=claim_code_to_show(vault, sale.order, now) if is_first else None,
        seller=sale.seller,
    )


def download_of(sale: Sale) -> str:
    return f"/thank-you/key?{PARAMETER}={sale.order.invoice_id}"


def _unknown(visit: Visit, error: NotFound) -> Response[str]:
    return page(visit, "lost.html", trouble=error, headers=SECRET_PAGE, what="order")


ROUTES = (thank_you, download)
