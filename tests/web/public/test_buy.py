import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import delete

from keysat.catalog import policies
from keysat.catalog.tables import PolicyId
from keysat.checkout.tables import OrderStatus
from keysat.payments.tables import ConnectionRow
from keysat.web.public.buy import COOKIE
from tests.catalog.shelf import a_code, a_product, a_tier
from tests.checkout.counter import PUBLIC_URL
from tests.conftest import TESTER
from tests.web.conftest import ADMIN, BROWSER, browse, doors_of
from tests.web.selling import FORM, KNOWN, Front

pytestmark = pytest.mark.once


async def test_the_page_tells_all_a_buyer_wants_to_know(front: Front):
    page = await front.http.get("/buy/app")
    assert page.status_code == 200
    for words in ("Pro", "$75.00", "about 150,000 sats", "yours for ever", "Works on 3 devices", "Ada &amp; Sons"):
        assert words in page.text
    assert "Pay $75.00 with Bitcoin" in page.text
    assert "Lightning" in page.text


async def test_nothing_on_the_page_comes_from_elsewhere_or_runs_inline(front: Front):
    page = await front.http.get("/buy/app")
    assert not re.search(r'(src|href)="(https?:)?//', page.text)
    assert not re.search(r"\son[a-z]+=", page.text)
    assert not re.search(r"\sstyle=", page.text)
    assert "'unsafe-inline'" not in page.headers["content-security-policy"]
    for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text):
        assert (await front.http.get(address)).status_code == 200


async def test_paying_sends_the_browser_to_the_checkout_page(front: Front):
    answer = await front.buy(buyer_email=" ann@example.org ", rail="lightning")
    assert answer.status_code == 303
    order = await front.order()
    assert order.status == OrderStatus.AWAITING
    assert order.rail == "lightning"
    assert order.customer_id is not None
    assert answer.headers["location"].startswith("http")
    assert order.invoice_id not in answer.headers["location"]


async def test_a_free_tier_leads_straight_to_the_key(front: Front):
    await a_tier(front.shop.store, "free", price_value=0)
    page = await front.http.get("/buy/app?policy=free")
    assert "Get it free" in page.text
    answer = await front.buy("free")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/thank-you?invoice_id={(await front.order()).invoice_id}"
    assert "LIC1-" in (await front.http.get(answer.headers["location"])).text


async def test_a_wrong_address_is_told_beside_the_field_and_what_was_typed_is_kept(front: Front):
    await a_tier(front.shop.store, "free", price_value=0)
    answer = await front.buy("free", buyer_email='ann"@@example.org', rail="lightning")
    assert answer.status_code == 400
    assert 'value="ann&#34;@@example.org"' in answer.text
    assert 'aria-describedby="email-hint email-trouble"' in answer.text
    assert re.search(r'value="free"[^>]*checked', answer.text)
    assert re.search(r'value="lightning"[^>]*checked', answer.text)
    assert await front.orders() == 0


@pytest.mark.parametrize("choice", ["", "gone", "pro/gone", "x" * 300, "secret"])
async def test_what_is_not_on_sale_is_refused_on_the_same_page(front: Front, choice: str):
    await a_tier(front.shop.store, "secret", public=False)
    answer = await front.buy(choice)
    assert answer.status_code in (400, 404)
    assert 'role="alert"' in answer.text
    assert 'action="/buy/app"' in answer.text
    assert await front.orders() == 0


async def test_a_provider_that_is_down_costs_nothing_and_is_told_on_the_page(front: Front):
    front.counter.fake.fail_next("broken", method="POST", path="/invoices")
    answer = await front.buy()
    assert answer.status_code == 502
    assert "Nothing was charged" in answer.text


async def without_provider(front: Front) -> str:
    """The buy page of a shop that has none."""
    async with front.shop.work(TESTER) as work:
        await work.session.execute(delete(ConnectionRow))
    await front.shop.tills.refresh()
    return (await front.http.get("/buy/app")).text


