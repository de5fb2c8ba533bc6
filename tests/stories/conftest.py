"""A shop that travels in time: it is asked over HTTP and does the rest by its jobs, on one clock with its provider."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from keysat.checkout.tables import Order, Purpose
from keysat.infra.house import Mode
from keysat.infra.http import HttpClient
from keysat.infra.store import Store
from keysat.infra.tables import EventRow
from keysat.jobs.runner import Runner
from keysat.jobs.schedule import Job, jobs
from keysat.licenses.tables import License
from keysat.payments.connections import connect
from keysat.payments.disconnect import disconnect
from keysat.payments.provider import Rail
from keysat.payments.tables import Attempt, ConnectionRow
from keysat.payments.tills import Tills
from keysat.subscriptions.tables import Cycle, Subscription, SubscriptionStatus
from keysat.upkeep.shop import Shop
from tests.catalog.shelf import MONTHLY
from tests.checkout.counter import Counter, see_the_doctor
from tests.conftest import TESTER
from tests.providers.world_sandbox import SandboxWorld, open_sandbox
from tests.providers.worlds import PlayCard
from tests.web.conftest import ADMIN, browse, doors_of
from tests.web.selling import Front, open_front

JOBS = ("look", "renew", "letters")
"""What a story runs at each moment; a job that is not about orders can be run by its name."""

RUNS_MOST = 20
JSON = {"Accept": "application/json"}


@dataclass
class Story:
    """Product `app`, priced in USD at a pin of 50,000; a story makes its own tiers."""

    front: Front
    shop: Shop
    jobs: dict[str, Job] = field(init=False)
    runner: Runner = field(init=False)

    def __post_init__(self) -> None:
        table = jobs()
        self.jobs, self.runner = {job.name: job for job in table}, Runner(self.shop, table)

    @property
    def counter(self) -> Counter:
        return self.front.counter

    @property
    def now(self) -> datetime:
        return self.counter.now

    # The operator

    async def admin(self, method: str, path: str, **body: Any) -> Any:
        """Raises AssertionError unless it is answered with 200."""
        answer = await self.front.http.request(method, f"/v1/admin{path}", json=body or None, headers=ADMIN | JSON)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def tier(self, slug: str, price: int, *, product: str = "app", **fields: Any) -> dict[str, Any]:
        """Monthly, `price` in minor units, billed when it is due, with a grace of 7 days, unless told otherwise."""
        body = {**MONTHLY, "price_value": price, "grace_period_days": 7, "renewal_lead_days": 0, **fields}
        return await self.admin("POST", "/policies", product_slug=product, slug=slug, name=slug.title(), **body)

    # The buyer

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.front.http.post(path, json=body, headers=JSON)

    async def order_of(self, invoice_id: str) -> Order:
        async with self.shop.read() as read:
            return (await read.session.scalars(select(Order).where(Order.invoice_id == invoice_id))).one()

    async def buy(self, tier: str, *, product: str = "app", **wish: Any) -> str:
        """Bought, and paid where it costs something. Returns the key."""
        answer = await self.post("/v1/purchase", product=product, policy_slug=tier, **wish)
        assert answer.status_code == 200, answer.text
        bought = answer.json()
        if "license_key" not in bought:
            await self.pay(await self.order_of(bought["invoice_id"]))
        return await self.key(bought["invoice_id"])

    async def key(self, invoice_id: str) -> str:
        """As the poll of the order gives it."""
        told = (await self.front.http.get(f"/v1/purchase/{invoice_id}")).json()
        assert told["license_key"], told
        return told["license_key"]

    async def pay(self, order: Order, *, percent: int = 100, confirmed: bool = True) -> None:
        """Through its newest invoice. The provider's webhook comes in over HTTP, and the jobs do what it asks for."""
        invoice_id = await self.provider_invoice(order)
        await self.counter.fake.pay(invoice_id, percent=percent, rail=Rail.ONCHAIN, confirmed=confirmed)
        await self.run()

    async def provider_invoice(self, order: Order) -> str:
        """Its newest one."""
        async with self.shop.read() as read:
            query = select(Attempt.provider_invoice_id).where(Attempt.order_id == order.id)
            invoice_id = await read.session.scalar(query.order_by(Attempt.created_at.desc()).limit(1))
        assert invoice_id is not None
        return invoice_id

    async def validate(self, key: str, product: str = "app") -> dict[str, Any]:
        return (await self.post("/v1/validate", key=key, product_slug=product)).json()

    # Time

    async def run(self, *names: str) -> None:
        """Each job once, as the runner does. Raises AssertionError for one that fails."""
        for name in names or JOBS:
            assert await self.runner.once(self.jobs[name]), f"the job {name} failed"

    async def travel(self, **span: float) -> None:
        """Let time pass, with each thing at its moment."""
        until = self.now + timedelta(**span)
        await self._work_off()
        while (due := await self._next_due()) is not None and due <= until:
            self.counter.clock.move(max(due, self.now))
            await self._work_off()
        self.counter.clock.move(until)
        await self._work_off()

    async def _work_off(self) -> None:
        await self.counter.fake.tick()
        for _ in range(RUNS_MOST):
            await self.run()
            due = await self._next_due()
            if due is None or due > self.now:
                return
        raise AssertionError("the jobs do not come to rest")

    async def _next_due(self) -> datetime | None:
        row, runs = Subscription, (SubscriptionStatus.ACTIVE,)
        async with self.shop.read() as read:
            moments = [
                await read.session.scalar(select(func.min(Order.next_look_at))),
                await read.session.scalar(select(func.min(row.next_attempt_at))),
                await read.session.scalar(select(func.min(row.lapses_at)).where(row.parked_at.is_(None))),
                await read.session.scalar(
                    select(func.min(row.paid_through)).where(row.status.in_(runs), row.parked_at.is_(None))
                ),
            ]
        return min((moment for moment in (*moments, self.counter.fake.next_due()) if moment), default=None)

    # What became of it

    async def subscription(self) -> Subscription:
        """The only one."""
        async with self.shop.read() as read:
            return (await read.session.scalars(select(Subscription))).one()

    async def license(self) -> License:
        """The only one."""
        async with self.shop.read() as read:
            return (await read.session.scalars(select(License))).one()

    async def cycles(self) -> list[Cycle]:
        """By number, the unpaid one too."""
        async with self.shop.read() as read:
            return list(await read.session.scalars(select(Cycle).order_by(Cycle.number)))

    async def orders(self, purpose: Purpose) -> list[Order]:
        """The oldest first."""
        async with self.shop.read() as read:
            query = select(Order).where(Order.purpose == purpose).order_by(Order.created_at, Order.id)
            return list(await read.session.scalars(query))

    async def renewal(self) -> Order:
        """The newest one."""
        return (await self.orders(Purpose.RENEWAL))[-1]

    async def events(self, prefix: str = "subscription.", since: int = 0) -> list[str]:
        """Names, without the prefix."""
        async with self.shop.read() as read:
            names = await read.session.scalars(
                select(EventRow.name).where(EventRow.name.startswith(prefix), EventRow.id > since).order_by(EventRow.id)
            )
            return [name.removeprefix(prefix) for name in names]

    async def last_event(self) -> int:
        async with self.shop.read() as read:
            return await read.session.scalar(select(func.max(EventRow.id))) or 0

    async def license_count(self) -> int:
        return await self.counter.licenses()


