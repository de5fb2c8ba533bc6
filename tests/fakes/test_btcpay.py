"""The fake must be like BTCPay where it hurts: states, queues and the judge (`payment-rails.md` 1.12, 2.1)."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes import btcpay_contract
from tests.fakes.btcpay import API_KEY, STORE, FakeBtcPay
from tests.fakes.btcpay_hooks import RETRIES_AFTER, sign
from tests.running import ANSWER_SECONDS, Program, free_port, running

INVOICES = f"/api/v1/stores/{STORE}/invoices"
WEBHOOKS = f"/api/v1/stores/{STORE}/webhooks"
ORDER = {"amount": "49.00", "currency": "USD", "metadata": {"orderId": "a1"}}
SECRET = "a secret of ours"


class Shop:
    """Where the messages go; answers with the next of `answers`, then with 200. 0: nobody there."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.answers: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["BTCPay-Sig"] == sign(SECRET, request.content)
        assert request.content.startswith(b'{\n  "')
        self.heard.append(json.loads(request.content))
        status = self.answers.pop(0) if self.answers else 200
        if status == 0:
            raise httpx.ConnectError("nobody there", request=request)
        return httpx.Response(status)

    def types(self) -> list[str]:
        said = [str(message["type"]) for message in self.heard]
        self.heard.clear()
        return said


class Stage:
    """The fake, a client with the operator's key, a hook, and the shop behind it."""

    def __init__(self, fake: FakeBtcPay, shop: Shop, client: httpx.AsyncClient) -> None:
        self.fake = fake
        self.shop = shop
        self.client = client

    async def invoice(self, **changes: Any) -> str:
        return (await self.client.post(INVOICES, json={**ORDER, **changes})).raise_for_status().json()["id"]

    async def status(self, invoice_id: str) -> str:
        found = (await self.client.get(f"{INVOICES}/{invoice_id}")).raise_for_status().json()
        return f"{found['status']}/{found['additionalStatus']}"


@asynccontextmanager
async def opened() -> AsyncGenerator[Stage, None]:
    shop = Shop()
    fake = FakeBtcPay(webhook_transport=httpx.MockTransport(shop))
    headers = {"Authorization": f"token {API_KEY}"}
    async with httpx.AsyncClient(transport=fake.transport, base_url=fake.base_url, headers=headers) as client:
        events = {"everything": False, "specificEvents": EVENTS}
        hook = {"url": "http://shop.test/hook", "secret": SECRET, "authorizedEvents": events}
        (await client.post(WEBHOOKS, json=hook)).raise_for_status()
        yield Stage(fake, shop, client)


EVENTS = [
    "InvoiceReceivedPayment",
    "InvoicePaymentSettled",
    "InvoiceProcessing",
    "InvoiceSettled",
    "InvoiceExpired",
    "InvoiceInvalid",
    "InvoiceExpiredPaidPartial",
    "InvoicePaidAfterExpiration",
]


@pytest.fixture
async def stage() -> AsyncGenerator[Stage, None]:
    async with opened() as found:
        yield found
    found.fake.check()


async def test_the_specification_is_there_and_judges(shared_data: Path) -> None:
    assert (shared_data / btcpay_contract.SPECIFICATION.name).samefile(btcpay_contract.SPECIFICATION)
    async with opened() as stage:
        wrong = [
            await stage.client.post(INVOICES, json={**ORDER, "amount": 49}),
            await stage.client.post(INVOICES, json={**ORDER, "amountt": "49"}),
            await stage.client.post(INVOICES, json={**ORDER, "checkout": {"expirationMinutess": 3}}),
            await stage.client.get(INVOICES, params={"orderIdd": "a1"}),
            await stage.client.get("/api/v1/storez"),
        ]
        assert [answer.status_code for answer in wrong] == [500] * 5
        with pytest.raises(AssertionError, match="amountt"):
            stage.fake.check()


# What the messages are, situation by situation (2.2)


