"""The address that a subscriber is mailed, and finds again for ever: what is to be paid, and the way to the checkout.

Looking opens nothing at the provider, since mail scanners open every link; the button does. No key is shown here: who
has this link may pay, and no more.
"""

from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromPath

from keysat.checkout.pay_link import subscription_to_pay
from keysat.checkout.read import payable_attempt
from keysat.checkout.renew import pay
from keysat.checkout.tables import Order, OrderStatus
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest, Conflict, KeysatError, NotFound, RateLimited, Unavailable, UpstreamError
from keysat.licenses.tables import License
from keysat.subscriptions.tables import Subscription
from keysat.web.html import page, told
from keysat.web.provide import WithActor, WithNow, WithShop, WithVisit
from keysat.web.public.holding import Holding, holding_of
from keysat.web.public.words import about
from keysat.web.security import SECRET_PAGE
from keysat.web.throttle import Rate
from keysat.web.visit import Visit, visit_of

_SAYABLE = (BadRequest, NotFound, Conflict, RateLimited, UpstreamError, Unavailable)
_Asking = Request[Any, Any, Any]


@get("/pay/{token:str}", include_in_schema=False)
async def show_bill(token: FromPath[str], request: _Asking, visit: WithVisit, shop: WithShop) -> Response[Any]:
    async with shop.read() as read:
        try:
            subscription = await _subscription(read, visit, token)
        except (NotFound, RateLimited) as error:
            return _gone(request, error)
        holding = await _holding(read, visit, subscription)
    return _page(request, holding)


@post("/pay/{token:str}", status_code=200, include_in_schema=False)
async def pay_bill(
    token: FromPath[str], request: _Asking, visit: WithVisit, shop: WithShop, now: WithNow, actor: WithActor
) -> Response[Any]:
    """No guard against other sites: the address is the secret, and paying is all that it is good for."""
    trouble: KeysatError | None = None
    async with shop.read() as read:
        try:
            subscription = await _subscription(read, visit, token)
        except (NotFound, RateLimited) as error:
            return _gone(request, error)
    try:
        visit.limit(Rate.PURCHASE)
        order_id = await pay(shop.desk, subscription.id, now, actor)
        async with shop.read() as read:
            order, attempt = await read.get(Order, order_id), await payable_attempt(read, order_id)
        if order.status is OrderStatus.AWAITING and attempt is not None and attempt.checkout_url:
            return _to(attempt.checkout_url)
        if order.status is OrderStatus.FULFILLED:  # it cost nothing
            return _to(f"/pay/{token}")
    except _SAYABLE as error:
        trouble = error
    async with shop.read() as read:
        holding = await _holding(read, visit, await read.get(Subscription, subscription.id))
    return _page(request, holding, trouble)


async def _subscription(read: Read, visit: Visit, token: str) -> Subscription:
    """Raises NotFound, RateLimited."""
    try:
        found = await subscription_to_pay(read, visit.shop.vault, token)
    except NotFound:
        visit.limit(Rate.BAD_KEY)
        raise
    visit.limit(Rate.POLL, found.id)
    return found


async def _holding(read: Read, visit: Visit, subscription: Subscription) -> Holding:
    return await holding_of(read, visit.shop, await read.get(License, subscription.license_id), visit.now)


def _page(request: _Asking, holding: Holding, trouble: KeysatError | None = None) -> Response[Any]:
    left = holding.order.expires_at - holding.now if holding.is_open and holding.order else None
    response = page(
        request,
        "pay.html",
        holding=holding,
        left=about(left) if left else "",
        left_seconds=int(left.total_seconds()) if left else 0,
        trouble=trouble.message if trouble else "",
        can_pay=bool(visit_of(request).shop.tills.rails()),
    )
    response.headers.update(SECRET_PAGE)
    return told(response, trouble)


def _to(address: str) -> Response[Any]:
    return Response(None, status_code=303, headers=SECRET_PAGE | {"Location": address})


def _gone(request: _Asking, error: KeysatError) -> Response[Any]:
    response = page(request, "lost.html", what="bill")
    response.headers.update(SECRET_PAGE)
    return told(response, error)


ROUTES = (show_bill, pay_bill)
