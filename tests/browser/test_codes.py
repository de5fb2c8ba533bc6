"""A buyer with a phone and a code: applied, explained, removed and bought with, with and without JavaScript."""

import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Demo, Visit
from tests.browser.test_buying import heading
from tests.running import ADMIN_KEY, ANSWER_SECONDS

REFUSED = "Failed to load resource: the server responded with a status of 400 (Bad Request)"


@pytest.fixture
def borealis(demo: Demo) -> str:
    """A product of its own with the code NORTH, and DAWN as its featured one. Its buy page's path."""
    calls = (
        ("products", {"slug": "borealis", "name": "Borealis", "price_currency": "USD", "price_value": 5000}),
        ("policies", {"product_slug": "borealis", "slug": "one", "name": "One"}),
        ("discount-codes", {"code": "NORTH", "kind": "percent", "amount": 5000, "product_slug": "borealis"}),
        (
            "discount-codes",
            {"code": "DAWN", "kind": "percent", "amount": 1000, "product_slug": "borealis", "featured": True},
        ),
    )
    for path, body in calls:
        answer = httpx.post(
            f"{demo.url}/v1/admin/{path}",
            json=body,
            headers={"Authorization": f"Bearer {ADMIN_KEY}"},
            timeout=ANSWER_SECONDS,
            trust_env=False,
        )
        assert answer.status_code in (200, 409), answer.text
    return "/buy/borealis"


def pays(page: Page, price: str) -> None:
    expect(page.get_by_role("button", name=re.compile("^Pay "))).to_have_accessible_name(f"Pay {price} with Bitcoin")


@pytest.mark.parametrize("javascript", [True, False], ids=["with JavaScript", "without"])
def test_a_code_is_removed_explained_applied_and_bought_with(visit: Visit, borealis: str, *, javascript: bool):
    with visit(javascript=javascript, told_in_console=[REFUSED]) as page:
        page.goto(borealis)
        expect(page.get_by_text("10% off")).to_be_visible()
        pays(page, "$45.00")
        page.get_by_role("button", name="Remove the code").click()
        pays(page, "$50.00")
        field = page.get_by_label("Code", exact=True)
        field.fill("sorth")
        page.get_by_role("button", name="Apply").click()
        expect(page.get_by_role("alert")).to_contain_text("not known")
        pays(page, "$50.00")
        page.get_by_label("E-mail").fill("ann@example.org")
        field.fill("north")
        if javascript:
            field.press("Enter")
        else:
            page.get_by_role("button", name="Apply").click()
        expect(page.get_by_role("status")).to_contain_text("NORTH is applied: $25.00 instead of $50.00.")
        expect(page.get_by_label("E-mail")).to_have_value("ann@example.org")
        pays(page, "$25.00")
        page.get_by_role("button", name="Pay $25.00 with Bitcoin").click()
        page.wait_for_url("**/checkout/*")
        page.locator("form[action$='/pay'] button").click()
        heading(page, "Your license key")
