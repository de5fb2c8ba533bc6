"""The address that a subscriber is mailed, and finds again for ever: what is to be paid, and the way to the checkout.

Looking opens nothing at the provider, since mail scanners open every link; the button does. The checkout leads back to
here. No key is shown: who has this link may pay, and no more.
"""

from datetime import timedelta
from typing import Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, URLEncodedBody
from sqlalchemy import select

from keysat.checkout.collect import look_if_stale
from keysat.checkout.held import Standing, held_for_license
from keysat.checkout.next_order import open_order
from keysat.checkout.pay_link import subscription_to_pay
from keysat.checkout.read import payable_attempt
from keysat.checkout.renew import pay
from keysat.checkout.tables import Order, OrderStatus, Purpose
from keysat.infra.work import Read
from keysat.kit.errors import KeysatError, NotFound
from keysat.licenses.tables import License
from keysat.subscriptions.tables import Cycle, Subscription
from keysat.web.html import page, see_other
from keysat.web.problems import SAYABLE
from keysat.web.provide import WithVisit
from keysat.web.public.holding import Holding, holding_of
from keysat.web.public.progress import refresh_seconds
from keysat.web.public.told import is_known
from keysat.web.public.words import about
from keysat.web.security import SECRET_PAGE
from keysat.web.throttle import Rate
from keysat.web.visit import Visit
from keysat.web.wire import Paragraph

THANKS_FOR = timedelta(days=1)
"""For so long after a renewal the page says that it is paid; then what comes next."""


class PayForm(msgspec.Struct, frozen=True, kw_only=True):
    known: Paragraph = ""
    """As of `Holding.known`, on the page whose button was pressed."""


@get("/pay/{token:str}", include_in_schema=False)
async def show_bill(token: FromPath[str], visit: WithVisit) -> Response[Any]:
    try:
        subscription = await _subscription(visit, token)
    except NotFound as error:
        return _gone(visit, error)
    return await _shown(visit, subscription)


@post("/pay/{token:str}", status_code=200, include_in_schema=False)
async def pay_bill(token: FromPath[str], data: URLEncodedBody[PayForm], visit: WithVisit) -> Response[Any]:
    """No guard against other sites: the address is the secret, and paying is all that it is good for."""
    shop = visit.shop
    try:
        subscription = await _subscription(visit, token)
    except NotFound as error:
        return _gone(visit, error)
    trouble: KeysatError | None = None
    try:
        visit.limit(Rate.PURCHASE)
        async with shop.read() as read:
            holding = await _holding(read, visit, subscription)
        if holding.is_payment_seen or not is_known(holding.earlier, data.known):
            return await _shown(visit, subscription, holding)
        order_id = await pay(visit.desk, subscription.id)
        async with shop.read() as read:
            order, attempt = await read.get(Order, order_id), await payable_attempt(read, order_id)
        if order.status is OrderStatus.AWAITING and attempt is not None and attempt.checkout_url:
            return _to(attempt.checkout_url)
        if order.status is OrderStatus.FULFILLED:  # it cost nothing
            return _to(f"/pay/{token}")
    except SAYABLE as error:
        trouble = error
    return await _shown(visit, subscription, trouble=trouble)


async def _subscription(visit: Visit, token: str) -> Subscription:
    """After a look at what may be paid by now, so that nobody is asked to pay again. Raises NotFound, RateLimited."""
    shop = visit.shop
    try:
        async with shop.read() as read:
            found = await subscription_to_pay(read, shop.vault, token)
            order = await open_order(read, found.id)
            coming = await held_for_license(read, found.license_id, visit.now)
    except NotFound:
        visit.limit(Rate.BAD_KEY)
        raise
    visit.limit(Rate.POLL, found.id)
    waited_for = {one.order.id: one.order for one in coming if one.standing is Standing.COMES}
    if order is not None:
        waited_for[order.id] = order
    for one in waited_for.values():
        await look_if_stale(visit.desk, one)
    return found


async def _holding(read: Read, visit: Visit, subscription: Subscription) -> Holding:
    return await holding_of(read, visit.shop, await read.get(License, subscription.license_id), visit.now)


async def _shown(
    visit: Visit, subscription: Subscription, holding: Holding | None = None, *, trouble: KeysatError | None = None
) -> Response[Any]:
    """`holding`: as it was found just now."""
    async with visit.shop.read() as read:
        holding = holding or await _holding(read, visit, subscription)
        is_paid = not holding.is_payable and await _paid_lately(read, visit, subscription)
    order, own = holding.order, holding.own_money
    left = order.expires_at - holding.now if order and holding.is_open else None
    since = [one.order.status_at for one in holding.money] + ([order.status_at] if order else [])
    return page(
        visit,
        "pay.html",
        trouble=trouble,
        headers=SECRET_PAGE,
        holding=holding,
        is_paid=is_paid,
        part=own if own is not None and own.missing else None,
        refresh_seconds=refresh_seconds(holding.now - max(since)) if since else None,
        left=about(left) if left else "",
        left_seconds=int(left.total_seconds()) if left else 0,
        can_pay=bool(await visit.shop.tills.rails(holding.product.merchant_profile_id)),
        seller=holding.seller,
    )


async def _paid_lately(read: Read, visit: Visit, subscription: Subscription) -> bool:
    paid = select(Cycle.number).join(Order, Cycle.order_id == Order.id).where(Order.purpose == Purpose.RENEWAL)
    lately = Cycle.subscription_id == subscription.id, Cycle.paid_at > visit.now - THANKS_FOR
    return await read.session.scalar(paid.where(*lately).limit(1)) is not None


def _to(address: str) -> Response[Any]:
    return see_other(address, SECRET_PAGE)


def _gone(visit: Visit, error: KeysatError) -> Response[Any]:
    return page(visit, "lost.html", trouble=error, headers=SECRET_PAGE, what="bill")


ROUTES = (show_bill, pay_bill)