async def test_lightning_tells_everything_at_once(stage: Stage) -> None:
    await stage.fake.pay(await stage.invoice(), rail="lightning")
    assert stage.shop.types() == EVENTS[:4]


async def test_on_chain_tells_when_it_is_seen_and_when_it_is_confirmed(stage: Stage) -> None:
    sold = await stage.invoice()
    await stage.fake.pay(sold, confirmed=False)
    assert stage.shop.types() == ["InvoiceReceivedPayment", "InvoiceProcessing"]
    await stage.fake.travel(3600)
    assert stage.shop.types() == []
    await stage.fake.confirm(sold)
    assert stage.shop.types() == ["InvoicePaymentSettled", "InvoiceSettled"]


async def test_a_part_that_expires_tells_twice(stage: Stage) -> None:
    await stage.fake.pay(await stage.invoice(), percent=40)
    await stage.fake.travel(15 * 60)
    assert stage.shop.types()[2:] == ["InvoiceExpired", "InvoiceExpiredPaidPartial"]


async def test_late_money_never_tells_settled(stage: Stage) -> None:
    sold = await stage.invoice()
    await stage.fake.travel(15 * 60)
    await stage.fake.pay(sold, confirmed=False)
    assert stage.shop.heard[1]["afterExpiration"] is True
    assert stage.shop.types() == ["InvoiceExpired", "InvoiceReceivedPayment", "InvoicePaidAfterExpiration"]
    await stage.fake.confirm(sold)
    assert stage.shop.types() == ["InvoicePaymentSettled"]
    assert await stage.status(sold) == "Expired/PaidLate"


async def test_a_double_spend_is_told_by_nobody_until_the_expiry(stage: Stage) -> None:
    sold = await stage.invoice()
    await stage.fake.pay(sold, confirmed=False)
    stage.shop.heard.clear()
    await stage.fake.replace(sold)
    assert (stage.shop.types(), await stage.status(sold)) == ([], "New/None")
    await stage.fake.travel(15 * 60)
    assert stage.shop.types() == ["InvoiceExpired"]


async def test_a_payment_that_is_never_confirmed_becomes_invalid(stage: Stage) -> None:
    sold = await stage.invoice(checkout={"monitoringMinutes": 60})
    await stage.fake.pay(sold, confirmed=False)
    await stage.fake.travel(75 * 60)
    assert stage.shop.heard[-1]["manuallyMarked"] is False
    assert await stage.status(sold) == "Invalid/None"


async def test_a_careless_store_settles_what_is_not_there(stage: Stage) -> None:
    stage.fake.stores[STORE].speed_policy = "HighSpeed"
    stage.fake.stores[STORE].payment_tolerance = 100
    sold = await stage.invoice()
    await stage.fake.pay(sold, percent=1, confirmed=False)
    await stage.fake.replace(sold)
    assert await stage.status(sold) == "Settled/None"


async def test_a_marked_invoice_can_be_flipped(stage: Stage) -> None:
    sold = await stage.invoice()
    await stage.fake.mark(sold, "Settled")
    await stage.fake.mark(sold, "Invalid")
    assert stage.shop.types() == ["InvoiceSettled", "InvoiceInvalid"]
    paid = await stage.invoice()
    await stage.fake.pay(paid)
    with pytest.raises(ValueError, match="cannot be marked"):
        await stage.fake.mark(paid, "Invalid")


# How they are delivered (1.12)


async def test_a_failing_message_blocks_the_queue_and_is_retried_with_a_new_id(stage: Stage) -> None:
    stage.shop.answers = [503, 0]
    await stage.fake.pay(await stage.invoice(), rail="lightning")
    assert len(stage.shop.heard) == 1
    await stage.fake.travel(9)
    assert len(stage.shop.heard) == 1
    await stage.fake.travel(1)
    await stage.fake.travel(60)
    first, second, third, *_ = stage.shop.heard
    assert first["deliveryId"] == first["originalDeliveryId"]
    assert len({found["deliveryId"] for found in (first, second, third)}) == 3
    assert {found["originalDeliveryId"] for found in (first, second, third)} == {first["deliveryId"]}
    assert [found["isRedelivery"] for found in (first, second, third)] == [False, True, True]
    assert stage.shop.types() == [EVENTS[0], EVENTS[0], *EVENTS[:4]]


