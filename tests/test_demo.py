"""What the demo sells, in a folder that is new and in one of an earlier release."""

from pathlib import Path

from keysat.catalog import policies, read
from keysat.catalog.offers import delete_offer
from keysat.catalog.views import PolicyView
from keysat.demo import DEMO, seed
from keysat.infra.house import Mode
from keysat.infra.settings import load
from keysat.kit.ids import SeededChance
from keysat.kit.periods import Period, Unit
from keysat.upkeep.opening import Founding, open_shop
from keysat.upkeep.shop import Shop
from tests.fakes.served import HandClock


async def tiers_of(shop: Shop) -> dict[str, PolicyView]:
    async with shop.read() as reading:
        product = await read.product_by_slug(reading, "aurora")
        return {tier.slug: tier for tier in await read.policies(reading, product)}


async def test_a_demo_of_an_earlier_release_gets_the_tiers_it_lacks_and_keeps_what_was_changed(tmp_path: Path):
    founding = Founding(Mode.SANDBOX, lambda _key: None)
    async with open_shop(
        load({}, data_dir=tmp_path), clock=HandClock(), chance=SeededChance(1), founding=founding
    ) as shop:
        await seed(shop)
        fresh = await tiers_of(shop)
        assert {slug: tier.price_value for slug, tier in fresh.items()} == {
            "free": 0,
            "standard": 2500,
            "pro": 7500,
            "team": 1200,
        }
        team = fresh["team"]
        assert (team.period, team.trial_days) == (Period(1, Unit.MONTH), 14)
        [yearly] = team.offers
        assert (yearly.slug, yearly.price_value, yearly.own_period) == ("yearly", 12000, Period(1, Unit.YEAR))
        async with shop.work(DEMO) as work:
            await delete_offer(work, team.id, yearly.id)
            await policies.delete_policy(work, team.id)
            await policies.edit(work, fresh["pro"].id, policies.PolicyEdit(price_value=9900))
        await seed(shop)
        again = await tiers_of(shop)
        assert again["pro"].price_value == 9900
        assert [offer.slug for offer in again["team"].offers] == ["yearly"]
        assert again["free"] == fresh["free"]
