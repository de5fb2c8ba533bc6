import pytest

from tests.catalog.shelf import a_product, a_tier
from tests.web.selling import Front

pytestmark = pytest.mark.once


async def test_a_browser_sees_what_is_on_sale_and_a_program_reads_json(front: Front):
    await a_product(front.shop.store, "beacon", name="<Beacon>")
    page = await front.http.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "Ada &amp; Sons" in page.text
    assert 'href="/buy/app"' in page.text
    assert "$75.00" in page.text
    assert "&lt;Beacon&gt;" in page.text
    assert "5,000 sats" in page.text
    answer = await front.http.get("/", headers={"Accept": "*/*"})
    assert answer.json()["service"] == "keysat"
    assert answer.headers["vary"] == page.headers["vary"] == "Accept"


async def test_the_price_on_the_shelf_covers_every_tier_and_offer(front: Front):
    await a_tier(front.shop.store, "free", price_value=0)
    await a_tier(front.shop.store, "hidden", price_value=100, public=False)
    await a_tier(front.shop.store, "basic", price_value=1200)
    assert "Free, or from $12.00" in (await front.http.get("/")).text


async def test_a_product_without_an_open_tier_is_shown_as_not_on_sale(front: Front):
    await a_product(front.shop.store, "later", name="Later")
    await a_tier(front.shop.store, "secret", product="later", public=False)
    assert "Not on sale at the moment" in (await front.http.get("/")).text
    counter = await front.http.get("/buy/later")
    assert "Later is not on sale at the moment" in counter.text


async def test_an_old_cursor_begins_at_the_beginning(front: Front):
    page = await front.http.get("/", params={"after": "nonsense"})
    assert page.status_code == 200
    assert 'href="/buy/app"' in page.text
