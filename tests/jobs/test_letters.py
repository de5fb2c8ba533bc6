"""The job: with a mail server a buyer gets a receipt, without one nothing is even written down."""

import asyncio
from dataclasses import replace
from email.headerregistry import Address

from sqlalchemy import func, select

from keysat.checkout.operate import gift, give
from keysat.infra.mail import Mailer
from keysat.infra.seals import seal
from keysat.jobs.letters import write_and_send
from keysat.jobs.runner import Runner
from keysat.jobs.schedule import jobs
from keysat.letters.tables import LetterCursor, LetterRow
from keysat.upkeep.shop import Shop
from tests.checkout.counter import BUYER, Counter
from tests.fakes.post_office import post_office


async def sell(shop: Shop) -> None:
    async with shop.work(BUYER) as work:
        await give(work, await gift(work, "app", "pro", "ann@example.org"))


async def test_a_sale_ends_with_a_letter(shop: Shop, counter: Counter):
    async with post_office() as office:
        shop = replace(shop, mailer=Mailer(office.smtp(), Address("Shop", addr_spec="keys@shop.test")))
        runner = Runner(shop, [job for job in jobs() if job.name in ("seal", "letters")])
        async with runner.running():
            await sell(shop)
            async with asyncio.timeout(60):
                while not office.letters:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
    assert [letter["To"] for letter in office.letters] == ["ann@example.org"]


async def test_without_a_mail_server_no_letter_is_owed(shop: Shop, counter: Counter):
    await sell(shop)
    await seal(shop.store, shop.now())
    await write_and_send(shop, shop.now())
    async with shop.read() as read:
        assert await read.session.scalar(select(func.count()).select_from(LetterRow)) == 0
        assert await read.session.scalar(select(func.count()).select_from(LetterCursor)) == 0
