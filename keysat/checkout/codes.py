"""Codes at the counter: what a request asks for with one, and the use that its order reserves, redeems or gives back.

A use is reserved in the order's own transaction and lives as long as the order can be paid without a person: until the
late window is over, where nothing was seen. Money that comes after that, and is accepted, takes it up again, beyond the
code's limit if need be: the buyer was promised the price.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select

from keysat.catalog.discount_read import count_use, discount_of, featured_codes, take_use
from keysat.catalog.pricing import Refusal, best_featured, refusal
from keysat.catalog.read import choose, policies
from keysat.catalog.tables import DiscountCode, DiscountKind
from keysat.catalog.tiers import Choice, pick
from keysat.catalog.views import DiscountView
from keysat.checkout.happenings import CodeRedeemed, CodeReleased, CodeReserved
from keysat.checkout.redemptions import redemption_of
from keysat.checkout.tables import (
    REDEMPTION,
    Order,
    Redemption,
    RedemptionId,
    RedemptionStatus,
    RedemptionStep,
)
from keysat.infra.work import Read, Work
from keysat.kit.errors import BadRequest
from keysat.licenses.tables import License

WORDS = {
    Refusal.UNKNOWN: "This code is not known. Check its spelling, or leave it out.",
    Refusal.DISABLED: "This code is not active at the moment.",
    Refusal.EXPIRED: "This code has expired.",
    Refusal.WRONG_PRODUCT: "This code is for another product.",
    Refusal.WRONG_CURRENCY: "This code is for prices in another currency.",
    Refusal.WRONG_TIER: "This code is not for this tier.",
    Refusal.EXHAUSTED: "This code has been used as often as it could be.",
}


class CodeRefused(BadRequest):
    """A code that was typed and does not apply. `reason` is the word of the preview (contract 3.10)."""

    def __init__(self, why: Refusal, words: str = "") -> None:
        super().__init__(words or WORDS[why], reason=why.value)
        self.why = why


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request buys, and with which code."""

    choice: Choice
    discount: DiscountView | None
    is_typed: bool = True
    """False: the code is the tier's featured one, and the list price holds when it cannot be had."""

    @property
    def without_code(self) -> "Asked":
        return replace(self, discount=None)


async def asked_for(
    read: Read,
    product: str,
    policy_slug: str | None,
    offer: str | None,
    code: str | None,
    now: datetime,
    *,
    takes_featured: bool = True,
) -> Asked:
    """Contract 3.7, steps 1, 2 and 5. Whether a use is left is said by `reserve` alone.

    Raises NotFound and BadRequest as `choose` does; CodeRefused for a typed code that does not apply.
    """
    choice = await choose(read, product, policy_slug, offer)
    if not code or not code.strip():
        return await _featured(read, choice, policy_slug, now) if takes_featured else Asked(choice, None)
    discount = await discount_of(read, code)
    if discount is None:
        raise CodeRefused(Refusal.UNKNOWN)
    if not policy_slug:
        choice = await _default_of(read, choice, offer, discount)
    await check(read, discount, choice, now)
    return Asked(choice, discount)


async def check(read: Read, discount: DiscountView, choice: Choice, now: datetime) -> None:
    """Raises CodeRefused, which names the tiers that the code is for."""
    policy_id = choice.policy.id if choice.policy else None
    why = refusal(discount, choice.product.id, policy_id, choice.price.currency, now)
    if why == Refusal.WRONG_TIER:
        tiers = await policies(read, choice.product)
        names = [tier.name for tier in tiers if tier.id in discount.policy_ids and tier.is_open]
        raise CodeRefused(why, f"This code is only for {', '.join(names)}." if names else "")
    if why is not None:
        raise CodeRefused(why)


async def _featured(read: Read, choice: Choice, policy_slug: str | None, now: datetime) -> Asked:
    """Only when a tier was chosen."""
    if not policy_slug or choice.policy is None or not choice.price.minor:
        return Asked(choice, None)
    candidates = await featured_codes(read, choice.product.id, now)
    best = best_featured(candidates, choice.product.id, choice.policy.id, choice.price, now)
    return Asked(choice, best, is_typed=False)


async def _default_of(read: Read, choice: Choice, offer: str | None, discount: DiscountView) -> Choice:
    """The tier of a free license that names none: the default one of those that the code is for."""
    if discount.kind != DiscountKind.FREE_LICENSE or not discount.policy_ids:
        return choice
    tiers = [tier for tier in await policies(read, choice.product) if tier.id in discount.policy_ids and tier.is_open]
    return pick(choice.product, tiers, None, offer) if tiers else choice


async def reserve(work: Work, discount: DiscountView) -> None:
    """Take one of the uses that are left. Raises CodeRefused; the caller's order is then not written either."""
    if await take_use(work, discount.id):
        return
    code = await work.session.get_one(DiscountCode, discount.id, populate_existing=True)
    has_ended = code.expires_at is not None and code.expires_at <= work.now
    raise CodeRefused(Refusal.DISABLED if not code.active else Refusal.EXPIRED if has_ended else Refusal.EXHAUSTED)


async def bind(work: Work, discount: DiscountView, order: Order) -> None:
    """The use that `reserve` took is this order's."""
    row = Redemption(
        id=RedemptionId(work.new_id()),
        order_id=order.id,
        discount_id=discount.id,
        status=RedemptionStatus.RESERVED,
        kind=discount.kind,
        amount=discount.amount,
        currency=discount.currency,
        cycles=discount.cycles,
        created_at=work.now,
        status_at=work.now,
    )
    work.session.add(row)
    await work.session.flush()
    work.record(CodeReserved(redemption_id=row.id, code_id=discount.id, code=discount.code, order_id=order.id))


async def redeem(work: Work, order: Order, license: License) -> None:
    """The order is fulfilled: its use is spent, also one that had been given back."""
    row = await redemption_of(work, order.id)
    if row is None or row.status == RedemptionStatus.REDEEMED:
        return
    if row.status == RedemptionStatus.RELEASED:
        await count_use(work, row.discount_id, 1)
    await work.advance(REDEMPTION, row, RedemptionStep.REDEEM, status_at=work.now)
    code = await work.session.scalar(select(DiscountCode.code).where(DiscountCode.id == row.discount_id))
    work.record(
        CodeRedeemed(
            redemption_id=row.id,
            code_id=row.discount_id,
            code=code or "",
            license_id=str(license.id),
            product_id=str(order.product_id),
            order_id=order.id,
            discount_applied_sats=order.sats_off,
            base_price_sats=order.base_sats or 0,
            final_price_sats=order.amount_sats or 0,
            listed_currency=order.listed_currency,
            base_value=order.base_value,
            listed_value=order.listed_value,
        )
    )


async def release(work: Work, order: Order) -> bool:
    """The order has ended, and no money for it is waited for: give its use back. False: it holds none."""
    row = await redemption_of(work, order.id)
    if row is None or row.status != RedemptionStatus.RESERVED:
        return False
    await count_use(work, row.discount_id, -1)
    await work.advance(REDEMPTION, row, RedemptionStep.RELEASE, status_at=work.now)
    work.record(CodeReleased(row.id, row.discount_id, order.id))
    return True
