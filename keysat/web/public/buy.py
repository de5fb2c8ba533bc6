"""The buy page of a product: choose a tier, and be sent to where it is paid. One plain form, no JavaScript needed."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, URLEncodedBody

from keysat.catalog.read import policies, product_by_slug
from keysat.catalog.tiers import pick
from keysat.catalog.views import PolicyView, ProductView
from keysat.checkout.codes import CodeRefused
from keysat.checkout.held import Held, held_for_browser
from keysat.checkout.order import purchase
from keysat.checkout.read import payable_attempt
from keysat.checkout.seller import told_of
from keysat.checkout.tables import Order, OrderId, OrderStatus
from keysat.checkout.trials import IdentityMissing, TrialUsed
from keysat.checkout.wish import Wish, hash_of, rail_of
from keysat.customers.accounts import normal_email
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest, Conflict, KeysatError, NotFound, RateLimited
from keysat.kit.ids import token
from keysat.kit.money import BtcRate, Money
from keysat.payments.provider import Rail
from keysat.payments.rates.pins import pin_of
from keysat.upkeep.shop import Shop
from keysat.web.html import page, see_other
from keysat.web.problems import SAYABLE
from keysat.web.provide import WithVisit
from keysat.web.public.cards import BETWEEN, Option, cards, preselected
from keysat.web.public.deals import PAIR, Deals, deals, known, promised
from keysat.web.public.told import is_known, references
from keysat.web.public.words import RAILS
from keysat.web.security import give_cookie, same_origin
from keysat.web.shared_limits import limit_shared
from keysat.web.throttle import Rate
from keysat.web.visit import Visit

COOKIE = "keysat_buyer"
COOKIE_LIFE = timedelta(days=30)
COOKIE_BITS = 160
FIELD_MAX = 255
_buying: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
"""A double click comes as two requests at once: the second one waits, and finds the order of the first."""


class BuyForm(msgspec.Struct, frozen=True, kw_only=True):
    choice: str = ""
    buyer_email: str = ""
    rail: str = ""
    code: str = ""
    no_code: str = ""
    """Not empty: the buyer took the featured code off."""
    auto: str = ""
    """The featured codes that the page promised, by tier."""
    prices: str = ""
    """The list prices that the page showed, by choice."""
    trial: str = ""
    """`no`: bought without the trial."""
    known: str = ""
    """Which orders under way the page told of."""
    act: str = ""
    """Which button: apply or remove a code; empty: buy."""


@dataclass(frozen=True, slots=True)
class Counter:
    """What is on sale of one product right now."""

    product: ProductView
    tiers: list[PolicyView]
    """Those that anyone may buy."""
    sells_itself: bool
    """It has no tiers at all, not even private ones."""
    pin: BtcRate | None
    deals: Deals
    seller: Mapping[str, object]

    def tier(self, slug: str | None) -> PolicyView | None:
        return next((tier for tier in self.tiers if tier.slug == slug), None)


@dataclass(frozen=True, slots=True)
class Trouble:
    error: KeysatError
    field: str = ""
    """The form's field it belongs to; empty: the whole form."""


@get("/buy/{slug:str}", include_in_schema=False)
async def show_counter(slug: FromPath[str], request: Request[Any, Any, Any], visit: WithVisit) -> Response[str]:
    code = request.query_params.get("code", "")[:FIELD_MAX].strip()
    trouble = None
    if code and not visit.allows(Rate.PREVIEW).allowed:
        code, trouble = "", Trouble(RateLimited("Too many codes were tried from here. Type it again in a minute."))
    async with visit.shop.read() as read:
        counter = await _counter(read, slug, BuyForm(code=code), visit.now)
    if counter is None:
        return _nothing_here(visit)
    if not counter.tiers and not counter.sells_itself:
        return _closed(visit, counter)
    wanted = (request.query_params.get("policy") or None, request.query_params.get("offer") or None)
    option = preselected(counter.product, counter.tiers, *wanted)
    asked_for_other = any(wanted) and (option.slugs != (wanted[0] or option.slugs[0], wanted[1] or ""))
    form = BuyForm(choice=option.value, code=code)
    try:
        _check_code(counter, form)
    except CodeRefused as error:
        trouble = trouble or Trouble(error, "code")
    buyer = _buyer(visit, request)
    under_way = await _under_way(visit, counter, buyer)
    shown = await _page(visit, counter, form, trouble=trouble, asked_for_other=asked_for_other, under_way=under_way)
    return _with_cookie(request, shown, buyer)


