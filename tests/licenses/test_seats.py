"""What the seats do on their own account: shrinking, and writing coarse times."""

from datetime import timedelta
from uuid import UUID

from keysat.licenses.happenings import Cause
from keysat.licenses.seats import shrink, touch_seen
from keysat.licenses.tables import License
from tests.conftest import NOON, TESTER
from tests.licenses.seller import Seller

HOUR = timedelta(hours=1)


async def test_a_lower_cap_keeps_the_machines_seen_last(seller: Seller) -> None:
    license = await seller.sell(max_machines=4)
    key = await seller.key(license.id)
    for hour, name in enumerate(("a", "b", "c", "d")):
        await seller.activate(key, name, NOON + hour * HOUR)
    async with seller.store.work(NOON + 9 * HOUR, TESTER) as work:
        (await work.get(License, license.id)).max_machines = 2
        assert await shrink(work, license.id, Cause.TIER_CHANGED) == 2
        assert await shrink(work, license.id, Cause.TIER_CHANGED) == 0
    assert [machine.activated_at for machine in await seller.machines(license.id)] == [NOON + 2 * HOUR, NOON + 3 * HOUR]
    assert [body["reason"] for _, body in await seller.events("machine.deactivated")] == ["tier_changed"] * 2
    assert await seller.broken() == []


async def test_a_license_without_a_cap_does_not_shrink(seller: Seller) -> None:
    license = await seller.sell(max_machines=0)
    await seller.activate(await seller.key(license.id), "f1")
    async with seller.store.work(NOON, TESTER) as work:
        assert await shrink(work, license.id, Cause.TIER_CHANGED) == 0


async def test_coarse_times_move_forward_and_only_when_six_hours_old(seller: Seller) -> None:
    license = await seller.sell(max_machines=2)
    key = await seller.key(license.id)
    ids = [(await seller.activate(key, name)).machine_id or UUID(int=0) for name in ("f1", "f2")]
    for hours, expected in ((5, 0), (6, 6), (3, 6), (11, 6), (12, 12)):
        async with seller.store.work(NOON, TESTER) as work:
            await touch_seen(work, dict.fromkeys(ids, NOON + hours * HOUR))
        assert {machine.last_seen_at for machine in await seller.machines(license.id)} == {NOON + expected * HOUR}


async def test_machines_nobody_knows_are_passed_over(seller: Seller) -> None:
    async with seller.store.work(NOON, TESTER) as work:
        await touch_seen(work, {UUID(int=5): NOON})
        await touch_seen(work, {})
