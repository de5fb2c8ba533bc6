import asyncio

from sqlalchemy import func, select

from keysat.infra.chain import verify
from keysat.infra.tables import EventRow
from keysat.jobs.runner import Runner
from keysat.jobs.schedule import jobs
from keysat.upkeep.doctor import violations
from keysat.upkeep.shop import Shop
from tests.checkout.counter import Counter


async def unsealed(shop: Shop) -> int:
    async with shop.read() as read:
        return await read.session.scalar(select(func.count()).where(~EventRow.sealed).select_from(EventRow)) or 0


async def test_the_jobs_of_the_house_carry_a_sale_from_webhook_to_sealed_events(shop: Shop, counter: Counter):
    order = await counter.buy()
    runner = Runner(shop, jobs())
    async with runner.running():
        await counter.fake.pay(await counter.invoice_of(order))
        async with asyncio.timeout(60):
            while (await counter.poll(order)).status != "settled":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            while await unsealed(shop):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    assert {one.name: one.error for one in runner.health() if one.error} == {}
    async with shop.read() as read:
        chain = await verify(read)
    assert (chain.checked > 5, chain.broken_at) == (True, None)
    async with shop.read() as read:
        assert await violations(read, shop.now()) == []


def test_every_job_has_a_name_of_its_own():
    names = [job.name for job in jobs()]
    assert len(names) == len(set(names))
