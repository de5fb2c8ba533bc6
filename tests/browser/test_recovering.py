"""A buyer who lost the key, on a phone: with and without JavaScript."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.test_buying import KEY, heading


def bought(page: Page, email: str = "") -> tuple[str, str, str]:
    """A free key: the key, the support reference and the claim code, as they stand on the page."""
    page.goto("/buy/aurora?policy=free")
    page.get_by_label("E-mail").fill(email)
    page.get_by_role("button", name="Get it free").click()
    heading(page, "Your license key")
    reference = page.locator(".facts code").inner_text()
    return page.locator("#key").inner_text(), reference, page.locator("#claim-code").inner_text()


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_a_buyer_without_an_address_gets_the_key_back_and_replaces_it(visit: Visit, *, javascript: bool):
    with visit(javascript=javascript) as page:
        key, reference, code = bought(page)
        page.goto("/")
        page.get_by_role("link", name="Lost your key?").click()
        heading(page, "Get your license key back")
        page.get_by_label("Order").fill(reference.lower())
        page.get_by_label("Claim code").fill(code.lower().replace("-", " "))
        page.get_by_role("button", name="Get my key").click()
        heading(page, "Your license key")
        expect(page.locator("#key")).to_have_text(key)
        page.get_by_label("Claim code").fill(code)
        page.get_by_role("button", name="Replace the key").click()
        heading(page, "Your new license key")
        new = page.locator("#key").inner_text()
        assert KEY.fullmatch(new)
        assert new != key
        with page.expect_download() as download:
            page.get_by_role("link", name="Download as file").click()
        assert download.value.path().read_text().strip() == new


def test_the_address_of_the_orders_page_and_the_e_mail_are_enough(visit: Visit):
    with visit() as page:
        key, _, _ = bought(page, "lost@example.org")
        address = page.url
        page.get_by_role("link", name="Get your key back, or replace it.").click()
        page.get_by_label("Order").fill(address)
        page.get_by_label("E-mail").fill("Lost@Example.org")
        page.get_by_label("E-mail").press("Enter")
        heading(page, "Your license key")
        expect(page.locator("#key")).to_have_text(key)
        page.get_by_role("button", name="Copy the key").click()
        assert page.evaluate("navigator.clipboard.readText()") == key


def test_what_does_not_fit_is_said_above_the_form(visit: Visit):
    refused = "Failed to load resource: the server responded with a status of 404 (Not Found)"
    with visit(told_in_console=[refused]) as page:
        page.goto("/recover")
        page.get_by_label("Order").fill("KS-AAAAAAAAAA")
        page.get_by_label("Claim code").fill("a guess")
        page.get_by_role("button", name="Get my key").click()
        expect(page.get_by_role("alert")).to_contain_text("Nothing fits these details")
        expect(page.get_by_label("Order")).to_have_value("KS-AAAAAAAAAA")
