from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from keysat.infra.chain import verify
from keysat.infra.seals import seal
from keysat.infra.setting_values import KEEPABLE, Wrong, keep_days
from keysat.infra.tables import AttentionRow, Base, EventOrigin
from keysat.payments.tables import NudgeRow
from keysat.upkeep.retention import KEPT, SPANS, Kept, forget, terms
from keysat.upkeep.shop import Shop
from tests.checkout.counter import LOOKER, Counter
from tests.jobs.conftest import counter, shop

__all__ = ["counter", "shop"]


async def rows(shop: Shop, model: type[Base]) -> int:
    async with shop.read() as read:
        return await read.session.scalar(select(func.count()).select_from(model)) or 0


async def test_what_was_kept_long_enough_is_forgotten_and_the_chain_stays_whole(shop: Shop, counter: Counter):
    await counter.pay(await counter.buy())
    nudges, origins = await rows(shop, NudgeRow), await rows(shop, EventOrigin)
    assert min(nudges, origins) > 0
    await forget(shop, counter.now + timedelta(days=60))
    assert await rows(shop, NudgeRow) == nudges
    await forget(shop, counter.now + timedelta(days=60, seconds=1))
    assert (await rows(shop, NudgeRow), await rows(shop, EventOrigin)) == (0, origins)
    sooner = replace(shop, settings=replace(shop.settings, keep_days={"addresses": 30}))
    await forget(sooner, counter.now + timedelta(days=30))
    assert await rows(shop, EventOrigin) == origins
    counter.clock.move(counter.now + timedelta(days=20))
    await counter.buy()
    await forget(sooner, counter.now + timedelta(days=10, seconds=1))
    assert await rows(shop, EventOrigin) == origins  # the new ones
    await forget(shop, counter.now + timedelta(days=400, seconds=1))
    assert await rows(shop, EventOrigin) == 0
    await seal(shop.store, counter.now)
    async with shop.read() as read:
        assert (await verify(read)).broken_at is None


@pytest.mark.once
async def test_the_doors_say_what_else_is_forgotten(shop: Shop, counter: Counter):
    async with shop.work(LOOKER) as work:
        await work.attend("test", "subject", "reason")
    await forget(shop, counter.now + timedelta(hours=2), [Kept(AttentionRow, "called_at", timedelta(hours=1))])
    assert await counter.attention() == []


def test_the_days_that_an_operator_sets_are_of_things_that_are_kept():
    assert {one.name for one in KEPT if one.name} | SPANS.keys() == set(KEEPABLE)
    assert keep_days("addresses=90, validations = 30") == {"addresses": 90, "validations": 30}
    told = {one.name: one.span.days for one in terms({"addresses": 90}) if one.name}
    assert told == {"addresses": 90, "nudges": 60, "validations": 400}
    for wrong in ("licenses=3", "nudges", "nudges=0", "nudges=-1", "addresses=9999999"):
        with pytest.raises(Wrong):
            keep_days(wrong)
