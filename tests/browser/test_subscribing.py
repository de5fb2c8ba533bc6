"""A subscriber on a phone without JavaScript: tried out, paid, upgraded, forgotten, and come back to."""

import re
import subprocess
import sys
from collections.abc import Generator
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from keysat.upkeep.offset import put_forward
from tests.browser.conftest import Demo, Visit, demo_in
from tests.browser.test_buying import heading, validated
from tests.running import ROOT, surroundings


@pytest.fixture
def demo(tmp_path_factory: pytest.TempPathFactory) -> Generator[Demo, None, None]:
    """One of its own, since its clock goes years ahead."""
    with demo_in(tmp_path_factory.mktemp("subscribing")) as demo:
        yield demo


def fast_forward(demo: Demo, span: str) -> None:
    command = ("demo", "--fast-forward", span, "--data-dir", str(demo.data_dir))
    subprocess.run(
        [sys.executable, "-m", "keysat", *command], cwd=ROOT, env=surroundings(), check=True, capture_output=True
    )


def pay_in_wallet(page: Page, then: str = "Your license key") -> None:
    page.wait_for_url("**/checkout/*")
    page.locator("form[action$='/pay'] button").click()
    heading(page, then)


def show_license(page: Page, key: str) -> None:
    page.goto("/")
    page.get_by_role("link", name="Your license").click()
    page.get_by_label("License key").fill(key)
    page.get_by_role("button", name="Show my license").click()
    heading(page, "Aurora Team")


def stands(page: Page, words: str) -> None:
    expect(page.locator(".standing")).to_contain_text(words)


def test_a_subscription_is_paid_upgraded_left_to_lapse_and_taken_up_again(visit: Visit, demo: Demo):
    with visit(javascript=False) as page:
        page.goto("/buy/aurora?policy=team")
        page.get_by_role("button", name="Pay $12.00 with Bitcoin").click()
        pay_in_wallet(page)
        key = page.locator("#key").inner_text()
        expect(page.locator(".facts")).to_contain_text("Next payment")
        assert validated(demo, key)

        show_license(page, key)
        stands(page, "Active. Paid through")
        page.get_by_role("button", name="Release").click()
        expect(page.get_by_role("status").first).to_contain_text("Another one can take it")
        page.get_by_role("radio", name=re.compile("^Team, each year")).check()
        page.get_by_role("button", name="See what it costs").click()
        heading(page, "From Team to Team, each year")
        page.get_by_role("button", name="Pay $108.00 with Bitcoin").click()
        pay_in_wallet(page)
        expect(page.get_by_text("your license is Aurora Team now")).to_be_visible()

        fast_forward(demo, "367d")
        show_license(page, key)
        stands(page, "Payment is due.")
        assert validated(demo, key)
        put_forward(demo.data_dir, timedelta(days=10))
        show_license(page, key)
        stands(page, "Lapsed.")
        assert not validated(demo, key)

        page.get_by_role("link", name="Pay $120.00").click()
        heading(page, "Pay for Aurora Team")
        expect(page.get_by_text("A new period begins today")).to_be_visible()
        link = page.url
        page.get_by_role("button", name="Pay $120.00").click()
        pay_in_wallet(page, "Paid. Thank you")
        assert page.url == link
        assert validated(demo, key)

        show_license(page, key)
        page.get_by_text("Cancel the subscription").click()
        page.get_by_role("button", name=re.compile("^Cancel at the end")).click()
        stands(page, "Active, and ends soon.")
        page.get_by_role("button", name="Keep it going").click()
        stands(page, "Active. Paid through")
