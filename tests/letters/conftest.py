"""A counter that sells, and a real mail server that its letters go to."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import select

from keysat.checkout.operate import gift, give
from keysat.checkout.recover import Ask, recover
from keysat.checkout.tables import Order
from keysat.infra.mail import Mailer
from keysat.infra.seals import seal
from keysat.infra.setting_values import contact
from keysat.infra.store import Store
from keysat.letters.compose import PostRoom
from keysat.letters.outbox import send_due
from keysat.letters.reader import follow
from keysat.letters.tables import LetterRow
from tests.checkout.counter import BUYER, PUBLIC_URL, Counter, open_counter
from tests.fakes.post_office import PostOffice, post_office

SENDER = Address("Ada & Sons", addr_spec="keys@shop.test")
ANN = "Ann@Example.org"


@dataclass
class Desk:
    """`run` is what the job does."""

    counter: Counter
    office: PostOffice
    room: PostRoom

    async def give(self, email: str | None = ANN, tier: str = "pro") -> Order:
        async with self.counter.store.work(self.counter.now, BUYER) as work:
            return await give(work, await gift(work, "app", tier, email))

    async def sell(self, email: str = ANN) -> Order:
        order = await self.counter.buy(buyer_email=email)
        await self.counter.pay(order)
        return await self.counter.order(order.id)

    async def ask_for_link(self, order: Order, email: str = ANN) -> None:
        async with self.counter.store.work(self.counter.now, BUYER) as work:
            await recover(work, self.room.vault, Ask(order.support_reference, email))

    async def follow(self) -> int:
        await seal(self.room.store, self.counter.now)
        return await follow(self.room.store, self.counter.now)

    async def run(self) -> list[EmailMessage]:
        """The letters that arrived meanwhile."""
        before = len(self.office.letters)
        await self.follow()
        await send_due(self.room, self.counter.now)
        return self.office.letters[before:]

    async def rows(self) -> list[LetterRow]:
        async with self.room.store.read() as read:
            return list(await read.session.scalars(select(LetterRow).order_by(LetterRow.created_at, LetterRow.id)))


@pytest.fixture
async def desk(store: Store, tmp_path: Path) -> AsyncGenerator[Desk, None]:
    async with open_counter(store) as counter, post_office() as office:
        room = PostRoom(
            store=store,
            vault=counter.vault,
            ring=counter.ring,
            mailer=Mailer(office.smtp(), SENDER),
            public_url=PUBLIC_URL,
            shop_name="Ada & Sons",
            contact=contact("help@shop.test"),
            is_sandbox=False,
            words=tmp_path / "letters",
        )
        yield Desk(counter, office, room)


def parts(letter: EmailMessage) -> tuple[str, str]:
    """Plain text and HTML."""
    plain, rich = letter.iter_parts()
    assert isinstance(plain, EmailMessage)
    assert isinstance(rich, EmailMessage)
    return plain.get_content().replace("\r\n", "\n"), rich.get_content()
