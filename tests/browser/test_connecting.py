"""An operator connects their own BTCPay Server by a click, and sells through it."""

import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import WAITS_MILLISECONDS, Demo, Visit, demo_in
from tests.browser.test_buying import heading, validated
from tests.fakes.btcpay import STORE
from tests.running import Program, free_port, keysat, running, surroundings

pytestmark = pytest.mark.once


@pytest.fixture
def demo(tmp_path_factory: pytest.TempPathFactory) -> Generator[Demo, None, None]:
    """One of its own, whose wallet is disconnected."""
    with demo_in(tmp_path_factory.mktemp("connecting")) as demo:
        yield demo


@pytest.fixture
def btcpay(tmp_path: Path) -> Generator[str, None, None]:
    """A BTCPay Server for play money."""
    port = free_port()
    command = ("tests.fakes.btcpay", "--port", str(port), "--network", "regtest")
    url = f"http://127.0.0.1:{port}"
    with running(Program(*command, log=tmp_path / "btcpay.log"), f"{url}/api/v1/health"):
        yield url


def control(btcpay: str, verb: str, **arguments: object) -> Any:
    answer = httpx.post(f"{btcpay}/_control/{verb}", content=json.dumps(arguments), trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def sign_in(page: Page, demo: Demo) -> None:
    told = keysat(demo.data_dir, "account", "add", "Ada", "--role", "owner", environ=surroundings())
    page.goto("/admin/providers")
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("Password").fill(re.findall(r"this password: (\S+)", told)[0])
    page.get_by_role("button", name="Sign in").click()
    heading(page, "Payment providers")


def said(page: Page, words: str) -> None:
    expect(page.get_by_role("main")).to_contain_text(words, timeout=WAITS_MILLISECONDS)


def connect(page: Page, btcpay: str) -> None:
    """By a click, in the place of the wallet of play money."""
    page.get_by_text("Disconnect", exact=True).click()
    page.get_by_role("button", name="Disconnect Sandbox wallet").click()
    said(page, "Nothing can be paid yet")
    page.get_by_label("Address of your BTCPay Server").fill(btcpay)
    page.get_by_role("button", name="Connect BTCPay").click()
    heading(page, "Authorize Keysat")
    assert page.locator("li").all_inner_texts() == [
        "btcpay.store.cancreateinvoice",
        "btcpay.store.canviewinvoices",
        "btcpay.store.webhooks.canmodifywebhooks",
        "btcpay.store.canviewstoresettings",
    ]
    page.get_by_label("Test shop").check()
    page.get_by_role("button", name="Authorize app").click()
    heading(page, "Test shop is connected")
    page.get_by_role("link", name="To the connections").click()
    said(page, "regtest")


def buy(page: Page, btcpay: str) -> tuple[str, dict[str, Any]]:
    """The key, and the invoice that was paid for it."""
    page.goto("/buy/aurora?policy=pro")
    page.get_by_role("button", name=re.compile("^Pay ")).click()
    page.wait_for_url(f"{btcpay}/i/*")
    invoice_id = page.url.rpartition("/")[2]
    control(btcpay, "pay", invoice_id=invoice_id, rail="lightning")
    [invoice] = [one for one in control(btcpay, "state")["invoices"] if one["id"] == invoice_id]
    page.goto(invoice["checkout"]["redirectURL"])
    heading(page, "Your license key")
    return page.locator("#key").inner_text(), invoice


def test_an_operator_connects_btcpay_by_a_click_and_sells_through_it(visit: Visit, demo: Demo, btcpay: str) -> None:
    with visit() as page:
        sign_in(page, demo)
        connect(page, btcpay)
        [hook] = control(btcpay, "state")["hooks"]
        key, invoice = buy(page, btcpay)
        assert validated(demo, key)
        assert (invoice["storeId"], hook["url"].startswith(f"{demo.url}/v1/btcpay/webhook/")) == (STORE, True)
        [hook] = control(btcpay, "state")["hooks"]
        assert set(hook["statuses"]) == {"HttpSuccess"}  # each was signed, or it had been refused

        page.goto("/admin/providers")
        page.get_by_role("button", name="Look now").click()
        said(page, "It is well. Its last message came on")
        assert control(btcpay, "state")["violations"] == []
