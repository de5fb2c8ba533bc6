"""Years of subscribers, operators and accidents before one shop: `python -m tests.stories.years --seed N --years 10`.

Everybody acts through the doors (`people`), the provider is BTCPay's fake, and the shop does the rest by its jobs.
`ledger` reckons from outside what should have come of it.
"""

import argparse
import asyncio
import heapq
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import create_engine, func, select

from keysat.checkout.tables import Order
from keysat.infra.seals import seal
from keysat.infra.store import Store
from keysat.infra.tables import AttentionRow, EventRow
from keysat.kit.ids import SeededChance
from keysat.licenses.tables import License
from keysat.payments.tables import Attempt
from keysat.schema import metadata
from keysat.subscriptions.tables import Cycle, Subscription, SubscriptionStatus
from keysat.upkeep.doctor import violations
from tests.stories.conftest import open_story
from tests.stories.ledger import Account, Tier, moment
from tests.stories.people import DAY, TIERS, TRIAL_DAYS, YEAR, People

JUDGED_EVERY = 1000  # that what we send is right is for other tests
PASSES_MOST = 20
BY_TIME = frozenset(
    {"order.opened", "order.closed", "order.payment_lost"}
    | {f"subscription.{act}" for act in ("renewal_pending", "renewal_failed", "past_due", "lapsed", "price_changed")}
)


