import hashlib
import hmac
import json
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select, text

from keysat.checkout.tables import OrderStatus
from keysat.payments.provider import Rail
from keysat.payments.tables import NudgeRow
from keysat.web.throttle import LIMITS, Rate
from tests.conftest import TESTER
from tests.web.selling import Front

pytestmark = pytest.mark.once
WRONG = "sha256=" + 64 * "0"


def address(front: Front, provider: str = "btcpay") -> str:
    return f"/v1/{provider}/webhook/{front.shop.tills.all()[0].id}"


def message(front: Front, **fields: object) -> bytes:
    told = {
        "deliveryId": "d1",
        "webhookId": "w1",
        "originalDeliveryId": "d1",
        "isRedelivery": False,
        "type": "InvoiceSettled",
        "timestamp": 1_768_478_400,
        "storeId": front.shop.tills.all()[0].connection.account_id,
        "invoiceId": "unknown",
    }
    return json.dumps(told | fields).encode()


async def send(
    front: Front,
    body: bytes,
    *,
    signature: str | None = None,
    kind: str = "application/json; charset=utf-8",
    to: str = "",
) -> httpx.Response:
    secret = front.shop.tills.all()[0].connection.secrets["webhook_secret"]
    signed = signature or "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"Content-Type": kind, "BTCPay-Sig": signed}
    return await front.http.post(to or address(front), content=body, headers=headers)


async def nudges(front: Front) -> int:
    async with front.shop.read() as read:
        return await read.session.scalar(select(func.count()).select_from(NudgeRow)) or 0


async def test_a_message_is_kept_and_makes_us_look_but_decides_nothing(front: Front):
    order = await front.bought()
    answer = await send(front, message(front, invoiceId=await front.counter.invoice_of(order)))
    assert (answer.status_code, answer.json()) == (200, {})
    told = await front.order()
    assert told.status == OrderStatus.AWAITING  # the message said settled
    assert told.next_look_at == front.counter.now
    await front.counter.work_off()
    assert (await front.order()).status == OrderStatus.AWAITING  # and the provider says it is not


async def test_a_paid_order_is_fulfilled_through_the_door(front: Front):
    order = await front.bought()
    invoice = await front.counter.invoice_of(order)
    front.counter.deaf = True
    await front.counter.fake.pay(invoice, percent=100, rail=Rail.LIGHTNING, confirmed=True)
    await send(front, message(front, invoiceId=invoice))
    await front.counter.work_off()
    assert (await front.order()).status == OrderStatus.FULFILLED


async def test_duplicates_strangers_and_dull_events_are_taken_too(front: Front):
    for body in (
        message(front),
        message(front),
        message(front, isRedelivery=True, deliveryId="d2"),
        message(front, type="InvoiceCreated", deliveryId="d3"),
        message(front, type="SomethingNew", deliveryId="d4"),
    ):
        assert (await send(front, body)).status_code == 200


async def test_a_wrong_signature_is_401_and_nothing_is_kept(front: Front):
    assert (await send(front, message(front), signature=WRONG)).status_code == 401
    assert (await front.http.post(address(front), json={})).status_code == 401
    assert await nudges(front) == 0


async def test_the_third_wrong_signature_within_ten_minutes_calls_a_person(front: Front):
    async def wrong(minutes: int) -> list[str]:
        front.counter.clock.move(front.counter.now.replace(minute=minutes))
        await send(front, message(front), signature=WRONG)
        return await front.counter.attention()

    assert [await wrong(minute) for minute in (0, 4, 11)] == [[], [], []]
    assert await wrong(12) == ["webhook_secret"]


async def test_what_was_not_even_signed_calls_nobody(front: Front):
    for signature in ("sha256=00", "hello", *("" for _ in range(3))):
        headers = {"BTCPay-Sig": signature}
        assert (await front.http.post(address(front), json={}, headers=headers)).status_code == 401
    assert await front.counter.attention() == []


async def test_a_stranger_uses_up_his_own_share_and_not_the_providers(front: Front):
    most = LIMITS[Rate.BAD_WEBHOOK].burst
    statuses = [(await send(front, message(front), signature=WRONG)).status_code for _ in range(most + 1)]
    assert statuses[-2:] == [401, 429]
    for _ in range(LIMITS[Rate.NUDGE].burst):
        await send(front, message(front), signature=WRONG)
    assert (await send(front, message(front))).status_code == 200


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"not json", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "", 415),
        (b"{" + b" " * 65_536 + b"}", "application/json", 413),
    ],
)
async def test_what_is_wrong_for_good_is_refused_for_good(front: Front, body: bytes, kind: str, status: int):
    assert (await send(front, body, kind=kind)).status_code == status


async def test_only_the_connections_own_path_is_a_door(front: Front):
    body = message(front)
    for to in (
        address(front, "zaprite"),
        address(front, "sandbox"),
        f"/v1/btcpay/webhook/{UUID(int=7)}",
        "/v1/btcpay/webhook/x",
    ):
        assert (await send(front, body, to=to)).status_code == 404
    assert (await front.http.get(address(front))).status_code == 405


async def test_what_cannot_be_kept_now_shall_come_again(front: Front):
    async with front.shop.work(TESTER) as work:
        await work.session.execute(text("ALTER TABLE nudges RENAME TO elsewhere"))
    answer = await send(front, message(front))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


async def test_a_flood_is_slowed_down(front: Front):
    most = LIMITS[Rate.NUDGE].burst
    statuses = [(await send(front, message(front, type="InvoiceCreated"))).status_code for _ in range(most + 1)]
    assert statuses[-2:] == [200, 429]


async def test_a_flood_of_what_is_no_message_is_slowed_down_too(front: Front):
    most = LIMITS[Rate.BAD_WEBHOOK].burst
    statuses = [(await send(front, b"", kind="text/plain")).status_code for _ in range(most + 1)]
    assert statuses[-2:] == [415, 429]
