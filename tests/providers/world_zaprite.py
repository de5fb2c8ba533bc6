"""Zaprite under contract: the fake behind the client's transport."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta

from providers.zaprite import ZAPRITE
from tests.fakes.served import HandClock
from tests.fakes.zaprite import FakeZaprite
from tests.providers.world_faked import FakedWorld, Mailbox
from tests.providers.worlds import PlayCard

WEBHOOK_URL = "http://shop.test/v1/zaprite/webhook/c1"


class ZapriteWorld(FakedWorld):
    provider = ZAPRITE

    def __init__(self) -> None:
        self._clock, door = HandClock(), Mailbox()
        self.fake = FakeZaprite(clock=self._clock, webhook_transport=door.transport)
        self.fake.webhook_url = WEBHOOK_URL
        super().__init__(self.fake, WEBHOOK_URL, door.messages)

    async def travel(self, seconds: int) -> None:
        self._clock.move(self.now + timedelta(seconds=seconds))
        await self.fake.tick()

    async def pay_by_card(self, invoice_id: str, card: PlayCard) -> None:
        await self.fake.pay_by_card(invoice_id, card)

    async def mark(self, invoice_id: str, *, settled: bool) -> None:
        raise NotImplementedError("an order can be closed by hand, and never called invalid")


@asynccontextmanager
async def open_zaprite() -> AsyncGenerator[ZapriteWorld, None]:
    """What was said that is not written in `payment-rails.md` 3 fails the test at the end."""
    world = ZapriteWorld()
    async with aclosing(world.http):
        yield world
    world.fake.check()
