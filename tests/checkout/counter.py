"""A shop's counter for tests: a real database, BTCPay's specification-checked fake, and one clock for both."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
from sqlalchemy import func, select

from keysat.checkout.collect import collect, mark_due
from keysat.checkout.desk import Desk
from keysat.checkout.order import purchase
from keysat.checkout.read import Poll, poll
from keysat.checkout.tables import Order, OrderId
from keysat.checkout.trials import unlimited
from keysat.checkout.wish import Wish
from keysat.infra.events import Actor
from keysat.infra.house import Mode
from keysat.infra.http import HttpClient
from keysat.infra.seals import seal
from keysat.infra.store import Store
from keysat.infra.tables import AttentionRow, EventRow
from keysat.infra.vault import Vault
from keysat.kit.ids import SeededChance
from keysat.licenses.issuers import create_first
from keysat.licenses.ring import Ring
from keysat.licenses.tables import License
from keysat.payments.connections import Office, connect
from keysat.payments.nudges import keep
from keysat.payments.provider import Rail
from keysat.payments.rates.board import RateBoard
from keysat.payments.rates.pins import set_pin
from keysat.payments.rates.quotes import RULES
from keysat.payments.tables import Attempt, AttemptId, ConnectionId
from keysat.payments.tills import Tills
from keysat.upkeep.doctor import violations
from tests.catalog.shelf import a_product, a_tier
from tests.conftest import TESTER
from tests.fakes.btcpay import FakeBtcPay, HandClock

BUYER = Actor("buyer", address="192.0.2.7")
LOOKER = Actor("job:look")
PUBLIC_URL = "http://shop.test"


class Counter:
    def __init__(self, store: Store) -> None:
        self.clock = HandClock()
        self.fake = FakeBtcPay(clock=self.clock, webhook_transport=httpx.MockTransport(self._hook))
        self.store = store
        self.hosts: dict[str, httpx.AsyncBaseTransport] = {}  # who else is there besides BTCPay
        self.http = HttpClient(transport=_World(self.fake.transport, self.hosts))
        self.vault = Vault(bytes(32), SeededChance(2))
        self.tills = Tills(store, self.vault, self.http)
        rules = replace(RULES, exchanges_min=0)  # a test that wants rates brings its own sources
        self.board = RateBoard(self.http, self.clock, SeededChance(3), sources=(), rules=rules)
        self.door: httpx.AsyncClient | None = None  # where webhooks go in, when a story is told over HTTP
        self.deaf = False  # our door is closed: webhooks are answered 503
        self.breaks: tuple[str, ...] = ()  # words of the violations that a story makes on purpose

    async def open(self) -> None:
        async with self.store.work(self.now, TESTER) as work:
            await create_first(work, self.vault)
            await set_pin(work, "USD", Decimal(50_000))
        self.ring = await Ring.open(self.store, self.vault)
        await connect(self.office(), "btcpay", self.fake.fields)
        await self.tills.refresh()
        await a_product(self.store, "app", price_currency="USD", price_value=2500)
        await a_tier(self.store, "pro", price_sats_override=7500, max_machines=3)

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def desk(self, actor: Actor) -> Desk:
        return Desk(self.store, self.now, actor, self.vault, self.tills, self.board, Mode.LIVE, PUBLIC_URL)

    def office(self) -> Office:
        return Office(self.store, self.now, TESTER, self.vault, self.http, Mode.LIVE, PUBLIC_URL)

    async def _hook(self, request: httpx.Request) -> httpx.Response:
        """Our webhook door, without its HTTP."""
        if self.deaf:
            return httpx.Response(503)
        if self.door is not None:
            path, headers = request.url.path, dict(request.headers)
            answer = await self.door.request(request.method, path, content=request.content, headers=headers)
            return httpx.Response(answer.status_code, content=answer.content)
        till = self.tills.all()[0]
        headers = {name.lower(): value for name, value in request.headers.items()}
        nudge = till.till.parse_webhook(headers, request.content)
        if nudge is not None:
            async with self.store.work(self.now, Actor("provider")) as work:
                orders = await keep(work, ConnectionId(till.id), nudge)
                await mark_due(work, [OrderId(order_id) for order_id in orders])
        return httpx.Response(200)

    async def buy(self, tier: str | None = "pro", **wish: Any) -> Order:
        asked: dict[str, Any] = {"product": "app", "policy_slug": tier, **wish}
        order_id = await purchase(self.desk(BUYER), Wish(**asked), unlimited)
        return await self.order(order_id)

    async def order(self, order_id: OrderId) -> Order:
        async with self.store.read() as read:
            return await read.get(Order, order_id)

    async def poll(self, order: Order) -> Poll:
        async with self.store.read() as read:
            return await poll(read, self.ring, await read.get(Order, order.id))

    async def key(self, order: Order) -> str:
        """As the poll gives it."""
        key = (await self.poll(order)).license_key
        assert key is not None
        return key

    async def invoice_of(self, order: Order) -> str:
        async with self.store.read() as read:
            found = await read.session.scalar(select(Attempt).where(Attempt.order_id == order.id))
        assert found is not None
        assert found.provider_invoice_id is not None
        return found.provider_invoice_id

    async def second_attempt(self, order: Order) -> str:
        """Another invoice for the same order, as a later try leaves it behind. Returns its id at the provider."""
        async with self.store.work(self.now, TESTER) as work:
            first = (await work.session.scalars(select(Attempt).where(Attempt.order_id == order.id))).one()
            ours = self.fake.invoices[str(first.provider_invoice_id)]
            body = {"metadata": {"orderId": "second-try"}, "checkout": dict(ours.checkout)}
            twin = self.fake.make_invoice(self.fake.stores[ours.store_id], ours.amount, ours.currency, body)
            work.session.add(
                Attempt(
                    id=AttemptId(work.new_id()),
                    echo="second-try",
                    order_id=order.id,
                    connection_id=first.connection_id,
                    provider_invoice_id=twin.id,
                    checkout_url=first.checkout_url,
                    price_currency=first.price_currency,
                    price_minor=first.price_minor,
                    created_at=work.now,
                    expires_at=first.expires_at,
                    monitor_until=first.monitor_until,
                )
            )
        return twin.id

    async def pay(self, order: Order, *, percent: int = 100, rail: Rail = Rail.ONCHAIN, confirmed: bool = True) -> None:
        await self.fake.pay(await self.invoice_of(order), percent=percent, rail=rail, confirmed=confirmed)
        await self.work_off()

    async def work_off(self) -> None:
        """What the reconciler does: look at every order that is due, until none is."""
        for _ in range(20):
            async with self.store.read() as read:
                due = (await read.session.scalars(select(Order.id).where(Order.next_look_at <= self.now))).all()
            if not due:
                return
            for order_id in due:
                await collect(self.desk(LOOKER), OrderId(order_id))
        raise AssertionError("the reconciler does not come to rest")

    async def travel(self, **span: float) -> None:
        """Let time pass: the provider's clock and ours, each thing at its moment."""
        until = self.now + timedelta(**span)
        await self.fake.tick()
        await self.work_off()
        while (due := await self._next_due()) is not None and due <= until:
            self.clock.move(due)
            await self.fake.tick()
            await self.work_off()
        self.clock.move(until)
        await self.fake.tick()
        await self.work_off()

    async def _next_due(self) -> datetime | None:
        async with self.store.read() as read:
            look = await read.session.scalar(select(func.min(Order.next_look_at)))
        return min((moment for moment in (look, self.fake.next_due()) if moment is not None), default=None)

    async def licenses(self) -> int:
        async with self.store.read() as read:
            return await read.session.scalar(select(func.count()).select_from(License)) or 0

    async def attention(self) -> list[str]:
        async with self.store.read() as read:
            return list(await read.session.scalars(select(AttentionRow.kind).order_by(AttentionRow.id)))

    async def reasons(self) -> list[str]:
        """What the operator reads."""
        async with self.store.read() as read:
            return list(await read.session.scalars(select(AttentionRow.reason).order_by(AttentionRow.id)))

    async def events(self) -> list[str]:
        async with self.store.read() as read:
            return list(
                await read.session.scalars(
                    select(EventRow.name).where(EventRow.name.like("order.%")).order_by(EventRow.id)
                )
            )


class _World(httpx.AsyncBaseTransport):
    def __init__(self, btcpay: httpx.AsyncBaseTransport, hosts: Mapping[str, httpx.AsyncBaseTransport]) -> None:
        self._btcpay, self._hosts = btcpay, hosts

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._hosts.get(request.url.host, self._btcpay).handle_async_request(request)


@asynccontextmanager
async def open_counter(store: Store) -> AsyncGenerator[Counter, None]:
    counter = Counter(store)
    await counter.open()
    yield counter
    await counter.board.aclose()
    await counter.http.aclose()
    counter.fake.check()


async def see_the_doctor(counter: Counter) -> None:
    """No invariant may be broken at the end of a story, but for what it breaks on purpose."""
    await seal(counter.store, counter.now)
    async with counter.store.read() as read:
        found = await violations(read, counter.now)
    assert [line for line in found if not any(word in line for word in counter.breaks)] == []
