"""Opening an order: from the buyer's wish to a checkout page, or straight to the key when nothing is to be paid.

An errand: a short transaction writes order and attempt before the provider is asked, so that no crash loses an invoice.
"""

from keysat.checkout.codes import Asked, CodeRefused, asked_for, bind, reserve
from keysat.checkout.desk import Desk
from keysat.checkout.draft import buyer_of, draft
from keysat.checkout.invoice import open_invoice, rate_for, try_at
from keysat.checkout.quote import Quote, quote
from keysat.checkout.reopen import ordered_already, readdress
from keysat.checkout.settle import settle
from keysat.checkout.tables import Order, OrderId, PaidHow, Purpose
from keysat.checkout.trials import Admit, begin, is_trial
from keysat.checkout.wish import Wish
from keysat.infra.work import Work
from keysat.kit.errors import BadRequest
from keysat.kit.money import BtcRate
from keysat.payments.profiles import profile_of, redirect_of
from keysat.payments.rates.board import RateUnavailable
from keysat.payments.rates.pins import pin_of


async def purchase(desk: Desk, wish: Wish, admit: Admit) -> OrderId:
    """Open an order for the wish. A free one and a trial are fulfilled at once; any other has a checkout page then.

    Raises NotFound and BadRequest as contract 3.7 says, UpstreamError when neither a rate nor a provider answers; of a
    trial what `trials.begin` does, which asks `admit`.
    """
    async with desk.read() as read:
        asked = await asked_for(
            read, wish.product, wish.policy_slug, wish.offer, wish.code, desk.now, takes_featured=wish.takes_featured
        )
        pin = await pin_of(read, asked.choice.price.currency)
    if is_trial(wish, asked):
        return await begin(desk, wish, asked.choice, pin, admit)
    asked, quoted = await priced(desk, asked, pin)
    async with desk.read() as read:
        before = await ordered_already(read, wish, asked.choice, asked.discount, quoted, desk.now)
    if before is not None:
        await readdress(desk, before.id, wish)
        return before.id
    try:
        return await _buy(desk, wish, asked, quoted)
    except CodeRefused:
        if asked.is_typed:
            raise
    # The featured code has just run out: who typed none hears of none, and pays the list price (W-42).
    plain = asked.without_code
    return await _buy(desk, wish, plain, quote(plain.choice.price, quoted.rate))


async def priced(desk: Desk, asked: Asked, pin: BtcRate | None) -> tuple[Asked, Quote]:
    """What it costs now, and with which code: preview and purchase both ask here, so they cannot differ.

    A code that brings nothing is left out, since a use is never spent for nothing (W-09); so is a featured one that
    needs a rate. Raises RateUnavailable for a typed one. Of a typed one that is used up `reserve` tells.
    """
    price, discount = asked.choice.price, asked.discount
    rate = await rate_for(desk, price, discount, pin)
    try:
        quoted = quote(price, rate, discount)
    except RateUnavailable:
        if asked.is_typed:
            raise
        return asked.without_code, quote(price, rate)
    if discount is None or not quoted.is_list_price or (asked.is_typed and discount.remaining_uses == 0):
        return asked, quoted
    return asked.without_code, quote(price, rate)


async def _buy(desk: Desk, wish: Wish, asked: Asked, quoted: Quote) -> OrderId:
    if quoted.is_free:
        return await _give(desk, wish, asked, quoted)
    if wish.only_free:
        raise BadRequest("This code requires payment: it does not make it free. Purchase with it.")
    till = await desk.tills.pick(asked.choice.product.merchant_profile_id, wish.rail)
    price = till.asks_in(quoted.asked, quoted.amount_sats)
    async with desk.work() as work:
        order = await _draft(work, wish, asked, quoted)
        attempt = try_at(work, order, till, price)
    await open_invoice(desk, till, order, attempt, asked.choice)
    return order.id


async def _give(desk: Desk, wish: Wish, asked: Asked, quoted: Quote) -> OrderId:
    """Nothing to pay: opened and fulfilled in one transaction."""
    async with desk.work() as work:
        order = await _draft(work, wish, asked, quoted)
        await settle(work, order, how=PaidHow.FREE)
        return order.id


async def _draft(work: Work, wish: Wish, asked: Asked, quoted: Quote) -> Order:
    """Raises CodeRefused when the code has no use left."""
    if asked.discount is not None:
        await reserve(work, asked.discount)
    order = await draft(work, Purpose.PURCHASE, asked.choice, quoted, await buyer_of(work, wish))
    if order.redirect_url is None:
        profile = await profile_of(work, asked.choice.product.merchant_profile_id)
        order.redirect_url = redirect_of(profile, order.invoice_id)
    if asked.discount is not None:
        await bind(work, asked.discount, order)
    return order
