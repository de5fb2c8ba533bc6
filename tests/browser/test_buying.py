"""A buyer with a phone: from the shop's front page to a key that verifies, with and without JavaScript."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Demo, Visit
from tests.running import ANSWER_SECONDS

REFUSED = "Failed to load resource: the server responded with a status of 400 (Bad Request)"
KEY = re.compile(r"LIC1-[A-Z2-7]+-[A-Z2-7]+")


def heading(page: Page, words: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(words)


def choose(page: Page, tier: str) -> None:
    """As a thumb does: anywhere on the card."""
    page.locator(".tier", has=page.get_by_role("heading", name=tier, exact=True)).locator("label").click()


def checkout(page: Page) -> str:
    """The wallet's address of an order of `pro` that nobody has paid yet."""
    page.goto("/buy/aurora?policy=pro")
    page.get_by_role("button", name="Pay $75.00 with Bitcoin").click()
    page.wait_for_url("**/checkout/*")
    return page.url


def press(address: str, button: str) -> None:
    """Somebody presses a button of the wallet elsewhere."""
    assert httpx.post(f"{address}/{button}", timeout=ANSWER_SECONDS, trust_env=False).status_code == 303


def validated(demo: Demo, key: str) -> bool:
    body = {"key": key, "product_slug": "aurora", "fingerprint": "a-phone"}
    answer = httpx.post(f"{demo.url}/v1/validate", json=body, timeout=ANSWER_SECONDS, trust_env=False).json()
    return answer["ok"] and "priority-support" in answer["entitlements"]


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_a_buyer_finds_pays_and_keeps_a_key(visit: Visit, demo: Demo, tmp_path: Path, *, javascript: bool):
    with visit(javascript=javascript) as page:
        page.goto("/")
        page.get_by_role("link", name="Aurora").click()
        choose(page, "Free")
        expect(page.get_by_role("button")).to_have_accessible_name("Get it free")
        choose(page, "Pro")
        expect(page.get_by_role("button")).to_have_accessible_name("Pay $75.00 with Bitcoin")
        page.get_by_label("E-mail").fill("ann@example.org")
        page.get_by_label("Lightning").check()
        page.get_by_role("button").click()
        page.wait_for_url("**/checkout/*")
        page.locator("form[action$='/pay'] button").click()
        heading(page, "Your license key")
        key = page.locator("#key").inner_text()
        assert KEY.fullmatch(key)
        assert "3 devices" in page.locator(".facts").inner_text()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download as file").click()
        assert download.value.suggested_filename == "aurora-license.txt"
        download.value.save_as(tmp_path / "key.txt")
        assert (tmp_path / "key.txt").read_text().strip() == key
        if javascript:
            page.clock.install()
            page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 3600)  # the words go back after a moment
            for name in ("Copy the key", "Copied"):  # whoever presses twice
                page.get_by_role("button", name=name).click()
                expect(page.get_by_role("button", name="Copied")).to_be_visible()
            assert page.evaluate("navigator.clipboard.readText()") == key
            page.clock.run_for(3000)
            expect(page.get_by_role("button")).to_have_accessible_name("Copy the key")
        else:
            expect(page.get_by_role("button")).to_have_count(0)
    assert validated(demo, key)


def test_a_free_key_is_there_at_once(visit: Visit):
    with visit() as page:
        page.goto("/buy/aurora?policy=free")
        expect(page.get_by_text("How do you want to pay?")).to_be_hidden()
        page.get_by_role("button", name="Get it free").click()
        heading(page, "Your license key")


def test_the_page_follows_the_payment_by_itself(visit: Visit):
    with visit() as page:
        address = checkout(page)
        page.get_by_role("link", name="Back to the shop").click()
        heading(page, "Waiting for your payment")
        expect(page.get_by_role("link", name="Pay $75.00")).to_have_attribute("href", address)
        expect(page.locator("[data-countdown]")).to_have_text(re.compile(r"1\d:\d\d"))
        page.evaluate("window.same = true")
        press(address, "pay-onchain")
        heading(page, "Payment seen")
        expect(page.get_by_role("status").last).to_have_text("Payment seen")
        press(address, "confirm")
        heading(page, "Your license key")
        assert page.evaluate("window.same"), "the page was loaded anew"
        expect(page.get_by_role("button", name="Copy the key")).to_be_visible()
        expect(page).to_have_title(re.compile("^Your license key"))


def test_without_javascript_the_page_looks_again_too(visit: Visit):
    with visit(javascript=False) as page:
        address = checkout(page)
        page.get_by_role("link", name="Back to the shop").click()
        heading(page, "Waiting for your payment")
        press(address, "pay")
        heading(page, "Your license key")


def test_a_buyer_who_comes_too_late_is_told_what_happens_to_the_money(visit: Visit):
    with visit() as page:
        address = checkout(page)
        page.get_by_role("link", name="Back to the shop").click()
        press(address, "expire")
        heading(page, "This payment has expired")
        expect(page.get_by_text("within 24 hours still counts")).to_be_visible()
        page.get_by_role("link", name="Start again").click()
        expect(page.get_by_role("radio", name=re.compile("^Pro"))).to_be_checked()


def test_a_keyboard_is_enough(visit: Visit):
    with visit() as page:
        page.goto("/buy/aurora")
        page.get_by_role("radio", name=re.compile("^Standard")).focus()
        page.keyboard.press("ArrowDown")
        expect(page.get_by_role("radio", name=re.compile("^Pro"))).to_be_focused()
        expect(page.get_by_role("radio", name=re.compile("^Pro"))).to_be_checked()
        page.keyboard.press("Tab")
        expect(page.get_by_label("E-mail")).to_be_focused()
        page.keyboard.press("Enter")
        page.wait_for_url("**/checkout/*")


def test_a_wrong_address_is_said_beside_the_field(visit: Visit):
    with visit(told_in_console=[REFUSED]) as page:
        page.goto("/buy/aurora?policy=pro")
        page.evaluate("document.forms[0].noValidate = true")  # as a browser that lets everything pass
        page.get_by_label("E-mail").fill("ann@@example.org")
        page.get_by_role("button").click()
        field = page.get_by_label("E-mail")
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_have_value("ann@@example.org")
        expect(field).to_be_focused()
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_role("radio", name=re.compile("^Pro"))).to_be_checked()


def test_a_double_click_is_one_order(visit: Visit):
    with visit() as page:
        page.goto("/buy/aurora?policy=pro")
        page.get_by_role("button", name="Pay $75.00 with Bitcoin").dblclick(no_wait_after=True)
        page.wait_for_url("**/checkout/*")
        first = page.url
        assert checkout(page) == first


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_free_days_are_begun_with_an_address_and_say_what_follows(visit: Visit, *, javascript: bool):
    with visit(javascript=javascript, told_in_console=[REFUSED]) as page:
        page.goto("/buy/aurora?policy=team")
        expect(page.get_by_text("After 14 days it is $12.00 / month, if you go on")).to_be_visible()
        expect(page.get_by_role("button", name="Pay $12.00 with Bitcoin")).to_be_visible()
        page.get_by_role("button", name="Start 14 free days").click()
        expect(page.get_by_role("alert")).to_contain_text("type yours")
        page.get_by_label("E-mail").fill(f"ann-{javascript}@example.org")
        page.get_by_role("button", name="Start 14 free days").click()
        heading(page, "Your license key")
        expect(page.get_by_text("Free trial")).to_be_visible()
        page.goto("/buy/aurora?policy=pro")
        expect(page.locator("#follows")).to_be_hidden()