@asynccontextmanager
async def open_story(store: Store, folder: Path) -> AsyncGenerator[Story, None]:
    async with open_front(store, folder) as front:
        front.counter.door = front.http
        yield Story(front, front.shop)
        await see_the_doctor(front.counter)


@pytest.fixture
async def story(store: Store, tmp_path: Path) -> AsyncGenerator[Story, None]:
    """Ends with the doctor."""
    async with open_story(store, tmp_path) as opened:
        yield opened


@dataclass
class WalletStory:
    """The same, with the sandbox wallet, which keeps cards: the only provider that sells."""

    story: Story
    wallet: SandboxWorld

    async def invoice_id(self) -> str:
        """Of the newest attempt."""
        async with self.story.shop.read() as read:
            query = select(Attempt.provider_invoice_id).order_by(Attempt.created_at.desc(), Attempt.id.desc())
            found = await read.session.scalar(query.limit(1))
        assert found is not None
        return found

    async def subscribe(self, card: PlayCard) -> str:
        """With a card that is saved. Returns the key."""
        answer = (await self.story.post("/v1/purchase", product="app", policy_slug="monthly")).json()
        await self.wallet.pay_by_card(await self.invoice_id(), card)
        await self.pass_by(seconds=40)
        return await self.story.key(answer["invoice_id"])

    async def pass_by(self, **span: float) -> None:
        """Both clocks, and then the jobs."""
        moment = self.story.now + timedelta(**span)
        self.wallet.clock.at = moment
        self.story.counter.clock.move(moment)
        await self.wallet.travel(0)
        await self.story.run()


@asynccontextmanager
async def through(
    story: Story, name: str, fields: Mapping[str, str], http: HttpClient, mode: Mode
) -> AsyncGenerator[Story, None]:
    """The same shop, with another provider as the only one that sells."""
    tills = Tills(story.shop.store, story.shop.vault, http)
    shop = replace(story.shop, mode=mode, http=http, tills=tills)
    async with shop.work(TESTER) as work:
        for row in await work.session.scalars(select(ConnectionRow)):
            await disconnect(work, row.id)
    await connect(shop.office(story.now, TESTER), name, fields)
    await tills.refresh()
    async with browse(doors_of(shop)) as client:
        client.base_url = story.front.http.base_url
        yield Story(replace(story.front, shop=shop, http=client), shop)


@pytest.fixture
async def cards(story: Story) -> AsyncGenerator[WalletStory, None]:
    async with open_sandbox() as wallet:
        wallet.clock.at = story.now
        async with through(story, "sandbox", wallet.fields, wallet.http, Mode.SANDBOX) as sandbox:
            yield WalletStory(sandbox, wallet)
