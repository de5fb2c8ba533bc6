"""The sandbox under contract: the real wallet in this process, behind a transport that can lose and spoil answers."""

import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
from litestar import Litestar

from keysat.infra.http import HttpClient
from keysat.kit.ids import SeededChance
from keysat.payments.provider import Provider, Rail
from providers.sandbox import SANDBOX
from providers.sandbox.accidents import Accident as Happening
from providers.sandbox.accidents import Moment
from providers.sandbox.app import create_app
from providers.sandbox.book import Book
from providers.sandbox.cards import CARDS
from providers.sandbox.deliver import Courier
from providers.sandbox.invoice import Change, Invoice, Payment, confirmed, marked, received, replaced
from providers.sandbox.wallet import Wallet
from tests.providers.worlds import Accident, Message, PlayCard

API_KEY = "a key for play money"
WALLET_URL = "http://wallet.test"
SHOP_URL = "http://shop.test/v1/sandbox/webhook/c1"


class HandClock:
    """Stands still until somebody moves it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


class Wire(httpx.AsyncBaseTransport):
    """The way to the wallet, on which the next message can have an accident."""

    def __init__(self, app: Litestar) -> None:
        self._wallet = httpx.ASGITransport(app=cast(Any, app))
        self.next_accident: Accident | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        accident, self.next_accident = self.next_accident, None
        match accident:
            case Accident.LOST_BEFORE:
                raise httpx.ConnectError("nobody there", request=request)
            case Accident.LOST_AFTER:
                await self._wallet.handle_async_request(request)
                raise httpx.ReadTimeout("no answer came", request=request)
            case Accident.BUSY:
                return httpx.Response(429, headers={"retry-after": "7"}, request=request)
            case Accident.BROKEN:
                return httpx.Response(500, request=request)
            case Accident.GARBAGE:
                return httpx.Response(200, text="<html>It works!</html>", request=request)
            case Accident.LOCKED_OUT:
                return httpx.Response(401, json={"detail": "no"}, request=request)
            case None:
                return await self._wallet.handle_async_request(request)


class Shop:
    """The other end of the webhooks: keeps what arrives, and answers as the test wants."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.answers: list[int] = []
        """What to answer next; 200 when empty; 0: nobody is there."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        status = self.answers.pop(0) if self.answers else 200
        if status == 0:
            raise httpx.ConnectError("the shop is down", request=request)
        self.messages.append(Message({name.lower(): value for name, value in request.headers.items()}, request.content))
        return httpx.Response(status)


class SandboxWorld:
    def __init__(
        self, wallet: Wallet, clock: HandClock, wire: Wire, http: HttpClient, courier: Courier, shop: Shop
    ) -> None:
        self.wallet = wallet
        self.clock = clock
        self.shop = shop
        self._wire = wire
        self._http = http
        self._courier = courier

    @property
    def provider(self) -> Provider:
        return SANDBOX

    @property
    def http(self) -> HttpClient:
        return self._http

    @property
    def fields(self) -> Mapping[str, str]:
        return {"url": WALLET_URL, "api_key": API_KEY}

    def browser(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self._wire, base_url=WALLET_URL)

    @property
    def webhook_url(self) -> str:
        return SHOP_URL

    @property
    def messages(self) -> Sequence[Message]:
        return self.shop.messages

    @property
    def now(self) -> datetime:
        return self.clock.at

    async def travel(self, seconds: int) -> None:
        self.clock.at += timedelta(seconds=seconds)
        self.wallet.tick()
        await self._courier.deliver_due()

    async def pay(
        self, invoice_id: str, *, percent: int = 100, rail: Rail = Rail.ONCHAIN, confirmed: bool = True
    ) -> None:
        def payment(invoice: Invoice, moment: Moment) -> Change:
            minor = invoice.price_minor * percent // 100
            final = confirmed or rail is Rail.LIGHTNING
            return received(invoice, Payment(minor=minor, seen_at=moment.now, confirmed=final))

        await self._happen(invoice_id, payment)

    async def pay_by_card(self, invoice_id: str, card: PlayCard) -> None:
        invoice = self.wallet.invoice(invoice_id)
        self.wallet.pay_by_card(invoice.checkout_id, CARDS[card], save=True)
        await self._courier.deliver_due()

    async def confirm(self, invoice_id: str) -> None:
        await self._happen(invoice_id, lambda invoice, _: confirmed(invoice))

    async def replace(self, invoice_id: str) -> None:
        await self._happen(invoice_id, lambda invoice, moment: replaced(invoice, moment.now))

    async def mark(self, invoice_id: str, *, settled: bool) -> None:
        await self._happen(invoice_id, lambda invoice, _: marked(invoice, settled=settled))

    def fail_next(self, accident: Accident) -> None:
        self._wire.next_accident = accident

    async def _happen(self, invoice_id: str, happening: Happening) -> None:
        self.wallet.change(invoice_id, happening)
        await self._courier.deliver_due()


@asynccontextmanager
async def open_sandbox() -> AsyncGenerator[SandboxWorld, None]:
    with tempfile.TemporaryDirectory() as folder:
        book, clock, chance = Book(Path(folder) / "wallet.db"), HandClock(), SeededChance(1)
        wallet = Wallet(book, clock, chance)
        wire = Wire(create_app(wallet, API_KEY))
        shop = Shop()
        async with (
            aclosing(HttpClient(transport=wire)) as http,
            httpx.AsyncClient(transport=httpx.MockTransport(shop)) as to_shop,
        ):
            yield SandboxWorld(wallet, clock, wire, http, Courier(wallet, to_shop, chance), shop)
        book.close()
