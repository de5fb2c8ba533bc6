from datetime import timedelta

from sqlalchemy import func, select

from keysat.infra.tables import AttentionRow
from keysat.jobs.forget import Kept, forget
from keysat.payments.tables import NudgeRow
from keysat.upkeep.shop import Shop
from tests.checkout.counter import LOOKER, Counter


async def nudges(shop: Shop) -> int:
    async with shop.read() as read:
        return await read.session.scalar(select(func.count()).select_from(NudgeRow)) or 0


async def test_a_nudge_is_forgotten_after_sixty_days(shop: Shop, counter: Counter):
    await counter.pay(await counter.buy())
    there = await nudges(shop)
    assert there > 0
    await forget(shop, counter.now + timedelta(days=60))
    assert await nudges(shop) == there
    await forget(shop, counter.now + timedelta(days=60, seconds=1))
    assert await nudges(shop) == 0


async def test_the_doors_say_what_else_is_forgotten(shop: Shop, counter: Counter):
    async with shop.work(LOOKER) as work:
        await work.attend("test", "subject", "reason")
    await forget(shop, counter.now + timedelta(hours=2), [Kept(AttentionRow, "called_at", timedelta(hours=1))])
    assert await counter.attention() == []
