"""Subscribers, an operator and fate, each with a mind of its own: what they do, and when they next do something."""

import heapq
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import select

from keysat.checkout.pay_link import pay_token
from keysat.checkout.tables import Order, OrderStatus
from keysat.licenses.tables import License
from keysat.payments.tables import Attempt
from keysat.subscriptions.tables import Cycle, Subscription
from tests.fakes.btcpay import Accident
from tests.stories.conftest import JSON, Story
from tests.stories.ledger import Account, Tier
from tests.web.conftest import ADMIN

TIERS = {
    tier.slug: tier
    for tier in (
        Tier("solo", 1200, 1, 7, 3),
        Tier("team", 2500, 1, 14, 0),
        Tier("firm", 7000, 1, 7, 10),
        Tier("year", 40_000, 12, 7, 20),
        Tier("ever", 150_000, None),
    )
}
"""The lowest rank first."""

TRIAL_DAYS = 10
REFUSALS = frozenset({400, 401, 404, 409, 502, 503})
"""What a door may say to who asks at the wrong moment, in an outage, or with the key of a suspended license."""

MINUTE, HOUR, DAY, YEAR = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(days=365)

PAYS: Mapping[str, int] = {
    "full": 40, "later": 14, "lapsed": 7, "over": 4, "twice": 4, "rest": 5, "short": 5, "slow": 6, "vanish": 4,
    "both": 5, "late": 5, "too_late": 4, "never": 3, "edge": 20,
}  # fmt: skip
"""How a subscriber pays a period, and how often so."""

Act = Callable[[], Awaitable[None]]


