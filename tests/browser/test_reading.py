"""The API's page on a phone; `visit` sees to it that nothing is asked of anyone else and that it fits."""

from playwright.sync_api import expect

from tests.browser.conftest import Visit


def test_the_api_is_read_on_a_phone(visit: Visit) -> None:
    with visit() as page:
        page.goto("/")
        page.get_by_role("link", name="the API").click()
        page.get_by_role("link", name="Buying").click()
        door = page.locator("#createPurchase")
        assert "curl -X POST" in door.inner_text()
        assert door.locator("pre").first.evaluate("box => box.scrollWidth >= box.clientWidth")
        door.get_by_role("link", name="Validate license").click()
        expect(page.locator("#validateLicense")).to_be_in_viewport()
