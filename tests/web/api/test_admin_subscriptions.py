"""Subscriptions found, ended, rested, retried and repriced by their operator over HTTP."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from keysat.subscriptions.openings import park
from keysat.subscriptions.tables import Subscription
from tests.conftest import TESTER
from tests.web.selling import Front

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("as_operator", "team")]

PATH = "/v1/admin/subscriptions"


async def body(asked: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert asked.status_code == status, asked.text
    return asked.json()


async def subscribed(front: Front, email: str = "ann@example.org") -> str:
    """The subscription's id."""
    await front.counter.pay(await front.counter.buy("team", buyer_email=email))
    front.counter.clock.move(front.counter.now + timedelta(seconds=1))
    return (await body(await front.http.get(PATH)))["subscriptions"][0]["id"]


async def act(front: Front, subscription: str, verb: str, status: int = 200, **asked: object) -> dict[str, Any]:
    path = f"{PATH}/{subscription}/{verb}"
    return await body(await (front.http.post(path, json=asked) if asked else front.http.post(path)), status)


async def test_subscriptions_are_listed_in_pages_and_shown_with_cycles_and_orders(front: Front) -> None:
    ann, bob = await subscribed(front), await subscribed(front, "bob@example.org")
    first = await body(await front.http.get(PATH, params={"limit": 1, "status": "active"}))
    second = await body(
        await front.http.get(PATH, params={"limit": 1, "status": "active", "cursor": first["next_cursor"]})
    )
    assert [first["subscriptions"][0]["id"], second["subscriptions"][0]["id"]] == [bob, ann]
    assert second["next_cursor"] is None
    shown = await body(await front.http.get(f"{PATH}/{ann}"))
    [one] = (await body(await front.http.get(PATH, params={"license_id": shown["license_id"]})))["subscriptions"]
    assert one == {name: value for name, value in shown.items() if name not in ("cycles", "orders")}
    assert (one["buyer_email"], one["period_days"], one["listed_value"]) == ("ann@example.org", 31, 1200)
    assert one["next_renewal_at"] == one["paid_through"] == "2026-10-21T12:00:00Z"
    [cycle], [order] = shown["cycles"], shown["orders"]
    assert (cycle["number"], cycle["order_id"], order["buyer_email"]) == (1, order["id"], "ann@example.org")
    for query in ({"state": "active"}, {"status": "gone"}, {"cursor": "x"}, {"limit": 0}):
        await body(await front.http.get(PATH, params=query), 400)
    assert (await body(await front.http.get(PATH, params={"status": "lapsed"})))["subscriptions"] == []

    async def found(**query: str) -> list[str]:
        return [row["id"] for row in (await body(await front.http.get(PATH, params=query)))["subscriptions"]]

    assert await found(buyer_email="Ann@example.org") == [ann]
    assert await found(buyer_email="eve@example.org") == []
    assert await found(paid_through_before=one["paid_through"]) == []
    assert await found(paid_through_after=one["paid_through"]) == [bob, ann]
    page = await body(await front.http.get(f"{PATH}/{ann}/orders"))
    assert (page["orders"], page["next_cursor"]) == ([order], None)
    assert (await front.http.get(f"{PATH}/{order['id']}/orders")).status_code == 404


async def test_an_act_on_what_has_changed_since_it_was_read_is_refused(front: Front) -> None:
    ann = await subscribed(front)
    read = {"If-Match": (await front.http.get(f"{PATH}/{ann}")).headers["etag"]}
    paused = await front.http.post(f"{PATH}/{ann}/pause", headers=read)
    assert (paused.status_code, paused.headers["etag"] == read["If-Match"]) == (200, False)
    assert (await front.http.post(f"{PATH}/{ann}/resume", headers=read)).status_code == 412
    again = {"If-Match": paused.headers["etag"]}
    assert (await front.http.post(f"{PATH}/{ann}/resume", headers=again)).status_code == 200


async def test_it_rests_goes_on_and_ends_as_the_operator_says(front: Front) -> None:
    ann = await subscribed(front)
    paused = await act(front, ann, "pause")
    assert (paused["status"], paused["next_renewal_at"]) == ("paused", None)
    await act(front, ann, "pause", 409)
    assert (await act(front, ann, "resume"))["status"] == "active"
    await act(front, ann, "keep-on", 409)
    ends = await act(front, ann, "cancel", reason="Asked for by mail.", at_period_end=True)
    assert ends == {"ok": True, "subscription_id": ann, "status": "active", "ends_at": "2026-10-21T12:00:00Z"}
    assert (await act(front, ann, "keep-on"))["cancel_at_period_end"] is False
    await act(front, ann, "cancel", 400, because="x")
    assert await act(front, ann, "cancel") == {"ok": True, "subscription_id": ann, "status": "cancelled"}
    assert await act(front, ann, "cancel") == {"ok": True, "subscription_id": ann, "already": "cancelled"}
    await act(front, "00000000-0000-0000-0000-000000000007", "cancel", 404)


async def test_a_new_price_is_announced_a_fortnight_ahead_with_its_reason(front: Front) -> None:
    ann = await subscribed(front)
    changed = await act(front, ann, "price", value=1500, reason="Storage costs us more.")
    assert (changed["listed_value"], changed["next_value"], changed["next_value_from"]) == (1200, 1500, 2)
    assert changed["next_value_reason"] == "Storage costs us more."
    front.counter.clock.move(front.counter.now + timedelta(days=17))
    for wrong in ({"from_cycle": 2}, {"value": -1}, {"reason": ""}, {"value": "15.00"}):
        await act(front, ann, "price", 400, **{"value": 1600, "reason": "More."} | wrong)
    assert (await act(front, ann, "price", value=1600, reason="More.", from_cycle=4))["next_value_from"] == 4


async def test_what_is_parked_stands_on_the_list_until_it_is_retried(front: Front) -> None:
    ann = await subscribed(front)
    async with front.shop.work(TESTER) as work:
        await park(work, await work.get(Subscription, UUID(ann)), "no_rate", "No rate is known.")
    [call] = (await body(await front.http.get("/v1/admin/attention")))["attention"]
    assert (call["kind"], call["subject"]) == ("subscription_parked", ann)
    retried = await act(front, ann, "retry")
    assert (retried["parked_at"], retried["consecutive_failures"]) == (None, 0)
    assert retried["next_attempt_at"] is not None
    assert (await body(await front.http.get("/v1/admin/attention")))["attention"] == []
    await act(front, ann, "retry", 409)