BUY_BUTTON = re.compile(r'<button class="button big" type="submit" ([^>]*)>')
CANNOT_PAY = "cannot take payments yet"


async def test_without_a_provider_what_costs_something_cannot_be_bought_and_the_page_says_why(front: Front):
    page = await without_provider(front)
    assert BUY_BUTTON.findall(page) == ["disabled data-closed"]
    assert page.count(CANNOT_PAY) == 1
    refused = await front.buy("pro")
    assert (refused.status_code, refused.text.count(CANNOT_PAY)) == (400, 1)


async def test_without_a_provider_free_tiers_still_work(front: Front):
    await a_tier(front.shop.store, "free", price_value=0)
    page = await without_provider(front)
    radios = re.findall(r'<input type="radio" name="choice" value="(\w+)"[^>]*?(checked)? (disabled)?>', page)
    assert sorted(radios) == [("free", "checked", ""), ("pro", "", "disabled")]
    assert BUY_BUTTON.findall(page) == [""]
    assert page.count(CANNOT_PAY) == 1
    assert (await front.buy("free")).status_code == 303


async def test_a_reload_shows_the_open_order_again(front: Front):
    first, second = await front.buy(), await front.buy()
    assert first.headers["location"] == second.headers["location"]
    assert await front.orders() == 1


async def test_who_buys_again_while_money_is_on_its_way_is_told_of_that_order_first(front: Front):
    stale = await front.http.get("/buy/app")
    order = await front.bought()
    assert "under way" not in stale.text + (await front.http.get("/buy/app")).text
    await front.counter.pay(order, percent=40, confirmed=False)
    told = await front.buy()
    assert ("of $75.00 was seen" in told.text, "a second license" in told.text) == (True, False)
    assert (await front.buy(known=order.support_reference)).status_code == 303
    assert await front.orders() == 1, "it goes on with what can still be paid"
    await front.counter.pay(order, percent=60, confirmed=False)
    told = await front.buy(buyer_email="ann@example.org")
    for page in (told, await front.http.get("/buy/app")):
        assert (page.status_code, "<strong>$75.00</strong> was seen. " in page.text) == (200, True)
        assert f'<a href="/thank-you?invoice_id={order.invoice_id}">Show that order</a>' in page.text
        assert page.headers["cache-control"] == "no-store", "the link opens the key"
    assert ('value="ann@example.org"' in told.text, await front.orders()) == (True, 1)
    known = KNOWN.findall(told.text)
    assert known == [order.support_reference]
    assert (await front.buy(known=known[0])).status_code == 303
    assert await front.orders() == 2, "a second license may be wanted"
    await front.counter.fake.confirm(await front.counter.invoice_of(order))
    await front.counter.work_off()
    assert "under way" not in (await front.http.get("/buy/app")).text


async def test_a_double_click_makes_one_order_paid_or_free(front: Front):
    await a_tier(front.shop.store, "free", price_value=0)
    await front.http.get("/buy/app")
    for choice, orders in (("pro", 1), ("free", 2)):
        answers = await asyncio.gather(*(front.buy(choice) for _ in range(4)))
        assert len({answer.headers["location"] for answer in answers}) == 1
        assert await front.orders() == orders


async def test_a_price_that_has_changed_since_the_page_was_shown_is_shown_again_before_it_is_asked(front: Front):
    seen = re.findall(r'name="prices" value="([^"]+)"', (await front.http.get("/buy/app")).text)
    tier_id = (await front.bought()).policy_id
    assert tier_id is not None
    async with front.shop.store.work(front.counter.now, TESTER) as work:
        await policies.edit(work, PolicyId(tier_id), policies.PolicyEdit(price_sats_override=9000))
    again = await front.buy(prices=seen[0])
    assert (again.status_code, "The price has changed" in again.text) == (409, True)
    assert "Pay $90.00" in again.text
    seen = re.findall(r'name="prices" value="([^"]+)"', again.text)
    assert (await front.buy(prices=seen[0])).status_code == 303


