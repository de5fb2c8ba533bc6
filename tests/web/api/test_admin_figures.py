"""How many licenses there are and what came in: right at any moment, and never counted row by row."""

from typing import Any

import pytest

from keysat.infra.seals import seal
from keysat.upkeep.tallies import broken, count_anew, tally
from tests.catalog.shelf import a_tier
from tests.conftest import TESTER
from tests.web.selling import Front

pytestmark = pytest.mark.usefixtures("as_operator")


async def told(front: Front) -> dict[str, Any]:
    paths = {"summary": "licenses/summary", "counts": "licenses/counts", "revenue": "revenue/summary"}
    return {name: (await front.http.get(f"/v1/admin/{path}")).json() for name, path in paths.items()}


async def give(front: Front, tier: str = "pro") -> dict[str, Any]:
    return (await front.http.post("/v1/admin/licenses", json={"product_slug": "app", "policy_slug": tier})).json()


async def sell(front: Front) -> None:
    await front.counter.travel(seconds=1)
    order = await front.bought()
    answer = await front.http.post(f"/v1/admin/orders/{order.id}/settle")
    assert answer.status_code == 200, answer.text


async def test_figures_are_right_before_and_after_they_are_added_up(front: Front) -> None:  # D-30
    assert (await told(front))["summary"]["total"] == 0
    other = await a_tier(front.shop.store, "max", entitlements=["core"])
    first = await give(front)
    await sell(front)
    before = await told(front)
    await seal(front.shop.store, front.counter.now)
    await tally(front.shop.store, front.counter.now)
    assert await told(front) == before

    await front.counter.travel(hours=24)
    second = await give(front)
    moved = await front.http.post(
        f"/v1/admin/licenses/{first['license_id']}/change-tier", json={"to_policy_slug": "max", "when": "at_once"}
    )
    assert moved.status_code == 200, moved.text
    await front.http.post(f"/v1/admin/licenses/{second['license_id']}/suspend")
    await front.http.post(f"/v1/admin/licenses/{first['license_id']}/revoke")
    await sell(front)
    now = await told(front)
    assert now["summary"] == {"total": 4, "active": 2, "suspended": 1, "revoked": 1, "last_24h": 2, "last_7d": 4}
    assert now["counts"]["by_product"] == {first["product_id"]: 4}
    assert now["counts"]["by_policy"] == {first["policy_id"]: 3, str(other.id): 1}
    assert now["revenue"] == {
        "total_sats": 300_000,
        "last_24h_sats": 150_000,
        "last_7d_sats": 300_000,
        "last_30d_sats": 300_000,
        "settled_paid_invoice_count": 2,
        "by_currency": [
            {"currency": "USD", "orders": 2, "total": 15_000}
            | {"last_24h": 7_500, "last_7d": 15_000, "last_30d": 15_000},
        ],
    }
    for _ in range(2):
        await seal(front.shop.store, front.counter.now)
        await tally(front.shop.store, front.counter.now)
        assert await told(front) == now
    async with front.shop.read() as read:
        assert await broken(read, front.counter.now) == []
    async with front.shop.work(TESTER) as work:
        await count_anew(work)
    assert await told(front) == now