@dataclass
class People:
    story: Story
    seed: int
    subscribers: int = 3
    acts_every: int = 45
    """Days between two acts of operators, buyers on their own, or fate."""

    chance: Random = field(init=False)
    accounts: dict[UUID, Account] = field(default_factory=dict[UUID, Account])
    keys: dict[UUID, str] = field(default_factory=dict[UUID, str])
    told: dict[str, int] = field(default_factory=dict[str, int])
    plans: list[tuple[datetime, int, Act]] = field(default_factory=list[tuple[datetime, int, Act]])
    heard: int = 0
    asleep_until: datetime | None = None
    suspended: set[UUID] = field(default_factory=set[UUID])
    chances: dict[UUID, Random] = field(default_factory=dict[UUID, Random])
    """Each subscriber's own, so that one does not hang on when another is told of something."""

    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    moved: dict[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    done: dict[str, int] = field(default_factory=dict[str, int])
    refused: int = 0
    at_checkout: dict[UUID, UUID] = field(default_factory=dict[UUID, UUID])
    """Orders that are paid in time, and for which license: nothing but time has happened to that since."""

    def __post_init__(self) -> None:
        self.chance = Random(self.seed)

    @property
    def now(self) -> datetime:
        return self.story.now

    def plan(self, after: timedelta, act: Act, within: timedelta = HOUR) -> None:
        seconds = timedelta(seconds=self.chance.randrange(int(within.total_seconds())))
        heapq.heappush(self.plans, (self.now + after + seconds, next(self.numbers), act))

    def around(self, moments: Sequence[datetime], act: Act) -> None:
        """Minutes before one of them, so that it comes while one stands at the checkout, or just after it."""
        moment = self.chance.choice(moments)
        start, end = max(moment - 14 * MINUTE, self.now), moment + MINUTE
        self.plan(start - self.now, act, max(end - start, MINUTE))

    def days(self, least: int, most: int) -> timedelta:
        return self.chance.randrange(least * 24, most * 24) * HOUR

    async def come(self) -> None:
        """Somebody subscribes, or comes back as a new subscriber."""
        wish: dict[str, Any] = {
            "product": "app",
            "policy_slug": self.chance.choice(["solo", "solo", "team", "team", "firm", "year"]),
        }
        if self.chance.random() < 0.3:
            wish["code"] = "QUARTER"
        answer = await self.ask("/v1/purchase", **wish)
        if answer is None:
            self.plan(self.days(1, 4), self.come)
        elif "license_key" not in answer:
            order = await self.story.order_of(answer["invoice_id"])
            await self.tender(order)
            self.plan(self.days(1, 3), lambda: self.look_in(order))

    async def look_in(self, order: Order) -> None:
        """Who paid and has a subscription stays; another tries again."""
        async with self.story.shop.read() as read:
            row = await read.get(Order, order.id)
        if row.license_id is None:
            await self.come()

    async def decide(self, license_id: UUID) -> None:
        """How this subscriber pays the next period."""
        account, chance = self.accounts[license_id], self.chances[license_id]
        how = chance.choices(list(PAYS), list(PAYS.values()))[0]
        self.done["pay:" + how] = self.done.get("pay:" + how, 0) + 1
        match how:
            case "full" | "over" | "twice" | "rest" | "short" | "slow" | "vanish":
                await self.pay(license_id, how)
            case "later":
                wait = max(account.over - self.now, HOUR)
                self.plan(wait * chance.randrange(100) / 100, lambda: self.pay(license_id, "full"))
            case "both" | "late" | "too_late":
                before = await self.open_order(license_id)
                wait = 3 * DAY if how == "too_late" else 2 * HOUR
                if before is not None:
                    self.plan(wait, lambda: self.pay_old(license_id, before, again=how == "both"))
            case "edge":
                self.around([account.end, account.over], lambda: self.pay(license_id, "in time"))
            case _:  # "lapsed": `come_back` pays; "never": not even he
                pass

    async def come_back(self, license_id: UUID) -> None:
        if self.accounts[license_id].status != "lapsed":
            return
        if self.chance.random() < 0.1:
            await self.come()
        else:
            await self.pay(license_id, "full")

    async def pay(self, license_id: UUID, how: str) -> None:
        """By the page that is mailed: it leads to the order of the next period."""
        account = self.accounts[license_id]
        if account.status not in ("active", "past_due", "lapsed"):
            return
        async with self.story.shop.read() as read:
            query = select(Subscription.id).where(Subscription.license_id == license_id)
            subscription_id = (await read.session.scalars(query)).one()
        token = pay_token(self.story.shop.vault, subscription_id)
        answer = await self.story.front.pay(f"/pay/{token}")
        assert answer.status_code in (200, 303, 429, *REFUSALS), (answer.status_code, answer.text[:500])
        order = await self.open_order(license_id)
        if answer.status_code != 303 or order is None:
            self.refused += 1
            self.plan(self.days(1, 5), lambda: self.retry(license_id))
            return
        if how == "in time":
            self.stand(license_id, order)
        else:
            await self.tender(order, how)
        if how in ("short", "vanish"):
            self.plan(self.days(1, 9), lambda: self.retry(license_id))

    def stand(self, license_id: UUID, order: Order) -> None:
        """At the checkout, for some minutes; then it is paid, and confirmed at once or after a while."""
        if not order.is_open(self.now):
            return
        self.at_checkout[order.id] = license_id

        async def pay() -> None:
            await self.tender(order, self.chance.choice(["full", "slow"]))

        self.plan(timedelta(), pay, order.expires_at - self.now)

    def touched(self, license_id: UUID, by: Order | None) -> None:
        """More than time came: money for another order of the license may be a person's business now."""
        own = by.id if by is not None else None
        self.at_checkout = {one: of for one, of in self.at_checkout.items() if of != license_id or one == own}

    async def retry(self, license_id: UUID) -> None:
        """Who is not paid up tries again."""
        account = self.accounts[license_id]
        if account.status in ("past_due", "lapsed") and self.chance.random() < 0.8:
            await self.pay(license_id, "full")

    async def pay_old(self, license_id: UUID, before: Order, *, again: bool) -> None:
        """The checkout page of yesterday, which somebody left open; `again`: and today's."""
        if again:
            await self.pay(license_id, "full" if self.chance.random() < 0.5 else "slow")
        await self.tender(before)

    async def tender(self, order: Order, how: str = "full") -> None:
        fake = self.story.counter.fake
        async with self.story.shop.read() as read:
            query = select(Attempt.provider_invoice_id).where(Attempt.order_id == order.id)
            invoice_id = await read.session.scalar(query.order_by(Attempt.created_at.desc()).limit(1))
        if invoice_id is None:
            return
        match how:
            case "over":
                await fake.pay(invoice_id, percent=150)
            case "twice":
                await fake.pay(invoice_id)
                await fake.pay(invoice_id)
            case "rest":
                await fake.pay(invoice_id, percent=60)
                await fake.pay(invoice_id, percent=40)
            case "short":
                await fake.pay(invoice_id, percent=50)
            case "slow":
                await fake.pay(invoice_id, confirmed=False)
                self.plan(self.days(0, 5) + HOUR, lambda: fake.confirm(invoice_id))
            case "vanish":
                await fake.pay(invoice_id, confirmed=False)
                self.plan(HOUR, lambda: fake.replace(invoice_id))
            case _:
                await fake.pay(invoice_id)

    async def open_order(self, license_id: UUID) -> Order | None:
        async with self.story.shop.read() as read:
            query = (
                select(Order)
                .join(Cycle, Cycle.order_id == Order.id)
                .join(Subscription, Subscription.id == Cycle.subscription_id)
                .where(Subscription.license_id == license_id, Cycle.paid_at.is_(None))
            )
            return await read.session.scalar(query)

    async def ask(self, path: str, *, as_operator: bool = False, **body: Any) -> dict[str, Any] | None:
        """None: it was refused, as it may be."""
        headers = JSON | (ADMIN if as_operator else {})
        answer = await self.story.front.http.post(path, json=body or None, headers=headers)
        if answer.status_code == 200:
            return answer.json()
        assert answer.status_code in REFUSALS, (path, body, answer.status_code, answer.text)
        self.refused += 1
        return None

    async def first_key(self, license_id: UUID) -> str:
        async with self.story.shop.read() as read:
            license = await read.get(License, license_id)
            order = await read.get(Order, license.order_id)
        return await self.story.key(order.invoice_id)

    async def life(self) -> None:
        """Now and then somebody does something that was not asked of him."""
        self.plan(self.chance.randrange(1, 2 * self.acts_every) * DAY / max(self.subscribers, 1), self.life)
        living = [
            one for one, account in self.accounts.items() if account.status != "cancelled" and not account.for_good
        ]
        acts: list[tuple[int, Act]] = [
            (3, self.no_rate),
            (4, self.provider_trouble),
            (3, self.deafness),
            (3, self.sleep),
        ]
        if living:
            one = self.chance.choice(living)
            acts += [(weight, partial(act, one)) for weight, act in self.acts_upon]
        act = self.chance.choices([act for _, act in acts], [weight for weight, _ in acts])[0]
        await act()

    @property
    def acts_upon(self) -> list[tuple[int, Callable[[UUID], Awaitable[None]]]]:
        return [
            (14, self.upgrade), (8, self.upgrade_late),
            (4, self.gift), (5, self.schedule), (2, self.unschedule), (3, self.bill),
            (4, self.rest), (2, self.cancel), (4, self.end_later), (3, self.reprice), (3, self.suspend),
            (8, self.probe),
        ]  # fmt: skip

    def other(self, license_id: UUID, *, above: bool) -> str:
        account, slugs = self.accounts[license_id], list(TIERS)
        at = slugs.index(account.tier.slug)
        found = slugs[at + 1 :] if above else slugs[:at]
        weights = [1 if slug == "ever" else 5 for slug in found]
        return self.chance.choices(found, weights)[0] if found else "solo"

    async def upgrade(self, license_id: UUID) -> None:
        """Paid at once, later than it holds, together with a renewal, or never."""
        await self.to_pay(await self.climb(license_id, above=self.chance.random() < 0.8))

    async def climb(self, license_id: UUID, *, above: bool) -> dict[str, Any] | None:
        target = self.other(license_id, above=above)
        return await self.ask("/v1/upgrade", license_key=self.keys[license_id], target_policy_slug=target)

    async def upgrade_late(self, license_id: UUID) -> None:
        """In the last minutes of what is paid."""

        async def ask() -> None:
            change = await self.climb(license_id, above=True)
            if change is not None and change["invoice_id"]:
                self.stand(license_id, await self.story.order_of(change["invoice_id"]))

        if self.accounts[license_id].end > self.now:
            self.around([self.accounts[license_id].end], ask)

    async def to_pay(self, change: dict[str, Any] | None) -> None:
        if change is None or not change["invoice_id"]:
            return
        order = await self.story.order_of(change["invoice_id"])
        how = self.chance.random()
        if how < 0.6:
            await self.tender(order, self.chance.choice(["full", "full", "full", "over", "twice", "rest"]))
        elif how < 0.75:
            await self.tender(order, self.chance.choice(["slow", "short", "vanish"]))
        elif how < 0.9:
            self.plan(self.days(0, 3), lambda: self.tender(order))

    async def gift(self, license_id: UUID) -> None:
        await self.change(license_id, "at_once")

    async def schedule(self, license_id: UUID) -> None:
        await self.change(license_id, "at_renewal")

    async def bill(self, license_id: UUID) -> None:
        await self.to_pay(await self.change(license_id, "by_invoice"))

    async def change(self, license_id: UUID, when: str) -> dict[str, Any] | None:
        slug = self.other(license_id, above=when == "by_invoice" or self.chance.random() < 0.5)
        if slug == "ever" and when != "by_invoice":
            return None
        return await self.ask(
            f"/v1/admin/licenses/{license_id}/change-tier", as_operator=True, to_policy_slug=slug, when=when
        )

    async def unschedule(self, license_id: UUID) -> None:
        await self.ask(f"/v1/admin/licenses/{license_id}/cancel-tier-change", as_operator=True)

    async def act(self, license_id: UUID, act: str, **body: Any) -> None:
        async with self.story.shop.read() as read:
            query = select(Subscription.id).where(Subscription.license_id == license_id)
            subscription_id = (await read.session.scalars(query)).one()
        await self.ask(f"/v1/admin/subscriptions/{subscription_id}/{act}", as_operator=True, **body)

    async def rest(self, license_id: UUID) -> None:
        await self.act(license_id, "pause")
        self.plan(self.days(1, 90), lambda: self.act(license_id, "resume"))

    async def cancel(self, license_id: UUID) -> None:
        await self.ask("/v1/subscriptions/cancel", license_key=self.keys[license_id])

    async def end_later(self, license_id: UUID) -> None:
        await self.ask("/v1/subscriptions/cancel", license_key=self.keys[license_id], at_period_end=True)
        if self.chance.random() < 0.7:
            self.plan(self.days(1, 15), lambda: self.act(license_id, "keep-on"))

    async def reprice(self, license_id: UUID) -> None:
        value = self.accounts[license_id].price + self.chance.randrange(-300, 400)
        await self.act(license_id, "price", value=max(value, 500), reason="Times change.")

    async def suspend(self, license_id: UUID) -> None:
        path = f"/v1/admin/licenses/{license_id}"
        await self.ask(f"{path}/suspend", as_operator=True, reason="a chargeback elsewhere")

        async def lift() -> None:
            await self.ask(f"{path}/unsuspend", as_operator=True)

        self.plan(self.days(1, 20), lift)

    async def no_rate(self) -> None:
        await self.story.front.http.delete("/v1/admin/rates/USD/pin", headers=ADMIN | JSON)

        async def known() -> None:
            await self.story.admin("PUT", "/rates/USD/pin", price=str(self.chance.randrange(20_000, 200_000)))

        self.plan(self.days(0, 4) + HOUR, known)

    async def provider_trouble(self) -> None:
        accident = self.chance.choice([Accident.LOST_BEFORE, Accident.LOST_AFTER, Accident.BROKEN, Accident.BUSY])
        self.story.counter.fake.fail_next(accident, times=self.chance.randrange(1, 12))

        async def well() -> None:
            self.story.counter.fake.mishaps.clear()
            await self.story.run("health", "renew")

        self.plan(self.days(0, 3) + HOUR, well)

    async def deafness(self) -> None:
        counter = self.story.counter
        counter.deaf = True

        async def hears() -> None:
            counter.deaf = False

        self.plan(self.days(0, 3), hears)

    async def sleep(self) -> None:
        """The daemon is down."""
        self.asleep_until = self.now + self.chance.choice([self.days(0, 2), self.days(2, 30)])

    async def desk(self) -> None:
        """The operator goes through the list."""
        self.plan(self.days(5, 20), self.desk)
        async with self.story.shop.read() as read:
            orders = (await read.session.scalars(select(Order).where(Order.status == OrderStatus.REVIEW))).all()
            parked = (
                await read.session.scalars(select(Subscription.license_id).where(Subscription.parked_at.is_not(None)))
            ).all()
        for order in orders:
            act = "settle" if self.chance.random() < 0.6 else "refuse"
            await self.ask(f"/v1/admin/orders/{order.support_reference}/{act}", as_operator=True)
        for license_id in parked:
            await self.act(license_id, "retry")

    async def probe(self, license_id: UUID) -> None:
        """The app asks, and hears what is paid."""
        account, answer = self.accounts[license_id], await self.story.validate(self.keys[license_id])
        async with self.story.shop.read() as read:
            status = (await read.get(License, license_id)).status.value
        if status == "active" and not account.for_good:
            assert answer["ok"] == (self.now < account.over), (answer, self.now, account)