async def test_two_browsers_have_an_order_each(front: Front):
    await front.buy()
    front.http.cookies.clear()
    await front.buy()
    assert await front.orders() == 2


async def test_the_cookie_is_random_and_out_of_reach_of_scripts(front: Front):
    first = (await front.http.get("/buy/app")).headers["set-cookie"]
    assert first.startswith(f"{COOKIE}=")
    for attribute in ("HttpOnly", "SameSite=lax", "Max-Age=2592000", "Path=/buy"):
        assert attribute in first
    assert "Secure" not in first  # this shop's address is plain http
    front.http.cookies.clear()
    assert (await front.http.get("/buy/app")).headers["set-cookie"] != first
    shop = replace(front.shop, settings=replace(front.shop.settings, public_url="https://shop.test"))
    async with browse(doors_of(shop)) as client:
        for address, is_secure in (("http://shop.test", True), ("http://keysat.local:8080", False)):  # D-17
            page = await client.get(f"{address}/buy/app", headers=BROWSER)
            assert ("Secure" in page.headers["set-cookie"]) is is_secure


async def test_a_cookie_that_is_none_of_ours_is_replaced(front: Front):
    front.http.cookies.set(COOKIE, "x", path="/buy")
    assert f"{COOKIE}=x;" not in (await front.http.get("/buy/app")).headers["set-cookie"]


async def test_a_form_from_another_site_buys_nothing(front: Front):
    for headers in ({"Origin": "https://evil.test"}, {"Origin": PUBLIC_URL, "Sec-Fetch-Site": "cross-site"}):
        answer = await front.http.post("/buy/app", data={"choice": "pro"}, headers=headers)
        assert answer.status_code == 403
    assert await front.orders() == 0


async def test_unknown_and_inactive_products_are_friendly_404s(front: Front):
    hidden = await a_product(front.shop.store, "hidden")
    await front.http.patch(f"/v1/admin/products/{hidden.id}/active", json={"active": False}, headers=ADMIN)
    for slug in ("hidden", "none", "%C3%A9"):
        for answer in (await front.http.get(f"/buy/{slug}"), await post(front, slug)):
            assert answer.status_code == 404
            assert "There is no such product here" in answer.text


async def post(front: Front, slug: str) -> httpx.Response:
    return await front.http.post(f"/buy/{slug}", data={"choice": "pro"}, headers=FORM)


async def test_offers_of_a_tier_can_be_chosen(front: Front):
    tier = await a_tier(
        front.shop.store, "club", price_value=900, is_recurring=True, renewal_period={"count": 1, "unit": "month"}
    )
    offer = {"slug": "yearly", "price_value": 9000, "renewal_period": {"count": 1, "unit": "year"}}
    made = await front.http.post(f"/v1/admin/policies/{tier.id}/offers", json=offer, headers=ADMIN)
    assert made.status_code == 200, made.text
    page = await front.http.get("/buy/app", params={"policy": "club", "offer": "yearly"})
    assert "/ month" in page.text
    assert re.search(r'value="club/yearly"[^>]*checked', page.text)
    assert (await front.bought("club/yearly")).listed_value == 9000


async def test_a_product_without_tiers_sells_itself(front: Front):
    await a_product(front.shop.store, "beacon")
    assert "5,000 sats" in (await front.http.get("/buy/beacon")).text
    answer = await front.http.post("/buy/beacon", data={"choice": ""}, headers=FORM)
    assert answer.status_code == 303
    assert (await front.order()).listed_value == 5000


async def test_a_link_to_a_tier_that_is_gone_says_so(front: Front):
    assert "is not on sale" in (await front.http.get("/buy/app?policy=gone")).text
    assert "is not on sale" not in (await front.http.get("/buy/app?policy=pro")).text


