"""BTCPay's messages to us, the hook they come from, and the look at both (`payment-rails.md` 1.7, 1.12)."""

import json
from dataclasses import replace

import pytest

from keysat.payments.provider import BadSignature, Connection, Malformed, Nudge, Rejected
from providers.btcpay.webhook import EVENTS, LATER_EVENTS, read, signature
from tests.fakes.btcpay_hooks import Hook
from tests.fakes.btcpay_server import API_KEY, LEAST_PRIVILEGES, STORE
from tests.providers.conftest import Desk, seat
from tests.providers.world_btcpay import WEBHOOK_URL, BtcPayWorld

CONNECTION = Connection(
    id="c1",
    provider="btcpay",
    base_url="http://btcpay.internal:49392",
    public_url=None,
    account_id="9yT1",
    label="Shop",
    secrets={"api_key": "k", "webhook_secret": "s3crét"},
)
EVENT = {
    "manuallyMarked": False,
    "overPaid": False,
    "deliveryId": "D2",
    "webhookId": "W1",
    "originalDeliveryId": "D1",
    "isRedelivery": True,
    "type": "InvoiceSettled",
    "timestamp": 1790000120,
    "storeId": "9yT1",
    "invoiceId": "Hk9zYdJqfQ3uXy",
    "metadata": {"orderId": "att_01J9"},
}


def parsed(body: bytes, connection: Connection = CONNECTION) -> Nudge | None:
    secret = connection.secrets["webhook_secret"]
    return read({"btcpay-sig": signature(secret, body)}, body, connection)


def event(**changes: object) -> bytes:
    fields = {**EVENT, **changes}
    return json.dumps({name: value for name, value in fields.items() if value is not None}, indent=2).encode()


# Reading a message


def test_the_signature_of_the_appendix() -> None:
    expected = "sha256=775acec968bd245b334eb81ece5dfff2e7b78fb4cb6490b532efb128ac91c2e0"
    assert signature("s3crét", b'{"type":"InvoiceSettled"}') == expected


def test_an_automatic_retry_carries_the_first_deliverys_id() -> None:
    assert parsed(event()) == Nudge("Hk9zYdJqfQ3uXy", "InvoiceSettled", "D1", is_redelivery=True)


@pytest.mark.parametrize(
    ("changes", "delivery_id"),
    [
        ({"originalDeliveryId": None}, "D2"),
        ({"originalDeliveryId": None, "orignalDeliveryId": "D0"}, "D0"),
        ({"originalDeliveryId": "", "orignalDeliveryId": "D0"}, "D0"),
    ],
)
def test_older_servers_name_the_first_delivery_otherwise(changes: dict[str, object], delivery_id: str) -> None:
    nudge = parsed(event(**changes))
    assert nudge is not None
    assert nudge.delivery_id == delivery_id


def test_an_event_nobody_has_heard_of_is_still_a_hint() -> None:
    nudge = parsed(event(type="InvoiceBlessed"))
    assert nudge is not None
    assert nudge.event == "InvoiceBlessed"


@pytest.mark.parametrize(
    "changes",
    [
        {"invoiceId": None},
        {"invoiceId": ""},
        {"invoiceId": "__test__1f9a"},
        {"type": "PayoutCreated", "invoiceId": None},
        {"storeId": "another"},
    ],
)
def test_what_is_not_about_an_invoice_of_ours_is_of_no_interest(changes: dict[str, object]) -> None:
    assert parsed(event(**changes)) is None


UNREADABLE = (b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"type":5,"deliveryId":"D"}', b'{"type":"X"}', b"[" * 9999)


@pytest.mark.parametrize("body", UNREADABLE)
def test_what_cannot_be_read_is_malformed_though_it_is_signed(body: bytes) -> None:
    with pytest.raises(Malformed):
        parsed(body)


GOOD = signature("s3crét", event())


@pytest.mark.parametrize(
    "header", ["", GOOD.upper(), GOOD[7:], "sha512=" + GOOD[7:], GOOD[:-1], GOOD + "0", "sha256=é"]
)
def test_a_signature_of_another_shape_is_bad(header: str) -> None:
    with pytest.raises(BadSignature):
        read({"btcpay-sig": header}, event(), CONNECTION)


@pytest.mark.parametrize("secrets", [{"api_key": "k"}, {"api_key": "k", "webhook_secret": ""}])
def test_without_a_secret_nothing_is_believed(secrets: dict[str, str]) -> None:
    header = signature("", event())
    with pytest.raises(BadSignature):
        read({"btcpay-sig": header}, event(), replace(CONNECTION, secrets=secrets))


# The hook


