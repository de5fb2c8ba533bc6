"""Codes on the buy page: applied, explained and taken off again, by a plain form."""

import re

import pytest

from keysat.catalog import discounts
from keysat.checkout.tables import OrderStatus
from tests.catalog.shelf import a_code, a_product, a_tier, code_now
from tests.conftest import TESTER
from tests.web.selling import Front

pytestmark = pytest.mark.once


def hidden(page: str, name: str) -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', page)
    return found[1] if found else ""


async def test_without_codes_nobody_is_asked_for_one(front: Front):
    assert "discount code" not in (await front.http.get("/buy/app")).text
    await a_product(front.shop.store, "other")
    await a_code(front.shop.store, "OTHER", product_slug="other")
    assert "discount code" not in (await front.http.get("/buy/app")).text
    await a_code(front.shop.store, "SPRING")
    assert "Have a discount code?" in (await front.http.get("/buy/app")).text


async def test_a_code_is_applied_bought_with_and_removed(front: Front):
    await a_code(front.shop.store, "SPRING")
    applied = await front.buy(code=" spring ", act="apply", buyer_email="ann@example.org")
    assert applied.status_code == 200
    for words in ("SPRING is applied: $60.00 instead of $75.00.", "Pay $60.00 with Bitcoin", "120,000 sats"):
        assert words in applied.text
    assert 'value="ann@example.org"' in applied.text
    assert await front.orders() == 0
    removed = await front.buy(code=hidden(applied.text, "code"), act="remove")
    assert "Pay $75.00 with Bitcoin" in removed.text
    assert (await front.buy(code=hidden(applied.text, "code"))).status_code == 303
    assert (await front.order()).listed_value == 6000


async def test_a_link_can_carry_a_code(front: Front):
    await a_code(front.shop.store, "SPRING")
    assert "Pay $60.00 with Bitcoin" in (await front.http.get("/buy/app?code=spring")).text
    wrong = (await front.http.get("/buy/app?code=SPRIGN")).text
    assert "not known" in wrong
    assert "Pay $75.00 with Bitcoin" in wrong


@pytest.mark.parametrize("act", ["apply", ""])
async def test_a_code_that_does_not_hold_is_explained_beside_its_field(front: Front, act: str):
    await a_tier(front.shop.store, "max", price_value=9000)
    await a_code(front.shop.store, "MAX", product_slug="app", policy_slugs=["max"])
    for code, words in (("NOPE", "not known"), ("MAX", "for")):
        answer = await front.buy(code=code, act=act)
        assert answer.status_code == 400
        assert words in answer.text
        assert f'value="{code}"' in answer.text
    assert await front.orders() == 0
    assert "MAX is applied: $72.00 instead of $90.00." in (await front.buy("max", code="MAX", act="apply")).text


async def test_a_featured_code_is_shown_applied_and_really_taken_off(front: Front):
    """W-62: removing it means paying the list price."""
    await a_tier(front.shop.store, "max", price_value=9000)
    await a_code(front.shop.store, "SALE", featured=True, max_uses=12, product_slug="app", policy_slugs=["pro"])
    page = (await front.http.get("/buy/app?policy=pro")).text
    for words in ("20% off · 12 left", "SALE is applied: $60.00 instead of $75.00.", "Pay $60.00", "Pay $90.00"):
        assert words in page
    assert hidden(page, "auto") == "pro=SALE"
    removed = (await front.buy(auto="pro=SALE", act="remove")).text
    assert "Pay $75.00" in removed
    assert hidden(removed, "no_code") == "1"
    assert (await front.buy(no_code="1")).status_code == 303
    assert (await front.order()).listed_value == 7500
    assert (await front.buy(auto="pro=SALE")).status_code == 303
    assert (await front.order()).listed_value == 6000
    assert (await code_now(front.shop.store, "SALE")).used_count == 1


async def test_a_price_that_was_promised_and_has_run_out_is_said_before_anyone_pays(front: Front):
    sale = await a_code(front.shop.store, "SALE", featured=True)
    promised = hidden((await front.http.get("/buy/app")).text, "auto")
    async with front.shop.work(TESTER) as work:
        await discounts.set_active(work, sale.id, False)
    answer = await front.buy(auto=promised)
    assert answer.status_code == 400
    assert "not active" in answer.text
    assert "Pay $75.00 with Bitcoin" in answer.text
    assert await front.orders() == 0


async def test_a_free_license_code_leads_straight_to_the_key_once(front: Front):
    await a_code(front.shop.store, "GIFT", "free_license", 0, max_uses=1)
    assert "GIFT is applied: free instead of $75.00." in (await front.buy(code="GIFT", act="apply")).text
    first = await front.buy(code="GIFT")
    assert first.headers["location"].startswith("/thank-you")
    assert (await front.order()).status == OrderStatus.FULFILLED
    assert (await front.buy(code="gift")).headers["location"] == first.headers["location"]  # a second click
    assert not (await front.buy()).headers["location"].startswith("/thank-you")  # without the code it is paid


async def test_a_code_in_sats_shows_what_will_be_asked(front: Front):
    await a_code(front.shop.store, "SATS", "fixed_sats", 1000)
    page = (await front.buy(code="SATS", act="apply")).text
    assert "Pay 149,000 sats with Bitcoin" in page
    assert "SATS is applied: 149,000 sats instead of $75.00." in page


async def test_trying_codes_is_limited(front: Front):
    for _ in range(30):
        await front.buy(code="X", act="apply")
    assert (await front.buy(code="X", act="apply")).status_code == 429
    assert "Too many codes" in (await front.http.get("/buy/app?code=Y")).text