async def test_whoever_orders_too_often_is_told_on_the_page(front: Front):
    for _ in range(20):
        await front.buy("gone")
    answer = await front.buy("gone")
    assert answer.status_code == 429
    assert "Too many requests" in answer.text


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b'{"choice": "pro"}', 400),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="choice"; filename="f"\r\n\r\nx\r\n--b--',
            400,
        ),
        ("application/x-www-form-urlencoded", b"choice=pro&choice=pro", 400),
        ("application/x-www-form-urlencoded", b"choice=pro%00", 404),
        ("application/x-www-form-urlencoded", b"choice=%ff%fe", 404),
        ("application/x-www-form-urlencoded", b"choice=pro&buyer_email=a%00@b.c", 400),
        ("application/x-www-form-urlencoded", b"choice=pro&buyer_email=" + b"x" * 5000, 400),
        ("application/x-www-form-urlencoded", b"choice=" + b"x" * 70_000, 413),
    ],
)
async def test_a_form_that_no_browser_sends_is_refused_with_a_page(front: Front, kind: str, body: bytes, status: int):
    answer = await front.http.post("/buy/app", content=body, headers=FORM | {"Content-Type": kind})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("text/html")
    assert await front.orders() == 0


MONTHLY: dict[str, Any] = {"is_recurring": True, "renewal_period_days": 30, "price_value": 1200, "trial_days": 14}


async def test_a_trial_is_offered_with_what_follows_and_begun_without_a_script(front: Front):
    await a_tier(front.shop.store, "team", **MONTHLY)
    page = (await front.http.get("/buy/app?policy=team")).text
    for words in (
        "first 14 days free",
        "Start 14 free days",
        "(needed for free days)",
        "After 14 days it is $12.00 every 30 days, if you go on: nothing is charged by itself.",
        'name="trial" value="no"',
        "Pay $12.00 with Bitcoin",
    ):
        assert words in page
    without = await front.buy("team")
    assert without.status_code == 400
    assert "once for each e-mail address: type yours" in without.text
    begun = await front.buy("team", buyer_email="ann@example.org")
    assert begun.headers["location"] == f"/thank-you?invoice_id={(await front.order()).invoice_id}"
    assert (await front.order()).trial_days == 14
    thanks = (await front.http.get(begun.headers["location"])).text
    assert "LIC1-" in thanks
    assert "Free trial" in thanks
    again = await front.buy("team", buyer_email="ann@example.org")
    assert again.headers["location"] == begun.headers["location"]
    front.counter.clock.move(front.counter.now + timedelta(days=20))
    used = await front.buy("team", buyer_email="ann@example.org")
    assert used.status_code == 409
    assert "This address has had its free days of App" in used.text
    assert "Pay $12.00 with Bitcoin" in used.text
    assert (await front.buy("team", buyer_email="ann@example.org", trial="no")).status_code == 303
    order = await front.order()
    assert (order.status, order.trial_days, order.listed_value) == (OrderStatus.AWAITING, None, 1200)


async def test_a_code_counts_before_a_trial_and_a_trial_of_the_app_is_not_begun_here(front: Front):
    await a_code(front.shop.store, "SPRING")
    await a_tier(front.shop.store, "team", **MONTHLY)
    await a_tier(front.shop.store, "app", trial_needs="fingerprint", **MONTHLY)
    coded = (await front.http.get("/buy/app?policy=team&code=SPRING")).text
    assert "free days" not in coded
    assert "14 days free: install the app and begin them there." in coded
    for choice, code, value in (("team", "SPRING", 960), ("app", "", 1200)):
        front.counter.clock.move(front.counter.now + timedelta(seconds=1))
        assert (await front.buy(choice, code=code)).status_code == 303
        assert ((await front.order()).listed_value, (await front.order()).trial_days) == (value, None)


async def test_a_trial_is_begun_where_nothing_can_be_paid(front: Front):
    await a_tier(front.shop.store, "team", trial_needs="nothing", **MONTHLY)
    page = await without_provider(front)
    assert 'name="trial"' not in page
    assert "(optional)" in page
    assert (await front.buy("team")).status_code == 303
    assert (await front.order()).trial_days == 14
