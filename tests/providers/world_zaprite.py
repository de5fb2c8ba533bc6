"""Zaprite under contract: the fake behind the client's transport."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta

import httpx

from keysat.infra.http import HttpClient
from keysat.payments.provider import Provider, Rail
from providers.zaprite import ZAPRITE
from tests.fakes.btcpay_server import HandClock
from tests.fakes.zaprite import FakeZaprite
from tests.providers.worlds import Accident, Message, PlayCard

WEBHOOK_URL = "http://shop.test/v1/zaprite/webhook/c1"


class ZapriteWorld:
    def __init__(self) -> None:
        self._clock = HandClock()
        self.fake = FakeZaprite(clock=self._clock, webhook_transport=httpx.MockTransport(self._shop))
        self.fake.webhook_url = WEBHOOK_URL
        self._http = HttpClient(transport=self.fake.transport)
        self._messages: list[Message] = []

    def _shop(self, request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self._messages.append(Message(headers, request.content))
        return httpx.Response(200)

    @property
    def provider(self) -> Provider:
        return ZAPRITE

    @property
    def http(self) -> HttpClient:
        return self._http

    @property
    def fields(self) -> Mapping[str, str]:
        return self.fake.fields

    @property
    def webhook_url(self) -> str:
        return WEBHOOK_URL

    @property
    def messages(self) -> Sequence[Message]:
        return self._messages

    @property
    def now(self) -> datetime:
        return self.fake.now

    async def travel(self, seconds: int) -> None:
        self._clock.move(self.now + timedelta(seconds=seconds))
        await self.fake.tick()

    async def pay(
        self, invoice_id: str, *, percent: int = 100, rail: Rail = Rail.ONCHAIN, confirmed: bool = True
    ) -> None:
        await self.fake.pay(invoice_id, percent=percent, rail=rail, confirmed=confirmed)

    async def pay_by_card(self, invoice_id: str, card: PlayCard) -> None:
        await self.fake.pay_by_card(invoice_id, card)

    async def confirm(self, invoice_id: str) -> None:
        await self.fake.confirm(invoice_id)

    async def replace(self, invoice_id: str) -> None:
        await self.fake.replace(invoice_id)

    async def mark(self, invoice_id: str, *, settled: bool) -> None:
        raise NotImplementedError("an order can be closed by hand, and never called invalid")

    def fail_next(self, accident: Accident) -> None:
        self.fake.fail_next(accident.value)


@asynccontextmanager
async def open_zaprite() -> AsyncGenerator[ZapriteWorld, None]:
    """What was said that is not written in `payment-rails.md` 3 fails the test at the end."""
    world = ZapriteWorld()
    async with aclosing(world.http):
        yield world
    world.fake.check()