@post("/buy/{slug:str}", status_code=200, include_in_schema=False, guards=[same_origin])
async def buy(
    slug: FromPath[str], data: URLEncodedBody[BuyForm], request: Request[Any, Any, Any], visit: WithVisit
) -> Response[Any]:
    data, shop = _code_taken_off(data), visit.shop
    async with shop.read() as read:
        counter = await _counter(read, slug, data, visit.now)
    if counter is None:
        return _nothing_here(visit)
    buyer = _buyer(visit, request)
    under_way = await _under_way(visit, counter, buyer)
    show = partial(_page, visit, under_way=under_way)
    try:
        visit.limit(Rate.PREVIEW if data.act else Rate.PURCHASE)
        if data.act:
            _check_code(counter, data)
            return _with_cookie(request, await show(counter, data), buyer)
        if not is_known(under_way, data.known):
            return _with_cookie(request, await show(counter, data), buyer)
        _check_email(data.buyer_email)
        _check_price(counter, data)
        async with _buying.setdefault(hash_of(buyer), asyncio.Lock()):
            wish, admit = _wish(counter, data, buyer), partial(limit_shared, visit, Rate.TRIAL)
            order_id = await purchase(visit.desk, wish, admit)
        address = await _where_to_pay(shop, order_id)
    except SAYABLE as error:
        if not counter.tiers and not counter.sells_itself:
            return _closed(visit, counter)
        if isinstance(error, CodeRefused) and not data.code:  # what the page promised has just run out
            async with shop.read() as read:
                counter = await _counter(read, slug, data, visit.now) or counter
            error = BadRequest(f"{error.message} Here is the price without it.")
        shown = await show(counter, data, trouble=_trouble(error, counter))
        return _with_cookie(request, shown, buyer)
    return _with_cookie(request, see_other(address), buyer)


def _code_taken_off(form: BuyForm) -> BuyForm:
    """The button beside a code: a typed one is forgotten, a featured one declined."""
    if form.act != "remove":
        return form
    return msgspec.structs.replace(form, code="", no_code="" if form.code.strip() else "1")


async def _under_way(visit: Visit, counter: Counter, buyer: str) -> Sequence[Held]:
    """What this browser has bought here, and money has come for: who presses again may take it for lost."""
    async with visit.shop.read() as read:
        return await held_for_browser(read, hash_of(buyer), counter.product.id, visit.now)


def _check_code(counter: Counter, form: BuyForm) -> None:
    """Raises CodeRefused for a typed code that does not hold for the tier that is chosen."""
    if form.code.strip():
        tier = counter.tier(form.choice.partition(BETWEEN)[0])
        known(counter.deals, counter.product, tier.id if tier else None)


async def _counter(read: Read, slug: str, form: BuyForm, now: datetime) -> Counter | None:
    """None for a product that is not there, or not shown."""
    try:
        product = await product_by_slug(read, slug)
    except NotFound:
        return None
    if not product.active:
        return None
    tiers = await policies(read, product)
    open_tiers = [tier for tier in tiers if tier.is_open]
    found = await deals(read, product, open_tiers, form.code[:FIELD_MAX], now, takes_featured=not form.no_code)
    pin, seller = await pin_of(read, product.price_currency), await told_of(read, product.merchant_profile_id)
    return Counter(product, open_tiers, not tiers, pin, found, seller)


class _EmailTrouble(BadRequest):
    """Says where it belongs."""


def _check_email(typed: str) -> None:
    if typed.strip():
        try:
            normal_email(typed)
        except BadRequest as error:
            raise _EmailTrouble(error.message) from error


def _check_price(counter: Counter, form: BuyForm) -> None:
    """Raises Conflict where it is another than on the page, which may have stood open for days."""
    seen = promised(form.prices, form.choice)
    slug, _, offer = form.choice.partition(BETWEEN)
    with suppress(BadRequest, NotFound):  # of what is not on sale any more the purchase tells
        if seen and seen != _written(pick(counter.product, counter.tiers, slug, offer).price):
            raise Conflict("The price has changed. This is what it costs now.")


def _written(price: Money) -> str:
    return f"{price.minor}{price.currency}"


