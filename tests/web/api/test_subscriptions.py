"""A buyer ends a subscription, with its license key as the credential."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from keysat.checkout.renew import pay, work_off
from keysat.checkout.tables import OrderStatus
from keysat.infra.tables import EventRow
from keysat.licenses.issue import replace_key, suspend
from keysat.licenses.tables import License
from keysat.subscriptions.tables import Subscription
from tests.checkout.counter import LOOKER
from tests.conftest import TESTER
from tests.web.conftest import ADMIN
from tests.web.selling import Front

pytestmark = [pytest.mark.once, pytest.mark.usefixtures("team")]

PATH = "/v1/subscriptions/cancel"


async def subscribed(front: Front) -> str:
    """The key."""
    order = await front.counter.buy("team", buyer_email="ann@example.org")
    await front.counter.pay(order)
    return await front.counter.key(order)


async def cancel(front: Front, key: str, **more: object) -> httpx.Response:
    return await front.http.post(PATH, json={"license_key": key, **more})


async def row(front: Front) -> Subscription:
    async with front.shop.read() as read:
        return (await read.session.scalars(select(Subscription))).one()


async def comes_to(front: Front, **since: float) -> None:
    subscription = await row(front)
    front.counter.clock.move(subscription.paid_through + timedelta(**since))
    await front.counter.fake.tick()
    await front.counter.work_off()
    await work_off(front.counter.desk(LOOKER), subscription.id)


async def test_a_buyer_cancels_once_and_the_open_order_ends_with_it(front: Front) -> None:
    key = await subscribed(front)
    await comes_to(front, days=-1)
    assert (await front.order()).status is OrderStatus.AWAITING
    answer = await cancel(front, key, reason="  I have finished my project. ", new_field=1)
    subscription = await row(front)
    told = {"ok": True, "subscription_id": str(subscription.id), "status": "cancelled"}
    assert (answer.status_code, answer.json()) == (200, told)
    assert (await front.order()).status is OrderStatus.EXPIRED
    assert (subscription.cancellation_reason, subscription.cancelled_at) == (
        "I have finished my project.",
        front.counter.now,
    )
    again = await cancel(front, key)
    already = {"ok": True, "already": "cancelled", "subscription_id": str(subscription.id)}
    assert (again.status_code, again.json()) == (200, already)
    async with front.shop.read() as read:
        events = (
            await read.session.scalars(
                select(EventRow).where(EventRow.name == "subscription.cancelled").order_by(EventRow.id)
            )
        ).all()
    assert [event.actor for event in events] == ["buyer"]
    assert "project" not in events[0].body
    validated = await front.http.post("/v1/validate", json={"key": key, "product_slug": "app"})
    assert validated.json()["ok"] is True


async def test_at_the_periods_end_it_goes_on_until_then(front: Front) -> None:
    key = await subscribed(front)
    for _ in range(2):
        answer = (await cancel(front, key, at_period_end=True)).json()
        assert (answer["status"], answer["ends_at"]) == ("active", "2026-10-21T12:00:00Z")
    await comes_to(front)
    assert (await cancel(front, key)).json()["already"] == "cancelled"


async def test_what_has_lapsed_is_over_unless_an_order_for_it_is_open(front: Front) -> None:
    key = await subscribed(front)
    await comes_to(front, days=-1)
    await comes_to(front)
    await comes_to(front, days=8)
    assert (await cancel(front, key)).json()["already"] == "lapsed"
    await pay(front.counter.desk(LOOKER), (await row(front)).id)
    assert (await cancel(front, key)).json()["status"] == "cancelled"
    assert (await front.order()).status is OrderStatus.EXPIRED


async def test_whoever_shows_no_good_key_is_told_nothing(front: Front) -> None:
    key = await subscribed(front)
    async with front.shop.work(TESTER) as work:
        license_id = (await work.session.scalars(select(License.id))).one()
        front.counter.clock.move(front.counter.now + timedelta(seconds=2))
    async with front.shop.work(TESTER) as work:
        await replace_key(work, license_id)
    replaced = await cancel(front, key)
    key = (await front.http.get(f"/v1/admin/licenses/{license_id}/key", headers=ADMIN)).json()["license_key"]
    forged = key[:-4] + ("AAAA" if not key.endswith("AAAA") else "BBBB")
    async with front.shop.work(TESTER) as work:
        await suspend(work, license_id, "a chargeback")
    refused = [replaced, await cancel(front, "garbage"), await cancel(front, forged), await cancel(front, key)]
    await front.http.post(f"/v1/admin/licenses/{license_id}/revoke", headers=ADMIN)
    refused.append(await cancel(front, key))
    assert [answer.status_code for answer in refused] == [401] * 5
    assert len({answer.json()["message"] for answer in refused}) == 1
    assert (await row(front)).status == "cancelled", "revoking ended it"
    assert (await front.http.post(PATH, json={"reason": "x"})).status_code == 400


async def test_a_license_for_good_has_nothing_to_cancel(front: Front) -> None:
    order = await front.counter.buy()
    await front.counter.pay(order)
    answer = await cancel(front, await front.counter.key(order))
    assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
