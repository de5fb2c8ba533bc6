"""The page takes as many tiers as the seller has, and tells each price before any script runs."""

import re

import pytest

from tests.catalog.shelf import a_tier
from tests.web.selling import Front

pytestmark = pytest.mark.once


async def test_any_number_of_tiers_stands_on_the_page_by_price(front: Front):  # D-36, W-24
    for number in (5, 1, 4, 2, 3, 6):
        await a_tier(front.shop.store, f"t{number}", price_value=number * 1000)
    page = (await front.http.get("/buy/app")).text
    slugs = re.findall(r'name="choice" value="([^"]+)"', page)
    assert slugs == ["t1", "t2", "t3", "t4", "t5", "t6", "pro"]
    for price in ("$10.00", "$20.00", "$30.00", "$40.00", "$50.00", "$60.00", "$75.00"):
        assert price in page


@pytest.mark.parametrize("slug", ["basic", "pro", "gratis"])
async def test_the_server_itself_marks_and_prices_the_tier_that_was_linked_to(front: Front, slug: str):  # W-63
    await a_tier(front.shop.store, "basic", price_value=1900)
    await a_tier(front.shop.store, "gratis", price_value=0)
    page = (await front.http.get("/buy/app", params={"policy": slug})).text
    assert re.findall(r'value="([a-z]+)"[^>]*\schecked', page)[0] == slug
    for act in ("Pay $19.00 with Bitcoin", "Pay $75.00 with Bitcoin", "Get it free"):
        assert act in page