async def test_retries_end_after_an_hour(stage: Stage) -> None:
    stage.shop.answers = [500] * 100
    await stage.fake.pay(await stage.invoice(), percent=1, confirmed=False)
    await stage.fake.travel(sum(RETRIES_AFTER, timedelta(0)).total_seconds() + 1)
    assert len([found for found in stage.shop.heard if found["type"] == EVENTS[0]]) == 1 + len(RETRIES_AFTER)


@pytest.mark.parametrize("status", [400, 401, 404, 410])
async def test_a_plain_refusal_is_final(stage: Stage, status: int) -> None:
    stage.shop.answers = [status]
    await stage.fake.pay(await stage.invoice(), rail="lightning")
    assert stage.shop.types() == EVENTS[:4]


async def test_messages_can_be_lost_doubled_delayed_and_out_of_order(stage: Stage) -> None:
    stage.fake.drop_next()
    stage.fake.duplicate_next()
    await stage.fake.pay(await stage.invoice(), rail="lightning")
    assert stage.shop.types() == [EVENTS[1], EVENTS[1], EVENTS[2], EVENTS[3]]
    stage.fake.hold()
    await stage.fake.pay(await stage.invoice(), rail="lightning")
    assert stage.shop.types() == []
    await stage.fake.release(reverse=True)
    assert stage.shop.types() == EVENTS[:4][::-1]
    stage.fake.delay_next(30)
    await stage.fake.pay(await stage.invoice(), rail="lightning")
    assert stage.shop.types() == []
    await stage.fake.travel(30)
    assert stage.shop.types() == EVENTS[:4]
    stage.fake.hold()
    await stage.fake.pay(await stage.invoice(), rail="lightning")
    stage.fake.restart()
    await stage.fake.release()
    assert stage.shop.types() == []


async def test_a_message_can_be_sent_again_from_the_page(stage: Stage) -> None:
    await stage.fake.pay(await stage.invoice(), percent=1, confirmed=False)
    (first,) = stage.shop.heard
    await stage.fake.redeliver(first["deliveryId"])
    assert stage.shop.heard[1]["originalDeliveryId"] == first["deliveryId"]
    assert stage.shop.heard[1]["timestamp"] == first["timestamp"]


# As a process


def test_it_runs_as_a_process_and_is_driven_through_its_door(tmp_path: Path) -> None:
    port = free_port()
    url, headers = f"http://127.0.0.1:{port}", {"Authorization": f"token {API_KEY}"}
    program = Program("tests.fakes.btcpay", "--port", str(port), "--network", "regtest", log=tmp_path / "log")
    with (
        running(program, f"{url}/api/v1/health"),
        httpx.Client(base_url=url, headers=headers, timeout=ANSWER_SECONDS, trust_env=False) as client,
    ):
        made = client.post(INVOICES, json=ORDER).raise_for_status().json()
        assert made["checkoutLink"].startswith(url)
        paid = client.post("/_control/pay", json={"invoice_id": made["id"], "rail": "lightning"})
        assert paid.status_code == 200
        late = client.post(INVOICES, json=ORDER).json()
        client.post("/_control/advance", json={"seconds": 3600})
        statuses = [client.get(f"{INVOICES}/{found['id']}").json()["status"] for found in (made, late)]
        assert statuses == ["Settled", "Expired"]
        client.post("/_control/fail_next", json={"accident": "lost_after", "method": "POST", "path": "/invoices"})
        with pytest.raises(httpx.ReadTimeout):
            client.post(INVOICES, json={**ORDER, "metadata": {"orderId": "a2"}}, timeout=0.2)
        found = client.get(INVOICES, params={"orderId": "a2", "take": "5"}).json()
        assert len(found) == 1
        assert client.post("/_control/state").json()["result"]["violations"] == []
        assert client.post("/_control/__init__").status_code == 404
