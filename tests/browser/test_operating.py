"""An operator's first day: BTCPay connected by a click, a sale, the signed webhook, the backup restored elsewhere."""

import base64
import hmac
import json
import re
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Demo, Visit, demo_in
from tests.browser.test_buying import heading, validated
from tests.fakes.btcpay import STORE
from tests.running import ANSWER_SECONDS, Program, free_port, keysat, running, surroundings

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
    answer = httpx.post(
        f"{btcpay}/_control/{verb}", content=json.dumps(arguments), timeout=ANSWER_SECONDS, trust_env=False
    )
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
    expect(page.get_by_role("main")).to_contain_text(words)


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


@dataclass
class Receiver:
    """A program of the operator's that is told what happens."""

    url: str
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list[tuple[dict[str, str], bytes]])

    def told(self, event: str, count: int = 1) -> list[tuple[dict[str, str], bytes]]:
        """The first deliveries of an event, once there are so many."""
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            found = [(headers, body) for headers, body in self.came if json.loads(body)["event_type"] == event]
            if len(found) >= count:
                return found
            assert time.monotonic() < until, (event, [json.loads(body)["event_type"] for _, body in self.came])
            time.sleep(0.1)


@contextmanager
def receiving() -> Generator[Receiver, None, None]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/keysat")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def is_signed_by(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """As Standard Webhooks says, with the standard library alone."""
    signed = b".".join((headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body))
    mac = hmac.digest(base64.b64decode(secret.removeprefix("whsec_")), signed, "sha256")
    return f"v1,{base64.b64encode(mac).decode()}" in headers["webhook-signature"].split()


def test_from_the_first_click_to_the_backup_that_holds_every_key(
    visit: Visit, demo: Demo, btcpay: str, tmp_path: Path
) -> None:
    with receiving() as receiver, visit() as page:
        sign_in(page, demo)
        connect(page, btcpay)
        [hook] = control(btcpay, "state")["hooks"]
        assert hook["url"].startswith(f"{demo.url}/v1/btcpay/webhook/")

        page.goto("/admin/webhooks")
        page.get_by_label("Address").fill(receiver.url)
        page.get_by_role("button", name="Add").click()
        secret = page.locator("#secret").inner_text()
        page.get_by_role("link", name="I have it").click()

        key, invoice = buy(page, btcpay)
        assert (invoice["storeId"], validated(demo, key)) == (STORE, True)
        [hook] = control(btcpay, "state")["hooks"]
        assert set(hook["statuses"]) == {"HttpSuccess"}  # each was signed, or it had been refused
        page.goto("/admin/providers")
        page.get_by_role("button", name="Look now").click()
        said(page, "It is well. Its last message came on")
        [(headers, body)] = receiver.told("license.issued")
        assert is_signed_by(secret, headers, body)
        published = hmac.new(secret.encode(), body, sha256).hexdigest()
        assert headers["x-keysat-signature"] == f"sha256={published}"

        page.goto("/admin/webhooks")
        page.get_by_role("link", name=receiver.url).click()
        page.get_by_role("link", name="license.issued").click()
        page.get_by_role("button", name="Send it again").click()
        said(page, "It is on its way again")
        first, again = receiver.told("license.issued", 2)
        assert (first[0]["webhook-id"], first[1]) == (again[0]["webhook-id"], again[1])

        page.goto("/admin/webhooks")
        page.get_by_role("link", name=receiver.url).click()
        page.get_by_text("Change the secret").click()
        page.get_by_role("button", name="Make a new secret").click()
        heading(page, "The new secret")
        renewed = page.locator("#secret").inner_text()
        other_key, _ = buy(page, btcpay)
        headers, body = receiver.told("license.issued", 3)[2]
        assert [is_signed_by(each, headers, body) for each in (secret, renewed)] == [True, True]
        assert control(btcpay, "state")["violations"] == []
        page.goto("/admin")
        heading(page, "Nothing needs you")
        said(page, "It is well: it took the last message on")

    passphrase, backup, elsewhere = tmp_path / "passphrase", tmp_path / "shop.backup", tmp_path / "elsewhere"
    passphrase.write_text("a passphrase of several words")
    known = ("--passphrase-file", str(passphrase))
    keysat(demo.data_dir, "backup", "--to", str(backup), *known, environ=surroundings())
    keysat(elsewhere, "restore", str(backup), *known, environ=surroundings())
    port = free_port()
    restored = Program(
        *("keysat", "serve", "--port", str(port), "--data-dir", str(elsewhere)),
        log=tmp_path / "restored.log",
        environ=surroundings(KEYSAT_PUBLIC_URL=f"http://127.0.0.1:{port}"),
    )
    url = f"http://127.0.0.1:{port}"
    with running(restored, f"{url}/healthz"):
        for sold in (key, other_key):
            asked = {"key": sold, "product_slug": "aurora"}
            answer = httpx.post(f"{url}/v1/validate", json=asked, timeout=ANSWER_SECONDS, trust_env=False).json()
            assert (answer["ok"], answer["status"]) == (True, "active")
