"""A subscriber without a checkout: the license, its subscription, and orders that are bare rows."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select

from keysat.catalog.tables import Policy
from keysat.checkout.tables import Order, OrderId, OrderStatus, Purpose
from keysat.infra.work import Work
from keysat.kit.money import Money
from keysat.kit.periods import Period, Unit, one_after
from keysat.licenses.change import tier_terms
from keysat.licenses.issue import issue
from keysat.licenses.tables import License
from keysat.subscriptions import openings
from keysat.subscriptions.invariants import broken
from keysat.subscriptions.lifecycle import renew, start
from keysat.subscriptions.moves import Moved, Target, move
from keysat.subscriptions.proration import Price
from keysat.subscriptions.rules import Carried
from keysat.subscriptions.tables import Cycle, Subscription
from tests.catalog.shelf import MONTHLY, a_tier, events
from tests.conftest import NOON, TESTER
from tests.licenses.seller import Seller

DAY = timedelta(days=1)
MONTH = Period(1, Unit.MONTH)
TEAM: dict[str, Any] = {"price_sats_override": 1200, **MONTHLY}


class Subscriber:
    def __init__(self, seller: Seller) -> None:
        self.seller = seller
        self.store = seller.store
        self.now = NOON
        self.license_id = self.id = UUID(int=0)

    async def subscribe(self, trial_days: int = 0, discount: Carried | None = None, **tier: Any) -> Subscription:
        """To a tier `team` for 1200 sats a month, three days ahead and with seven of grace, unless told otherwise."""
        policy_id = (await a_tier(self.store, "team", **{**TEAM, **tier})).id
        trial_until = self.now + trial_days * DAY if trial_days else None
        async with self.work() as work:
            policy = await work.get(Policy, policy_id)
            expires_at = trial_until or one_after(self.now, MONTH)
            terms = tier_terms(policy, expires_at=expires_at, is_subscribed=True, is_trial=bool(trial_days))
            license = await issue(work, terms, order_id=None, customer_id=None, source="purchase")
            row = await start(
                work, license_id=license.id, policy_id=policy_id, offer_id=None, period=MONTH, listed_currency="SAT",
                listed_value=1200, paid_value=1200, order_id=None, trial_until=trial_until, discount=discount,
            )  # fmt: skip
        self.license_id, self.id = license.id, row.id
        return row

    @asynccontextmanager
    async def work(self) -> AsyncGenerator[Work, None]:
        async with self.store.work(self.now, TESTER) as work:
            yield work

    async def open(self, *, payable: bool = True) -> UUID:
        """An order for the next cycle."""
        async with self.work() as work:
            order = await an_order(work, self.seller.product_id)
            await openings.open_cycle(work, self.id, order)
            if payable:
                await openings.opened(work, self.id, order, 1200)
        return order

    async def pay(self, order: UUID | None = None, value: int = 1200) -> Subscription:
        order = order or await self.open()
        async with self.work() as work:
            return await renew(work, order, value)

    async def move(
        self,
        slug: str,
        value: int,
        period: Period | None,
        *,
        is_anew: bool = False,
        worth: int | None = None,
        paid: int = 0,
        **tier: Any,
    ) -> Moved:
        policy_id = (await a_tier(self.store, slug, price_sats_override=value, **tier)).id
        async with self.work() as work:
            target = Target(await work.get(Policy, policy_id), None, Price(Money("SAT", value), period))
            order = await an_order(work, self.seller.product_id)
            return await move(work, self.license_id, target, is_anew=is_anew, worth=worth, paid=paid, order_id=order)

    async def row(self) -> Subscription:
        async with self.store.read() as read:
            return await read.get(Subscription, self.id)

    async def license(self) -> License:
        return await self.seller.license(self.license_id)

    async def cycles(self) -> list[Cycle]:
        async with self.store.read() as read:
            return list(await read.session.scalars(select(Cycle).order_by(Cycle.number)))

    async def told(self) -> list[str]:
        """The events of subscriptions, without the word."""
        names = await events(self.store)
        return [name.removeprefix("subscription.") for name in names if name.startswith("subscription.")]

    async def state(self, at: datetime | None = None) -> str:
        """What the app is told of the key: `ok`, `grace`, or why not."""
        answer = await self.seller.wire(await self.seller.key(self.license_id), at or self.now)
        return "grace" if answer.get("in_grace_period") else answer.get("reason", "ok")

    async def broken(self) -> list[str]:
        async with self.store.read() as read:
            return await broken(read, self.now)


async def an_order(work: Work, product_id: UUID) -> UUID:
    order_id = OrderId(work.new_id())
    work.session.add(
        Order(
            id=order_id, invoice_id=work.token(), support_reference=work.token(80), purpose=Purpose.PURCHASE,
            status=OrderStatus.DRAFT, product_id=product_id, listed_currency="SAT", listed_value=1200, base_value=1200,
            created_at=work.now, status_at=work.now, expires_at=work.now, watch_until=work.now,
        )
    )  # fmt: skip
    await work.session.flush()
    return order_id
