"""BTCPay under contract: the fake server behind the client's transport."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime

import httpx

from keysat.infra.http import HttpClient
from keysat.kit.ids import SeededChance
from keysat.payments.provider import Provider, Rail
from providers.btcpay import BtcPay
from tests.fakes.btcpay import FakeBtcPay
from tests.providers.worlds import Accident, Message, PlayCard

WEBHOOK_URL = "http://shop.test/v1/btcpay/webhook/c1"


class BtcPayWorld:
    def __init__(self) -> None:
        self.refuse_with: int | None = None
        """What the shop answers to webhooks instead of 200."""
        self.fake = FakeBtcPay(webhook_transport=httpx.MockTransport(self._shop))
        self._http = HttpClient(transport=self.fake.transport)
        self._messages: list[Message] = []
        self._provider = BtcPay(SeededChance(1))

    def _shop(self, request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self._messages.append(Message(headers, request.content))
        return httpx.Response(self.refuse_with or 200)

    @property
    def provider(self) -> Provider:
        return self._provider

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
        await self.fake.travel(seconds)

    async def pay(
        self, invoice_id: str, *, percent: int = 100, rail: Rail = Rail.ONCHAIN, confirmed: bool = True
    ) -> None:
        await self.fake.pay(invoice_id, percent=percent, rail=rail, confirmed=confirmed)

    async def pay_by_card(self, invoice_id: str, card: PlayCard) -> None:
        raise NotImplementedError("no card pays here")

    async def confirm(self, invoice_id: str) -> None:
        await self.fake.confirm(invoice_id)

    async def replace(self, invoice_id: str) -> None:
        await self.fake.replace(invoice_id)

    async def mark(self, invoice_id: str, *, settled: bool) -> None:
        await self.fake.mark(invoice_id, "Settled" if settled else "Invalid")

    def fail_next(self, accident: Accident) -> None:
        self.fake.fail_next(accident.value)


@asynccontextmanager
async def open_btcpay() -> AsyncGenerator[BtcPayWorld, None]:
    """The account lives on mainnet. What broke BTCPay's specification fails the test at the end."""
    world = BtcPayWorld()
    async with aclosing(world.http):
        yield world
    world.fake.check()
