"""A machine without a seat is news for the operator, once an hour."""

from datetime import timedelta

from tests.conftest import NOON
from tests.licenses.seller import Seller

REACHED = "license.seat_limit_reached"


async def test_a_machine_too_many_is_told_once_an_hour_and_license(seller: Seller) -> None:
    small, large = await seller.sell(max_machines=1), await seller.sell(max_machines=2)
    keys = [await seller.key(license.id) for license in (small, large)]
    for key in keys:
        for machine in ("a", "b", "c", "d"):
            await seller.validate(key, fingerprint=machine)
            await seller.activate(key, machine)
    told = await seller.events(REACHED)
    assert [(body["license_id"], body["max_machines"]) for _, body in told] == [
        (str(small.id), 1),
        (str(large.id), 2),
    ]
    assert {body["product_id"] for _, body in told} == {str(small.product_id)}
    for minutes, count in ((59, 2), (61, 3), (62, 3)):
        await seller.validate(keys[0], fingerprint="z", now=NOON + timedelta(minutes=minutes))
        assert len(await seller.events(REACHED)) == count
