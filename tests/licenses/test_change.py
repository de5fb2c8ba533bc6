"""A license moves to another tier; what its operator set by hand survives it."""

from datetime import timedelta
from typing import Any

import pytest

from keysat.kit.errors import BadRequest, Conflict
from keysat.licenses.change import OwnValues, change_tier, own_fields, set_end, set_own
from keysat.licenses.issue import Terms, revoke
from keysat.licenses.tables import OwnField
from tests.conftest import NOON, TESTER
from tests.licenses.seller import Seller

HOUR, YEAR = timedelta(hours=1), timedelta(days=365)


def terms(seller: Seller, **values: Any) -> Terms:
    return Terms(seller.product_id, None, **values)


async def test_a_new_tier_replaces_values_releases_machines_and_the_key_stays_good(seller: Seller) -> None:
    license = await seller.sell(max_machines=3, entitlements=("core",), is_trial=True)
    key = await seller.key(license.id)
    for hour, name in enumerate(("a", "b", "c")):
        await seller.activate(key, name, NOON + hour * HOUR)
    async with seller.store.work(NOON + 9 * HOUR, TESTER) as work:
        new = terms(seller, max_machines=1, entitlements=("pro",), expires_at=NOON + YEAR, grace_seconds=60)
        changed = await change_tier(work, license.id, new)
    assert (changed.released, changed.kept) == (2, frozenset())
    assert [machine.activated_at for machine in await seller.machines(license.id)] == [NOON + 2 * HOUR]
    assert [body["reason"] for _, body in await seller.events("machine.deactivated")] == ["tier_changed"] * 2
    answer = await seller.wire(key, NOON + 10 * HOUR)
    assert (answer["ok"], answer["entitlements"], answer["max_machines"]) == (True, ["pro"], 1)
    assert "is_trial" not in answer
    assert await seller.broken() == []


async def test_what_was_set_by_hand_survives_unless_told_otherwise(seller: Seller) -> None:
    license = await seller.sell(max_machines=1, grace_seconds=60)
    values = OwnValues(expires_at=NOON + YEAR, max_machines=5, entitlements=["beta"])
    async with seller.store.work(NOON, TESTER) as work:
        await set_own(work, license.id, values, "a friend")
        await set_own(work, license.id, OwnValues(max_machines=6), "a good friend")
        changed = await change_tier(work, license.id, terms(seller, max_machines=2, grace_seconds=90))
    assert changed.kept == {OwnField.EXPIRES_AT, OwnField.MAX_MACHINES, OwnField.ENTITLEMENTS}
    row = await seller.license(license.id)
    assert (row.max_machines, row.grace_seconds, row.entitlements, row.expires_at) == (6, 90, ["beta"], NOON + YEAR)
    async with seller.store.work(NOON, TESTER) as work:
        paid = terms(seller, expires_at=NOON + HOUR, is_subscribed=True)
        assert OwnField.EXPIRES_AT not in (await change_tier(work, license.id, paid)).kept
        await set_end(work, license.id, NOON + 2 * HOUR, grace_seconds=1)
        with pytest.raises(Conflict, match="what is paid"):
            await set_own(work, license.id, OwnValues(expires_at=None), "for ever")
        assert (await change_tier(work, license.id, paid, keeps_own_values=False)).kept == frozenset()
        assert await own_fields(work, license.id) == frozenset()
    row = await seller.license(license.id)
    assert (row.max_machines, row.expires_at, row.entitlements) == (1, NOON + HOUR, [])
    assert [body["fields"] for _, body in await seller.events("license.edited")] == [
        ["entitlements", "expires_at", "max_machines"],
        ["max_machines"],
    ]


async def test_what_makes_no_sense_is_refused(seller: Seller) -> None:
    license = await seller.sell()
    async with seller.store.work(NOON, TESTER) as work:
        with pytest.raises(BadRequest):
            await set_own(work, license.id, OwnValues(grace_seconds=-1), "")
        with pytest.raises(BadRequest):
            await change_tier(work, license.id, Terms(license.id, None))
        await revoke(work, license.id, "refunded")
        with pytest.raises(Conflict):
            await change_tier(work, license.id, terms(seller))
