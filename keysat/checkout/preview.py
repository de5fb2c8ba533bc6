"""What a purchase with a code would cost: contract 3.10. Consumes nothing."""

import msgspec
from msgspec import UNSET, UnsetType

from keysat.catalog.pricing import Refusal
from keysat.catalog.read import choose, product_by_slug
from keysat.catalog.tables import DiscountKind
from keysat.catalog.tiers import Choice
from keysat.catalog.views import DiscountView
from keysat.checkout.codes import WORDS, CodeRefused, asked_for
from keysat.checkout.desk import Desk
from keysat.checkout.order import priced
from keysat.checkout.quote import Quote, quote
from keysat.kit.errors import BadRequest, NotFound
from keysat.kit.money import BtcRate, Money
from keysat.payments.rates.pins import pin_of


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """A code that does not apply is `valid: false` with a `reason`; one that does comes with the price it leaves.

    A code that applies and takes nothing off is valid too, and is not used up: the `message` says so.

    `*_value` are minor units of `price_currency`. The sats are 0 when no rate is known (the value then is all there
    is). `is_free`: a free license, for `POST /v1/redeem`; a final price of 0 can be redeemed too.
    """

    valid: bool
    message: str
    base_price_sats: int
    price_currency: str
    base_price_value: int
    reason: Refusal | UnsetType = UNSET
    code: str | UnsetType = UNSET
    kind: DiscountKind | UnsetType = UNSET
    is_free: bool | UnsetType = UNSET
    discount_applied_sats: int | UnsetType = UNSET
    final_price_sats: int | UnsetType = UNSET
    discount_applied_value: int | UnsetType = UNSET
    final_price_value: int | UnsetType = UNSET
    discount_currency: str | UnsetType | None = UNSET
    amount_pct: float | UnsetType | None = UNSET
    duration_cycles: int | UnsetType | None = UNSET


async def preview(desk: Desk, code: str, product: str, policy_slug: str | None, offer: str | None) -> Preview:
    """An unknown tier is ignored. Raises NotFound for the product, BadRequest for a blank code or what is not on sale.

    Raises RateUnavailable for a code in sats when the price in fiat cannot be converted: a purchase would too.
    """
    if not code.strip():
        raise BadRequest("The code is blank. Type one.")
    async with desk.read() as read:
        await product_by_slug(read, product)
        try:
            choice = await choose(read, product, policy_slug, offer)
        except NotFound:
            policy_slug = offer = None
            choice = await choose(read, product)
        pin = await pin_of(read, choice.price.currency)
        try:
            asked = await asked_for(read, product, policy_slug, offer, code, desk.now)
        except CodeRefused as refused:
            return _refused(desk, choice, refused.why, refused.message, pin)
    if asked.discount is None:
        raise ValueError("a preview without a code")
    if asked.discount.remaining_uses == 0:
        return _refused(desk, asked.choice, Refusal.EXHAUSTED, WORDS[Refusal.EXHAUSTED], pin)
    _, found = await priced(desk, asked, pin)
    return _valid(asked.discount, found)


def _refused(desk: Desk, choice: Choice, why: Refusal, message: str, pin: BtcRate | None) -> Preview:
    plain = quote(choice.price, desk.board.peek(choice.price.currency, pin))
    return Preview(
        valid=False,
        reason=why,
        message=message,
        base_price_sats=plain.base_sats or 0,
        price_currency=plain.base.currency,
        base_price_value=plain.base.minor,
    )


def _valid(discount: DiscountView, found: Quote) -> Preview:
    base_sats, final_sats = found.base_sats or 0, found.amount_sats or 0
    return Preview(
        valid=True,
        message=_message(found),
        base_price_sats=base_sats,
        price_currency=found.base.currency,
        base_price_value=found.base.minor,
        code=discount.code,
        kind=discount.kind,
        is_free=discount.kind == DiscountKind.FREE_LICENSE,
        discount_applied_sats=base_sats - final_sats,
        final_price_sats=final_sats,
        discount_applied_value=(found.base - found.price).minor,
        final_price_value=found.price.minor,
        discount_currency=discount.currency,
        amount_pct=discount.amount / 100 if discount.kind == DiscountKind.PERCENT else None,
        duration_cycles=discount.cycles,
    )


def _message(found: Quote) -> str:
    if found.is_list_price:
        price = "is free anyway" if found.is_free else f"costs {_text(found.base)} with or without it"
        return f"This code takes nothing off here, and would not be used up: it {price}."
    if found.is_free:
        return "The code is applied: it is free."
    return f"The code is applied: {_text(found.asked)} instead of {_text(found.base)}."


def _text(price: Money) -> str:
    return f"{price.decimal_text()} {price.currency}"
