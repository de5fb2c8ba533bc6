"""BTCPay under contract: the fake server behind the client's transport."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

from keysat.kit.ids import SeededChance
from providers.btcpay import BtcPay
from tests.fakes.btcpay import FakeBtcPay
from tests.providers.world_faked import FakedWorld, Mailbox
from tests.providers.worlds import PlayCard

WEBHOOK_URL = "http://shop.test/v1/btcpay/webhook/c1"


class BtcPayWorld(FakedWorld):
    def __init__(self) -> None:
        self.door = Mailbox()
        self.fake = FakeBtcPay(webhook_transport=self.door.transport)
        self.provider = BtcPay(SeededChance(1))
        super().__init__(self.fake, WEBHOOK_URL, self.door.messages)

    async def travel(self, seconds: int) -> None:
        await self.fake.travel(seconds)

    async def pay_by_card(self, invoice_id: str, card: PlayCard) -> None:
        raise NotImplementedError("no card pays here")

    async def mark(self, invoice_id: str, *, settled: bool) -> None:
        await self.fake.mark(invoice_id, "Settled" if settled else "Invalid")


@asynccontextmanager
async def open_btcpay() -> AsyncGenerator[BtcPayWorld, None]:
    """The account lives on mainnet. What broke BTCPay's specification fails the test at the end."""
    world = BtcPayWorld()
    async with aclosing(world.http):
        yield world
    world.fake.check()
