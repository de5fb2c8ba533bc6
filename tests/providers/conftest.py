"""A world for each test, and a till in it that is connected as the daemon would."""

from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from keysat.kit.money import Money
from keysat.payments.provider import Connection, InvoiceRequest, InvoiceSnapshot, Nudge, Till, Unsupported
from tests.providers.world_btcpay import BtcPayWorld, open_btcpay
from tests.providers.worlds import Entry, World

CONNECTION_ID = "c1"
REQUEST = InvoiceRequest(
    attempt_id="attempt-1",
    price=Money("EUR", 4900),
    description="Tide Charts Pro",
    item_code="tide/pro",
    expires_in_seconds=900,
    monitor_seconds=86400,
    return_url="http://shop.test/thank-you/o1",
    rails=frozenset(),
    asked_at=datetime(2026, 1, 15, 12, 0, tzinfo=UTC),
    buyer_email="ada@example.org",
)


@dataclass(frozen=True)
class Desk:
    """A world, and a connected till in it."""

    world: World
    connection: Connection
    till: Till

    async def sell(self, attempt_id: str = "attempt-1", price: Money | None = None) -> InvoiceSnapshot:
        asked = replace(self.request, attempt_id=attempt_id, price=price or REQUEST.price)
        return await self.till.create_invoice(asked)

    @property
    def request(self) -> InvoiceRequest:
        """At this moment."""
        return replace(REQUEST, asked_at=self.world.now)

    async def look(self, sold: InvoiceSnapshot) -> InvoiceSnapshot:
        return await self.till.get_invoice(sold.invoice_id)

    def nudges(self) -> list[Nudge]:
        """What the messages so far come to, as the door would read them."""
        read = [self.till.parse_webhook(message.headers, message.body) for message in self.world.messages]
        return [nudge for nudge in read if nudge is not None]


async def seat(world: World) -> Desk:
    connection = await world.provider.connect_with(world.fields, CONNECTION_ID, world.http)
    with suppress(Unsupported):  # the operator has pasted the address by hand
        connection = await world.provider.open(connection, world.http).ensure_webhook(world.webhook_url)
    return Desk(world, connection, world.provider.open(connection, world.http))


@pytest.fixture
async def world(request: pytest.FixtureRequest) -> AsyncGenerator[World, None]:
    """By `contract.in_worlds_with`."""
    entry: Entry = request.param
    async with entry.open() as opened:
        yield opened


@pytest.fixture
async def desk(world: World) -> Desk:
    return await seat(world)


@pytest.fixture
async def btcpay() -> AsyncGenerator[BtcPayWorld, None]:
    async with open_btcpay() as opened:
        yield opened
