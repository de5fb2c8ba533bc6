"""Retiring a product or a tier: here, where all that refers to it can be counted.

What was ever sold stays, so that its keys, books and late payments find what they belong to. By force goes only what
came to nothing: tiers, and orders that ended unpaid and that nobody watches for late money any more.
"""

from dataclasses import dataclass
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select

from keysat.catalog import discounts, policies, products
from keysat.catalog.discount_read import count_use
from keysat.catalog.rows import locked_policy, locked_product
from keysat.catalog.tables import DiscountCode, DiscountTier, Offer, Policy
from keysat.checkout.tables import Order, OrderId, OrderStatus, Redemption, RedemptionStatus, TierChange
from keysat.infra.attention import settle_about
from keysat.infra.house import Mode, mode_of
from keysat.infra.tables import Base
from keysat.infra.work import Work, flushed
from keysat.kit.errors import BadRequest, Conflict
from keysat.licenses.tables import License
from keysat.payments.tables import Attempt, NudgeRow
from keysat.subscriptions.tables import Subscription

S = OrderStatus
SOLD = (S.PAID, S.FULFILLED, S.UNDERPAID)
ENDED = (S.DRAFT, S.EXPIRED, S.INVALID)


class Removed(msgspec.Struct, frozen=True):
    """The slug of what is gone, and how much went with it."""

    deleted: str
    cascaded_policies: int = 0
    cascaded_offers: int = 0
    cascaded_orders: int = 0
    cascaded_attempts: int = 0
    cascaded_nudges: int = 0
    cascaded_codes: int = 0


@dataclass(frozen=True, slots=True)
class Hanging:
    """How many rows refer to it."""

    licenses: int
    subscriptions: int
    settled: int
    open: int
    ended: int
    codes: int

    @property
    def is_sold(self) -> bool:
        return bool(self.licenses or self.subscriptions or self.settled)

    def words(self) -> str:
        named = (
            (self.licenses, "license"),
            (self.open, "open order"),
            (self.settled, "settled order"),
            (self.ended, "ended order"),
            (self.subscriptions, "subscription"),
            (self.codes, "discount code"),
        )
        return ", ".join(f"{count} {noun}{'s' if count != 1 else ''}" for count, noun in named if count)


async def delete_product(work: Work, product_id: UUID, force: bool, typed_name: str | None) -> Removed:
    """Removes a product with its tiers, offers and features; by force with its ended orders too.

    Raises NotFound; BadRequest when `force` comes without the product's slug as `typed_name`; Conflict, which counts
    what hangs on it, when it was sold, can still be paid for, or has orders at all and is not forced.
    """
    row = await locked_product(work, product_id)
    instead = "Set it inactive and archive its tiers instead."
    ended = await _removable(work, _Scope.of_product(row.id), f"product {row.slug}", instead, force=force)
    _check_typed(row.slug, force, typed_name)
    tiers = (await work.session.scalars(select(Policy.id).where(Policy.product_id == row.id))).all()
    offers = await _count(work, Offer, Offer.policy_id.in_(tiers))
    orders, attempts, nudges = await _remove(work, ended)
    codes = await discounts.forget_product(work, row.id)
    for tier in tiers:
        await policies.delete_policy(work, tier)
    await products.delete_product(work, row.id)
    return Removed(row.slug, len(tiers), offers, orders, attempts, nudges, codes)


async def delete_policy(work: Work, policy_id: UUID, force: bool, typed_name: str | None) -> Removed:
    """Removes a tier with its offers; by force with its ended orders too. Raises as `delete_product` does."""
    _, row = await locked_policy(work, policy_id)
    offers = len(row.offers)
    scope = _Scope.of_policy(row.id)
    ended = await _removable(work, scope, f"tier {row.slug}", "Archive it instead.", force=force)
    _check_typed(row.slug, force, typed_name)
    orders, attempts, nudges = await _remove(work, ended)
    codes = await discounts.forget_policy(work, row.id)
    await policies.delete_policy(work, row.id)
    return Removed(row.slug, 0, offers, orders, attempts, nudges, codes)


@dataclass(frozen=True, slots=True)
class _Scope:
    """Which rows refer to the thing."""

    orders: ColumnElement[bool]
    licenses: ColumnElement[bool]
    subscriptions: ColumnElement[bool]
    codes: ColumnElement[bool]

    @classmethod
    def of_product(cls, product_id: UUID) -> "_Scope":
        tiers = select(Policy.id).where(Policy.product_id == product_id)
        return cls(
            Order.product_id == product_id,
            License.product_id == product_id,
            Subscription.policy_id.in_(tiers),
            DiscountCode.product_id == product_id,
        )

    @classmethod
    def of_policy(cls, policy_id: UUID) -> "_Scope":
        return cls(
            Order.policy_id == policy_id,
            License.policy_id == policy_id,
            Subscription.policy_id == policy_id,
            DiscountCode.tiers.any(DiscountTier.policy_id == policy_id),
        )