def _wish(counter: Counter, form: BuyForm, buyer: str) -> Wish:
    if any(len(value) > FIELD_MAX for value in (form.choice, form.rail, form.code)) or (
        counter.tiers and not form.choice
    ):
        raise BadRequest("Choose one of the tiers.")
    slug, _, offer = form.choice.partition(BETWEEN)
    tier = counter.tier(slug)
    tries = tier is not None and tier.trial_begins_in_browser and not form.trial
    return Wish(
        product=counter.product.slug,
        policy_slug=slug or None,
        offer=offer or None,
        code=form.code.strip() or (promised(form.auto, slug) if not form.no_code and not tries else None) or None,
        takes_trial=tries,
        takes_featured=not form.no_code,
        buyer_email=form.buyer_email.strip() or None,
        rail=rail_of(form.rail),
        buyer_token=buyer,
    )


async def _where_to_pay(shop: Shop, order_id: OrderId) -> str:
    async with shop.read() as read:
        order = await read.get(Order, order_id)
        attempt = await payable_attempt(read, order_id)
    if attempt is not None and attempt.checkout_url and order.status == OrderStatus.AWAITING:
        return attempt.checkout_url
    return order.page


def _trouble(error: KeysatError, counter: Counter) -> Trouble:
    name = counter.product.name
    match error:
        case IdentityMissing():
            words = f"The free days of {name} are once for each e-mail address: type yours. Or buy at once."
            return Trouble(IdentityMissing(words), "buyer_email")
        case TrialUsed():
            words = f"This address has had its free days of {name}. Buy it, or recover the key if it was lost."
            return Trouble(TrialUsed(words), "buyer_email")
        case _EmailTrouble():
            return Trouble(error, "buyer_email")
        case CodeRefused():
            return Trouble(error, "code")
        case _:
            return Trouble(error)


async def _page(
    visit: Visit,
    counter: Counter,
    form: BuyForm,
    *,
    trouble: Trouble | None = None,
    asked_for_other: bool = False,
    under_way: Sequence[Held] = (),
) -> Response[str]:
    shop = visit.shop
    served = await shop.tills.rails(counter.product.merchant_profile_id)
    rails = [rail for rail in RAILS if rail in served]
    rate = shop.board.peek(counter.product.price_currency, counter.pin)
    shop.board.warm(counter.product.price_currency, counter.pin)
    codes = counter.deals
    shown = cards(
        counter.product,
        counter.tiers,
        rate,
        rails,
        lambda tier: codes.of(counter.product, tier),
        now=visit.now,
        has_trials=not form.code.strip(),
    )
    options: list[Option] = [option for card in shown for option in card.options]
    on_offer = [option.value for option in options if rails or option.starts_free]
    wanted = (form.choice, preselected(counter.product, counter.tiers, None, None).value, *on_offer)
    return page(
        visit,
        "buy.html",
        trouble=trouble.error if trouble else None,
        trouble_field=trouble.field if trouble else "",
        product=counter.product,
        cards=shown,
        options=options,
        on_offer=on_offer,
        chosen=next((value for value in wanted if value in on_offer), None),
        form=form,
        rails=[(rail.value, *RAILS[rail]) for rail in rails] if len(rails) > 1 else [],
        rail=form.rail if form.rail in set(Rail) else "",
        asked_for_other=asked_for_other,
        under_way=under_way,
        known=references(under_way),
        can_pay=bool(rails),
        has_codes=codes.has_codes or bool(form.code),
        is_applied=any(option.deal for option in options),
        automatic=codes.automatic(counter.tiers),
        prices=" ".join(f"{option.value}{PAIR}{_written(option.base)}" for option in options),
        seller=counter.seller,
    )


def _nothing_here(visit: Visit) -> Response[str]:
    return page(visit, "lost.html", what="product", trouble=NotFound("There is no such product."))


def _closed(visit: Visit, counter: Counter) -> Response[str]:
    return page(visit, "closed.html", product=counter.product, seller=counter.seller)


def _buyer(visit: Visit, request: Request[Any, Any, Any]) -> str:
    """The browser's own random token: the one it sent, unless that is none of ours."""
    sent = request.cookies.get(COOKIE, "")
    sound = len(sent) == COOKIE_BITS // 5 and sent.isascii() and sent.isalnum()
    return sent if sound else token(visit.shop.chance, COOKIE_BITS)


def _with_cookie(request: Request[Any, Any, Any], response: Response[Any], buyer: str) -> Response[Any]:
    give_cookie(request, response, COOKIE, buyer, life=COOKIE_LIFE, path="/buy")
    return response


ROUTES = (show_counter, buy)
