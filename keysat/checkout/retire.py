"""Retiring a product or a tier: here, where all that refers to it can be counted.

What was ever sold stays, so that its keys, books and late payments find what they belong to. By force goes only what
came to nothing: tiers, and orders that ended unpaid and that nobody watches for late money any more.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select

from keysat.catalog import discounts, policies, products
from keysat.catalog.discount_read import count_use
from keysat.catalog.rows import locked_policy, locked_product
from keysat.catalog.tables import DiscountCode, DiscountTier, Offer, Policy, Product
from keysat.checkout.change.tables import TierChange
from keysat.checkout.tables import (
    NEVER_PAID,
    TOOK_MONEY,
    Order,
    OrderId,
    OrderStatus,
    Redemption,
    RedemptionStatus,
)
from keysat.infra.attention import settle_about
from keysat.infra.house import Mode, mode_of
from keysat.infra.tables import Base
from keysat.infra.work import Read, Work, flushed
from keysat.infra.written import counts, minute
from keysat.kit.errors import BadRequest, Conflict
from keysat.licenses.tables import License
from keysat.payments.tables import Attempt, NudgeRow
from keysat.subscriptions.tables import Subscription


class Removed(msgspec.Struct, frozen=True):
    """The slug of what is gone, and how much went with it."""

    deleted: str
    cascaded_policies: int = 0
    cascaded_offers: int = 0
    cascaded_orders: int = 0
    cascaded_attempts: int = 0
    cascaded_nudges: int = 0
    cascaded_codes: int = 0


class Goes(StrEnum):
    """Whether it can be deleted."""

    FREELY = "freely"
    BY_FORCE = "by_force"
    NOT_YET = "not_yet"  # money may still come in for it
    NEVER = "never"


class Deletion(msgspec.Struct, frozen=True):
    """What hangs on it, before anything is deleted. `refusal`: what deleting it without force answers, where it does
    not go.

    By force the ended orders and the codes that are made for it alone go with it. Policies and offers go in any case.
    """

    slug: str
    goes: Goes
    refusal: str | None
    licenses: int
    subscriptions: int
    settled_orders: int
    open_orders: int
    ended_orders: int
    codes: int
    policies: int
    offers: int


@dataclass(frozen=True, slots=True)
class Hanging:
    """How many rows refer to it."""

    name: str
    instead: str
    licenses: int
    subscriptions: int
    settled: int
    open: int
    ended: int
    codes: int
    watched_until: datetime | None
    """Until then money may still come in for an ended order."""

    @property
    def goes(self) -> Goes:
        if self.licenses or self.subscriptions or self.settled:
            return Goes.NEVER
        if self.open or self.watched_until is not None:
            return Goes.NOT_YET
        return Goes.BY_FORCE if self.ended or self.codes else Goes.FREELY

    def refusal(self, *, force: bool) -> str | None:
        """In words; None: it goes."""
        match self.goes:
            case Goes.NEVER:
                return f"The {self.name} was sold: {self.words()}. {self.instead}"
            case Goes.NOT_YET if self.open:
                return f"The {self.name} can still be paid for: {self.words()}. {self.instead}"
            case Goes.NOT_YET if self.watched_until is not None:
                until = self.watched_until.replace(second=0, microsecond=0)
                return (
                    f"The {self.name} has {self.words()}, and money may still come in for it until "
                    f"{minute(until)}. {self.instead}"
                )
            case Goes.BY_FORCE if not force and self.ended:
                return (
                    f"The {self.name} was never sold, but there are orders: {self.words()}. "
                    f"Force it. Or: {self.instead}"
                )
            case Goes.BY_FORCE if not force:
                return f"The {self.name} has {self.words()}, made for it alone. Force it. Or: {self.instead}"
            case _:
                return None

    def words(self) -> str:
        return counts(
            (self.licenses, "license"),
            (self.open, "open order"),
            (self.settled, "settled order"),
            (self.ended, "ended order"),
            (self.subscriptions, "subscription"),
            (self.codes, "discount code"),
        )


async def deletion_of_product(read: Read, product_id: UUID, now: datetime) -> Deletion:
    """Raises NotFound."""
    row = await read.get(Product, product_id)
    scope = _Scope.of_product(row.id, row.slug)
    return _told(row.slug, await _hanging(read, scope, now), *await _parts(read, Policy.product_id == row.id))


async def deletion_of_policy(read: Read, policy_id: UUID, now: datetime) -> Deletion:
    """Raises NotFound."""
    row = await read.get(Policy, policy_id)
    offers = (await _parts(read, Policy.id == row.id))[1]
    return _told(row.slug, await _hanging(read, _Scope.of_policy(row.id, row.slug), now), 0, offers)


async def delete_product(work: Work, product_id: UUID, force: bool, typed_name: str | None) -> Removed:
    """Removes a product with its tiers, offers and features; by force with its ended orders too.

    Raises NotFound; BadRequest when `force` comes without the product's slug as `typed_name`; Conflict, which counts
    what hangs on it, when it was sold, can still be paid for, or has orders at all and is not forced.
    """
    row = await locked_product(work, product_id)
    ended = await _removable(work, _Scope.of_product(row.id, row.slug), force=force)
    _check_typed(row.slug, force, typed_name)
    tiers = (await work.session.scalars(select(Policy.id).where(Policy.product_id == row.id))).all()
    _, offers = await _parts(work, Policy.product_id == row.id)
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
    ended = await _removable(work, _Scope.of_policy(row.id, row.slug), force=force)
    _check_typed(row.slug, force, typed_name)
    orders, attempts, nudges = await _remove(work, ended)
    codes = await discounts.forget_policy(work, row.id)
    await policies.delete_policy(work, row.id)
    return Removed(row.slug, 0, offers, orders, attempts, nudges, codes)


@dataclass(frozen=True, slots=True)
class _Scope:
    """Which rows refer to the thing, and what is to be done where it has to stay."""

    name: str
    instead: str
    orders: ColumnElement[bool]
    licenses: ColumnElement[bool]
    subscriptions: ColumnElement[bool]
    codes: ColumnElement[bool]

    @classmethod
    def of_product(cls, product_id: UUID, slug: str) -> "_Scope":
        tiers = select(Policy.id).where(Policy.product_id == product_id)
        return cls(
            f"product {slug}",
            "Set it inactive and archive its tiers instead.",
            Order.product_id == product_id,
            License.product_id == product_id,
            Subscription.policy_id.in_(tiers),
            DiscountCode.product_id == product_id,
        )

    @classmethod
    def of_policy(cls, policy_id: UUID, slug: str) -> "_Scope":
        return cls(
            f"tier {slug}",
            "Archive it instead.",
            Order.policy_id == policy_id,
            License.policy_id == policy_id,
            Subscription.policy_id == policy_id,
            DiscountCode.tiers.any(DiscountTier.policy_id == policy_id),
        )


async def _removable(work: Work, scope: _Scope, *, force: bool) -> Select[OrderId]:
    """The ended orders that go with it. Raises Conflict when something must stay."""
    refusal = (await _hanging(work, scope, work.now)).refusal(force=force)
    if refusal is not None:
        raise Conflict(refusal)
    return select(Order.id).where(scope.orders, Order.status.in_(NEVER_PAID))


async def _hanging(read: Read, scope: _Scope, now: datetime) -> Hanging:
    ended = and_(scope.orders, Order.status.in_(NEVER_PAID))
    watched = select(func.max(Order.watch_until)).where(ended, await _may_still_be_paid(read, now))
    return Hanging(
        scope.name,
        scope.instead,
        licenses=await _count(read, License, scope.licenses),
        subscriptions=await _count(read, Subscription, scope.subscriptions),
        settled=await _count(read, Order, scope.orders, Order.status.in_(TOOK_MONEY)),
        open=await _count(read, Order, scope.orders, Order.status.not_in(TOOK_MONEY | NEVER_PAID)),
        ended=await _count(read, Order, ended),
        codes=await _count(read, DiscountCode, scope.codes),
        watched_until=await read.session.scalar(watched.execution_options(is_long=True)),
    )


async def _parts(read: Read, which: ColumnElement[bool]) -> tuple[int, int]:
    """Tiers, and their offers."""
    tiers = select(Policy.id).where(which)
    return await _count(read, Policy, which), await _count(read, Offer, Offer.policy_id.in_(tiers))


def _told(slug: str, hanging: Hanging, policies: int, offers: int) -> Deletion:
    return Deletion(
        slug,
        hanging.goes,
        hanging.refusal(force=False),
        licenses=hanging.licenses,
        subscriptions=hanging.subscriptions,
        settled_orders=hanging.settled,
        open_orders=hanging.open,
        ended_orders=hanging.ended,
        codes=hanging.codes,
        policies=policies,
        offers=offers,
    )


async def _may_still_be_paid(read: Read, now: datetime) -> ColumnElement[bool]:
    """Of ended orders: the provider has an invoice, or may turn out to have one. Play money is not waited for."""
    is_opening = Order.status == OrderStatus.DRAFT
    if await mode_of(read) == Mode.SANDBOX:
        return is_opening
    has_invoice = exists().where(Attempt.order_id == Order.id, Attempt.provider_invoice_id.is_not(None))
    return or_(is_opening, has_invoice) & (Order.watch_until > now)


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


async def _count(read: Read, model: type[Base], *which: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(model).where(*which)
    return await read.session.scalar(query.execution_options(is_long=True)) or 0


def _check_typed(slug: str, force: bool, typed_name: str | None) -> None:
    if force and typed_name != slug:
        raise BadRequest(f"Removing by force cannot be undone: type the name {slug} to say that you mean it.")
