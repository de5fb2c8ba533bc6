"""The first page: what needs a person and what he can do about it there, what was sold, how all is."""

import re

import httpx
import pytest

from keysat.kit.ids import random_uuid
from keysat.operators.scopes import Role
from keysat.upkeep.restore import RESTORED
from keysat.upkeep.shop import Shop
from keysat.web.admin.calls import SORTS
from keysat.webhooks.attempt import FAILED
from keysat.webhooks.endpoints import NewEndpoint, create, endpoint
from keysat.webhooks.health import FAILING, note
from tests.conftest import TESTER
from tests.web.admin.signing_in import signed_in
from tests.web.selling import Front

pytestmark = pytest.mark.once


async def home(browser: httpx.AsyncClient) -> str:
    answer = await browser.get("/admin")
    assert answer.status_code == 200
    return answer.text


def heading(page: str) -> str:
    return re.findall(r"<h1>(.*?)</h1>", page)[0]


def of_call(page: str, name: str) -> str:
    """Where its forms go."""
    [section] = [part for part in page.split("<section") if f">{name}</h2>" in part]
    return re.findall(r'action="(/admin/calls/\d+)"', section)[0]


async def act(browser: httpx.AsyncClient, name: str, act: str) -> httpx.Response:
    path = of_call(await home(browser), name)
    return await browser.post(path, data={"act": act}, follow_redirects=True)


async def test_money_in_doubt_is_decided_there_as_far_as_the_visitor_may(front: Front) -> None:
    counter = front.counter
    late = await counter.buy()
    await counter.travel(hours=30)
    await counter.pay(late)
    short = await counter.buy()
    await counter.pay(short, percent=50)
    await counter.travel(minutes=20)
    async with signed_in(front.shop) as owner:
        assert await counter.attention() == ["order_too_late", "order_underpaid"]
        assert "None yet." in await home(owner)
    sold = await counter.buy()
    await counter.pay(sold)
    async with signed_in(front.shop, Role.READ_ONLY) as reader:
        page = await home(reader)
        assert heading(page) == "2 things need you"
        assert page.index(short.support_reference) < page.index(late.support_reference)
        assert "Payment in doubt" in page
        assert "/admin/calls/" not in page
        assert ("<td>$75.00<span" in page, sold.support_reference in page) == (True, True)
        assert '<span class="unseen"> need attention</span>' in (await reader.get("/admin/webhooks")).text
        tried = await reader.post("/admin/calls/1", data={"act": "refuse"})
        assert (tried.status_code, "may not do it" in tried.text) == (404, True)
    async with signed_in(front.shop, Role.FULL_ADMIN) as admin:
        page = await home(admin)
        assert ("Refuse it" in page, "Accept it as paid" in page) == (True, False)
        section = page.split("<section")[1]
        assert short.support_reference in section
        refused = await admin.post(re.findall(r"/admin/calls/\d+", section)[0], data={"act": "refuse"})
        assert refused.headers["location"] == "/admin?done=refuse"
        assert (await admin.post("/admin/calls/1", data={"act": "accept"})).status_code == 404
    async with signed_in(front.shop) as owner:
        assert heading(await home(owner)) == "One thing needs you"
        assert "Done</button>" not in await home(owner)  # an order that waits stays until it is decided
        accepted = await act(owner, "Payment in doubt", "accept")
        assert ("Accepted: what was ordered is issued." in accepted.text, heading(accepted.text)) == (
            True,
            "Nothing needs you",
        )
        assert "2 orders" in accepted.text
        assert await counter.licenses() == 2
        async with front.shop.work(TESTER) as work:
            one = (await create(work, front.shop.vault, NewEndpoint(url="https://8.8.8.8/x"))).endpoint
            await note(work, one, work.now, "answered 500")
        page = await home(owner)
        assert (heading(page), "stands here once it comes up" in page) == ("Not all is well", False)


async def test_what_is_mended_elsewhere_is_led_to_and_taken_off(shop: Shop) -> None:
    async with shop.work(TESTER) as work:
        one = (await create(work, shop.vault, NewEndpoint(url="https://8.8.8.8/x"))).endpoint
        await work.attend(FAILING, one.id, "8.8.8.8 has taken no webhook since yesterday.")
        await work.attend(FAILED, one.id, "8.8.8.8 did not take an event.")
        await work.attend(RESTORED, "2026-01-01T00:00:00+00:00", "Compare what was sold.")
        await work.attend("subscription_parked", random_uuid(work.chance), "Its order could not be opened.")
        await work.attend("of_a_kind_that_nobody_knows", "x", "Something odd.")
    async with signed_in(shop) as owner:
        page = await home(owner)
        assert ("Connect a provider" in page, f'href="/admin/webhooks/{one.id}"' in page) == (True, True)
        seen_earlier = of_call(page, "Webhook gave up")
        assert "Taken off the list." in (await act(owner, "Webhook gave up", "settle")).text
        assert (await owner.post(seen_earlier, data={"act": "replay"})).status_code == 404
        assert (await owner.post(seen_earlier, data={"act": "settle"})).status_code == 303
        assert "8.8.8.8" in (await act(owner, "Webhook fails", "pause")).text
        async with shop.read() as read:
            assert not (await endpoint(read, one.id)).active
        assert "Taken off the list." in (await act(owner, "Restored from a backup", "settle")).text
        gone = await act(owner, "Renewal stopped", "open")
        assert (gone.status_code, "There is no" in gone.text) == (404, True)
        assert "Something odd." in gone.text
        assert (await owner.post("/admin/calls/99", data={"act": "settle"})).status_code == 404
    assert {sort.name for sort in SORTS.values()} >= {"Letter not sent", "Payment provider"}