async def _removable(work: Work, scope: _Scope, name: str, instead: str, *, force: bool) -> Select[OrderId]:
    """The ended orders that go with it. Raises Conflict when something must stay."""
    ended = and_(scope.orders, Order.status.in_(ENDED))
    watched = and_(ended, await _may_still_be_paid(work))
    hanging = Hanging(
        licenses=await _count(work, License, scope.licenses),
        subscriptions=await _count(work, Subscription, scope.subscriptions),
        settled=await _count(work, Order, scope.orders, Order.status.in_(SOLD)),
        open=await _count(work, Order, scope.orders, Order.status.not_in((*SOLD, *ENDED))),
        ended=await _count(work, Order, ended),
        codes=await _count(work, DiscountCode, scope.codes),
    )
    if hanging.is_sold:
        raise Conflict(f"The {name} was sold: {hanging.words()}. {instead}")
    if hanging.open:
        raise Conflict(f"The {name} can still be paid for: {hanging.words()}. {instead}")
    if hanging.ended and not force:
        raise Conflict(f"The {name} was never sold, but there are orders: {hanging.words()}. Force it. Or: {instead}")
    if hanging.codes and not force:
        raise Conflict(f"The {name} has {hanging.words()}, made for it alone. Force it. Or: {instead}")
    last = select(func.max(Order.watch_until)).where(watched).execution_options(is_long=True)
    if until := await work.session.scalar(last):
        raise Conflict(
            f"The {name} has {hanging.words()}, and money may still come in for it until "
            f"{until.replace(second=0, microsecond=0):%Y-%m-%d %H:%M} UTC. {instead}"
        )
    return select(Order.id).where(ended)


async def _may_still_be_paid(work: Work) -> ColumnElement[bool]:
    """Of ended orders: the provider has an invoice, or may turn out to have one. Play money is not waited for."""
    is_opening = Order.status == S.DRAFT
    if await mode_of(work) == Mode.SANDBOX:
        return is_opening
    has_invoice = exists().where(Attempt.order_id == Order.id, Attempt.provider_invoice_id.is_not(None))
    return or_(is_opening, has_invoice) & (Order.watch_until > work.now)


async def _remove(work: Work, ended: Select[OrderId]) -> tuple[int, int, int]:
    """Orders, attempts and nudges that are gone. The orders are held first: one may be paid at this very moment."""
    orders = (await work.session.scalars(ended.with_for_update().execution_options(is_long=True))).all()
    tried = select(Attempt.id).where(Attempt.order_id.in_(ended)).execution_options(is_long=True)
    attempts = (await work.session.scalars(tried)).all()
    of_theirs = exists().where(
        Attempt.order_id.in_(ended),
        Attempt.connection_id == NudgeRow.connection_id,
        Attempt.provider_invoice_id == NudgeRow.invoice_id,
    )
    async with flushed(work, "Something else still refers to its orders. Archive it instead."):
        nudges = (await work.session.scalars(delete(NudgeRow).where(of_theirs).returning(NudgeRow.id))).all()
        await work.session.execute(delete(Attempt).where(Attempt.order_id.in_(ended)))
        await work.session.execute(delete(TierChange).where(TierChange.order_id.in_(ended)))
        await _give_uses_back(work, ended)
        await work.session.execute(delete(Order).where(Order.id.in_(ended)))
    for subject in (*orders, *attempts):
        await settle_about(work, subject)
    return len(orders), len(attempts), len(nudges)


async def _give_uses_back(work: Work, ended: Select[OrderId]) -> None:
    gone = await work.session.execute(
        delete(Redemption)
        .where(Redemption.order_id.in_(ended))
        .returning(Redemption.discount_id, Redemption.status)
        .execution_options(synchronize_session=False)
    )
    for discount_id, status in gone.all():
        if status != RedemptionStatus.RELEASED:
            await count_use(work, discount_id, -1)


async def _count(work: Work, model: type[Base], *which: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(model).where(*which)
    return await work.session.scalar(query.execution_options(is_long=True)) or 0


def _check_typed(slug: str, force: bool, typed_name: str | None) -> None:
    if force and typed_name != slug:
        raise BadRequest(f"Removing by force cannot be undone: type the name {slug} to say that you mean it.")