async def test_the_hook_asks_for_certain_events_with_a_secret_of_ours(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    (hook,) = btcpay.fake.hooks
    assert (hook.url, hook.enabled, hook.automatic_redelivery) == (WEBHOOK_URL, True, True)
    assert (hook.everything, hook.events) == (False, [*EVENTS, *LATER_EVENTS])
    assert hook.secret == desk.connection.secrets["webhook_secret"]
    assert len(bytes.fromhex(hook.secret)) == 32


async def test_a_hook_that_was_changed_is_mended_in_place(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    (hook,) = btcpay.fake.hooks
    hook.enabled, hook.automatic_redelivery, hook.events, hook.secret = False, False, ["InvoiceCreated"], "other"
    assert (await desk.till.health()).webhook_ok is False
    mended = await desk.till.ensure_webhook(WEBHOOK_URL)
    assert (await btcpay.provider.open(mended, btcpay.http).health()).webhook_ok is True
    assert [found.id for found in btcpay.fake.hooks] == [hook.id]
    assert hook.secret == desk.connection.secrets["webhook_secret"]


async def test_our_hook_follows_us_to_a_new_address(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    await desk.till.ensure_webhook("https://new.example.org/v1/btcpay/webhook/c1")
    assert [hook.url for hook in btcpay.fake.hooks] == ["https://new.example.org/v1/btcpay/webhook/c1"]


async def test_stale_hooks_with_our_address_go_and_others_stay(btcpay: BtcPayWorld) -> None:
    fake = btcpay.fake
    for name, url in (("stale", WEBHOOK_URL), ("other", "https://woo.example.org/hook"), ("near", WEBHOOK_URL + "/x")):
        fake.post.hooks[name] = Hook(name, STORE, url, "s")
    desk = await seat(btcpay)
    assert {hook.id for hook in fake.hooks} == {"other", "near", desk.connection.webhook_id}
    fake.post.hooks.pop(desk.connection.webhook_id or "")
    again = await desk.till.ensure_webhook(WEBHOOK_URL)
    assert {hook.id for hook in fake.hooks} == {"other", "near", again.webhook_id}


async def test_an_older_server_gets_the_events_it_knows(btcpay: BtcPayWorld) -> None:
    btcpay.fake.known_events = set(EVENTS)
    desk = await seat(btcpay)
    assert btcpay.fake.hooks[0].events == list(EVENTS)
    assert (await desk.till.health()).webhook_ok is True


async def test_an_address_btcpay_refuses_is_rejected(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    with pytest.raises(Rejected):
        await desk.till.ensure_webhook("nowhere")


# Health


async def test_health_names_what_the_key_lacks_and_what_it_has_too_much(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    create, view, _webhooks, settings, _modify = LEAST_PRIVILEGES
    btcpay.fake.keys[API_KEY] = {f"{view}:{STORE}", f"{settings}:{STORE}", "unrestricted-not", f"{create}"}
    health = await desk.till.health()
    assert health.authorized
    assert health.missing == {"btcpay.store.webhooks.canmodifywebhooks"}
    assert health.excess == {"unrestricted-not", create}
    assert health.webhook_ok is None


async def test_health_warns_of_a_careless_store(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    store = btcpay.fake.stores[STORE]
    store.anyone_can_create_invoice, store.payment_tolerance, store.speed_policy = True, 100, "HighSpeed"
    btcpay.fake.synced = False
    health = await desk.till.health()
    assert len(health.warnings) == 3
    assert health.synced is False
    assert health.version == "2.4.1"


async def test_health_sees_a_hook_that_is_gone_or_leads_elsewhere(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    (hook,) = btcpay.fake.hooks
    hook.url = "https://elsewhere.example.org"
    assert (await desk.till.health()).webhook_ok is False
    btcpay.fake.post.hooks.clear()
    assert (await desk.till.health()).webhook_ok is False


async def test_health_counts_the_deliveries_that_failed(btcpay: BtcPayWorld) -> None:
    desk: Desk = await seat(btcpay)
    btcpay.door.refuse_with = 401
    sold = await desk.sell()
    await btcpay.pay(sold.invoice_id)
    warnings = (await desk.till.health()).warnings
    assert warnings == (f"{len(btcpay.messages)} of BTCPay's last {len(btcpay.messages)} webhook deliveries failed.",)


async def test_a_key_that_may_not_view_settings_has_no_rates(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    btcpay.fake.keys[API_KEY] = {f"{name}:{STORE}" for name in LEAST_PRIVILEGES if "storesettings" not in name}
    assert await desk.till.btc_rate("USD") is None
    assert any("settings" in warning for warning in (await desk.till.health()).warnings)