@dataclass
class Years(People):
    async def open(self) -> None:
        story = self.story
        story.counter.fake.judge_every = JUDGED_EVERY
        products = (await story.admin("GET", "/products"))["products"]
        [app] = [one["id"] for one in products if one["slug"] == "app"]
        await story.admin("PATCH", f"/products/{app}", downgrade_at_renewal=True)
        for rank, tier in enumerate(TIERS.values(), 1):
            fields: dict[str, Any] = {"grace_period_days": tier.grace_days, "renewal_lead_days": tier.lead_days}
            if tier.slug == "team":
                fields |= {"trial_days": TRIAL_DAYS, "trial_needs": "nothing"}
            await self.tier(tier, rank, fields)
        code = {"code": "QUARTER", "kind": "percent", "amount": 2500, "duration": "cycles", "duration_cycles": 3}
        await story.admin("POST", "/discount-codes", **code)
        for number in range(self.subscribers):
            self.plan((10 * number + self.chance.randrange(1, 20)) * DAY, self.come)
        self.plan(DAY, self.life)
        self.plan(10 * DAY, self.desk)

    async def tier(self, tier: Tier, rank: int, fields: Mapping[str, Any]) -> None:
        body = {"product_slug": "app", "slug": tier.slug, "name": tier.slug.title(), "price_value": tier.value}
        if tier.months is not None:
            count, unit = (1, "month") if tier.months == 1 else (tier.months // 12, "year")
            body |= {"is_recurring": True, "renewal_period": {"count": count, "unit": unit}, **fields}
        await self.story.admin("POST", "/policies", **body, tier_rank=rank)

    async def live(self, years: float) -> None:
        """Each year ends with the books compared and the doctor asked."""
        end, year = self.now + years * YEAR, self.now + YEAR
        while self.now < end:
            due = await self._next_due()
            act = self.plans[0][0]
            late = timedelta(seconds=self.chance.randrange(60))  # the job comes by once a minute
            upto = min(act, year, end, due + late if due else act)
            self.story.counter.clock.move(upto)
            await self.story.counter.fake.tick()
            if self.plans[0][0] <= self.now:
                _, _, todo = heapq.heappop(self.plans)
                await todo()
            await self.work_off()
            if self.now >= min(year, end):
                await self.balance()
                year += YEAR

    async def work_off(self) -> None:
        """The jobs, unless the daemon is down; then everybody hears what was told."""
        if self.asleep_until is not None and self.now < self.asleep_until:
            await self.hear()
            return
        self.asleep_until = None
        for _ in range(PASSES_MOST):
            await self.story.run("look", "renew")
            if not await self.hear():
                return
        raise AssertionError("the jobs do not come to rest")

    async def _next_due(self) -> datetime | None:
        """The next moment at which time alone asks for something. Looks are made whenever somebody is up."""
        row = Subscription
        wanted = (
            (row.next_attempt_at, ()),
            (row.lapses_at, (row.parked_at.is_(None),)),
            (row.paid_through, (row.status == SubscriptionStatus.ACTIVE,)),
        )
        firsts = [select(func.min(at)).where(at > self.now, *also).scalar_subquery() for at, also in wanted]
        async with self.story.shop.read() as read:
            moments = (await read.session.execute(select(*firsts))).one()
        due = min((found for found in moments if found is not None), default=None)
        return max(due, self.asleep_until) if due is not None and self.asleep_until is not None else due

    async def hear(self) -> bool:
        """False: nothing new."""
        async with self.story.shop.read() as read:
            rows = (
                await read.session.scalars(select(EventRow).where(EventRow.id > self.heard).order_by(EventRow.id))
            ).all()
            for row in rows:
                self.heard = row.id
                body: Mapping[str, Any] = json.loads(row.body)
                order = await read.session.get(Order, UUID(body["order_id"])) if body.get("order_id") else None
                if row.name == "subscription.started":
                    license = await read.get(License, UUID(body["license_id"]))
                    order = await read.get(Order, license.order_id)
                self.take(row.name, row.at, body, order)
        for license_id in [one for one in self.accounts if one not in self.keys]:
            self.keys[license_id] = await self.first_key(license_id)
        return bool(rows)

    def take(self, name: str, at: datetime, body: Mapping[str, Any], order: Order | None) -> None:
        family, _, act = name.partition(".")
        self._heard(name, body, order)
        if name == "license.tier_changed":
            self._changed(at, body, order)
        if family != "subscription":
            return
        self.done[act] = self.done.get(act, 0) + 1
        license_id = UUID(body["license_id"])
        if act == "started":
            assert order is not None
            self._started(license_id, body, order)
            return
        account = self.accounts[license_id]
        match act:
            case "renewal_pending":
                assert body["cycle_number"] == account.number + 1
                assert at >= account.over or moment(body["cycle_start_at"]) == account.end
                self.plan(timedelta(), lambda: self.decide(license_id))
            case "renewed":
                assert order is not None
                account.waives = order.paid_how == "by_operator"
                account.renewed(order, body)
            case "past_due":
                assert account.status == "active"
                assert at >= account.end
                assert (moment(body["paid_through"]), moment(body["grace_until"])) == (account.end, account.over)
                account.status = "past_due"
            case "lapsed":
                assert account.status == "past_due"
                assert at >= account.over
                account.status = "lapsed"
                self.plan(self.days(1, 40), lambda: self.come_back(license_id))
            case "paused":
                account.status, account.resting = "paused", True
            case "resumed":
                assert body["is_paid"] == (at < account.end)
                account.status = "active" if body["is_paid"] else "lapsed"
                account.resting = not body["is_paid"]
            case "cancelled":
                account.status = "cancelled"
                self.plan(self.days(1, 40), self.come)
            case "price_changed":
                assert moment(body["holds_from"]) >= at + 14 * DAY
                account.next_price = body["from_cycle"], body["new_value"]
            case "moved":
                self.moved[body["license_id"]] = body
            case _:
                pass
        account.remember(at)

    def _heard(self, name: str, body: Mapping[str, Any], order: Order | None) -> None:
        """Who has paid in time what he was shown has it, unless more than time came between."""
        if name == "order.needs_attention" and order is not None:
            assert order.id not in self.at_checkout, (body["reason"], order.purpose, order.support_reference, self.now)
        license_id = order.license_id if order is not None else body.get("license_id")
        if license_id is not None and name not in BY_TIME:
            self.touched(UUID(str(license_id)), order)

    def _started(self, license_id: UUID, body: Mapping[str, Any], order: Order) -> None:
        assert order.paid_at is not None
        tier = next(one for one in TIERS.values() if one.value == body["listed_value"])
        assert tier.months is not None
        account = Account(tier, tier.value, order.paid_at, order.paid_at, 0, months=tier.months)
        if tier.value != order.listed_value and not body["is_trial"]:
            account.cut = 25, 3
        if body["is_trial"]:
            account.anchor = account.end = order.paid_at + TRIAL_DAYS * DAY
        else:
            account.begin(order.paid_at, order.listed_value)
        account.pay(order)
        account.remember(order.paid_at)
        assert moment(body["paid_through"]) == account.end
        self.accounts[license_id], self.chances[license_id] = account, Random(f"{self.seed}/{len(self.accounts)}")

    def _changed(self, at: datetime, body: Mapping[str, Any], order: Order | None) -> None:
        account = self.accounts[UUID(body["license_id"])]
        account.waives = order is not None and order.paid_how == "by_operator"
        account.changed(TIERS[body["to_policy_slug"]], order, self.moved.pop(body["license_id"], None))
        account.remember(at)
        self.done["tier_changed"] = self.done.get("tier_changed", 0) + 1

    async def balance(self) -> None:
        """All trouble is over, and what was put off is done; then our books and theirs are the same."""
        counter, shop = self.story.counter, self.story.shop
        counter.fake.mishaps.clear()
        counter.deaf, self.asleep_until = False, None
        await self.story.admin("PUT", "/rates/USD/pin", price="50000")
        await self.story.run("health", "sweep", "renew", "look", "renew")
        await self.work_off()
        await seal(shop.store, self.now)
        async with shop.read() as read:
            assert await violations(read, self.now) == []
            rows = {row.license_id: row for row in await read.session.scalars(select(Subscription))}
            licenses: dict[UUID, License] = {row.id: row for row in await read.session.scalars(select(License))}
            cycles = (await read.session.scalars(select(Cycle))).all()
        wrong = [
            f"{license_id}: {line}"
            for license_id, account in self.accounts.items()
            for line in account.differs(
                rows[license_id],
                licenses[license_id],
                [cycle for cycle in cycles if cycle.subscription_id == rows[license_id].id],
            )
        ]
        assert wrong == []
        assert await self._unaccounted() == []
        for row in rows.values():
            assert row.next_attempt_at is None or row.next_attempt_at > self.now, row.id

    async def _unaccounted(self) -> list[str]:
        """An invoice that is paid in full has paid its order, or a person was called; and the other way round."""
        async with self.story.shop.read() as read:
            attempts = (
                await read.session.execute(select(Attempt, Order).join(Order, Order.id == Attempt.order_id))
            ).all()
            called = set(await read.session.scalars(select(AttentionRow.subject)))
        lines: list[str] = []
        for attempt, order in attempts:
            shown = self.story.counter.fake.invoices.get(attempt.provider_invoice_id or "")
            is_paid = shown is not None and (shown.status == "Settled" or shown.told_late)
            has_paid = order.paid_attempt_id == attempt.id
            if has_paid and not is_paid:
                lines.append(f"{order.support_reference} was fulfilled by an invoice that nobody has paid")
            if is_paid and not has_paid and not {str(order.id), str(attempt.id)} & called:
                lines.append(f"{order.support_reference} ({order.status}): its money is nobody's")
        return lines


async def live(store: Store, folder: Path, seed: int, years: float, subscribers: int = 3) -> Years:
    async with open_story(store, folder) as story:
        world = Years(story, seed, subscribers)
        await world.open()
        await world.live(years)
        return world


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.stories.years")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="so many, one after the other")
    parser.add_argument("--years", type=float, default=10)
    parser.add_argument("--subscribers", type=int, default=3)
    given = parser.parse_args()
    for seed in range(given.seed, given.seed + given.seeds):
        with tempfile.TemporaryDirectory(prefix="keysat-years-") as temporary:
            path = Path(temporary) / "keysat.db"
            engine = create_engine(f"sqlite:///{path}")
            metadata.create_all(engine)
            engine.dispose()
            world = asyncio.run(
                _run(f"sqlite+aiosqlite:///{path}", Path(temporary), seed, given.years, given.subscribers)
            )
        paid = sum(account.paid for account in world.accounts.values())
        print(
            f"seed {seed}: {len(world.accounts)} subscriptions, {paid / 100:.2f} USD, {world.refused} refusals",
            world.done,
            flush=True,
        )


async def _run(url: str, folder: Path, seed: int, years: float, subscribers: int) -> Years:
    store = Store(url, SeededChance(seed))
    try:
        return await live(store, folder, seed, years, subscribers)
    finally:
        await store.close()


if __name__ == "__main__":
    main()
