"""What is Zaprite's own (`payment-rails.md` 3; `published-server.md` 6.4-6.7). Nothing here has met the real one."""

import json
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keysat.infra.http import Answer
from keysat.kit.money import Money
from keysat.payments.provider import (
    Connection,
    CredentialGone,
    Declined,
    Malformed,
    Network,
    NoSuchId,
    OutcomeUnknown,
    PayState,
    PermissionMissing,
    ProviderError,
    Rail,
    Rejected,
    Transient,
    Unsupported,
)
from providers.zaprite import wire
from providers.zaprite.api import error_of
from providers.zaprite.orders import body_of, snapshot_of
from providers.zaprite.webhook import read
from tests.fakes.zaprite import ORGANIZATION, PAGE
from tests.providers.conftest import REQUEST, seat
from tests.providers.world_zaprite import WEBHOOK_URL, ZapriteWorld, open_zaprite
from tests.providers.worlds import PlayCard

CONNECTION = Connection(
    id="c1",
    provider="zaprite",
    base_url="https://api.zaprite.com",
    public_url=None,
    account_id="org_1",
    label="Zaprite",
    secrets={"api_key": "k"},
    network=Network.MAINNET,
)
NOON = datetime(2026, 9, 21, 12, 0, tzinfo=UTC)
A_MINUTE = timedelta(minutes=1)


@pytest.fixture
async def zaprite() -> AsyncGenerator[ZapriteWorld, None]:
    async with open_zaprite() as opened:
        yield opened


def paid(minor: object = 4900, status: str = "CONFIRMED", **more: object) -> dict[str, object]:
    fields = {"method": "CARD", "amountInOrderCurrency": minor, "orderCurrency": "USD", "pluginSlug": "stripe"}
    return {"id": "t1", "status": status, **fields, **more}


def order(**changes: object) -> wire.Order:
    """Open until half past twelve, and paid at noon with one confirmed card payment, unless told otherwise."""
    fields = {
        "id": "od_1",
        "orgId": "org_1",
        "status": "PAID",
        "totalAmount": 4900,
        "currency": "USD",
        "externalUniqId": "a1",
        "checkoutUrl": "https://pay.zaprite.com/order/od_1",
        "expiresAt": "2026-09-21T12:30:00.000Z",
        "paidAt": "2026-09-21T12:00:00.000Z",
        "contact": None,
        "metadata": {"askedAt": "2026-09-21T12:00:00Z", "monitorUntil": "2026-09-28T12:30:00Z"},
        "transactions": [paid()],
    }
    return msgspec.json.decode(json.dumps({**fields, **changes}), type=wire.Order)


# What an order means


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("PENDING", PayState.PENDING),
        ("PROCESSING", PayState.PROCESSING),
        ("PAID", PayState.SETTLED),
        ("COMPLETE", PayState.SETTLED),
        ("OVERPAID", PayState.SETTLED),
        ("UNDERPAID", PayState.PENDING),
        ("ABANDONED", PayState.EXPIRED),
        *((word, PayState.UNKNOWN) for word in ("REFUNDED", "EXPIRED", "INVALID", "CANCELLED", "Paid", "paid", "")),
    ],
)
def test_the_words_of_zaprite_in_ours(word: str, state: PayState) -> None:  # D-27
    shown = snapshot_of(order(status=word), NOON, CONNECTION)
    if word == "ABANDONED":  # and yet the money is there: a person looks, since nobody says when it came
        assert shown.paid_late
    assert (shown.state, shown.raw_status, shown.over) == (state, word, word == "OVERPAID")


@pytest.mark.parametrize(
    ("transactions", "minor", "confirmed"),
    [
        ([paid(2000), paid(2900)], 4900, True),
        ([paid(4900), paid(100, "PENDING")], 4900, False),
        ([paid(4900, "CANCELED")], 0, False),
        ([paid(4900, "SOMETHING")], 0, False),
        ([paid(4900, orderCurrency="EUR")], 0, True),
        ([paid(None, amount=4900, currency="USD")], 4900, True),
        ([paid(None, amount=9, currency="BTC")], 0, True),
        ([paid(4899.75)], 4899, True),
        ([paid(-4900)], 0, True),
        ([paid("1e999999999")], 0, True),
        ([], 0, False),
    ],
)
def test_only_confirmed_money_in_the_orders_currency_counts(
    transactions: list[object], minor: int, confirmed: bool
) -> None:
    shown = snapshot_of(order(transactions=transactions), NOON, CONNECTION)
    assert (shown.paid, shown.all_confirmed) == (Money("USD", minor), confirmed)


def test_who_does_not_tell_of_payments_has_told_of_none() -> None:
    shown = snapshot_of(order(transactions=None, status="COMPLETE"), NOON, CONNECTION)
    assert (shown.paid, shown.all_confirmed, shown.marked_by_hand) == (None, False, False)


def test_closed_by_hand_without_any_payment_is_the_operators_word_and_closed_on_a_part_is_not() -> None:
    shown = snapshot_of(order(status="COMPLETE", transactions=[]), NOON + timedelta(days=9), CONNECTION)
    assert (shown.state, shown.marked_by_hand, shown.paid) == (PayState.SETTLED, True, Money("USD", 0))
    for part in (paid(100), paid(100, "PENDING")):
        assert not snapshot_of(order(status="COMPLETE", transactions=[part]), NOON, CONNECTION).marked_by_hand
    assert not snapshot_of(order(status="PAID", transactions=[]), NOON, CONNECTION).marked_by_hand


@pytest.mark.parametrize(
    ("method", "after", "late"),
    [
        ("CARD", timedelta(0), False),
        ("CARD", A_MINUTE, True),
        ("LIGHTNING", A_MINUTE, True),
        ("BITCOIN", A_MINUTE, False),  # it may have been sent in time, and this is its confirmation
        ("BITCOIN", timedelta(hours=24), False),
        ("BITCOIN", timedelta(hours=24) + A_MINUTE, True),
    ],
)
def test_late_is_what_was_paid_after_the_end_and_confirmations_take_a_day(
    method: str, after: timedelta, late: bool
) -> None:
    paid_at = NOON + timedelta(minutes=30) + after
    found = order(paidAt=paid_at.isoformat(), transactions=[paid(method=method)])
    shown = snapshot_of(found, paid_at, CONNECTION)
    assert (shown.state is PayState.EXPIRED, shown.paid_late) == (late, late)
    assert (shown.all_confirmed, shown.last_payment_at, shown.paid) == (True, paid_at, Money("USD", 4900))


@pytest.mark.parametrize(
    ("word", "seconds", "state"),
    [
        ("PENDING", 1799, PayState.PENDING),
        ("PENDING", 1800, PayState.EXPIRED),
        ("UNDERPAID", 1800, PayState.EXPIRED),
        ("PROCESSING", 1800, PayState.PROCESSING),
        ("PROCESSING", 1800 + 7 * 86400, PayState.INVALID),
        ("REFUNDED", 1800, PayState.UNKNOWN),
    ],
)
def test_time_ends_an_order_by_the_clock_of_the_answer(word: str, seconds: int, state: PayState) -> None:
    at = NOON + timedelta(seconds=seconds)
    found = order(status=word, transactions=[paid(100)] if word == "UNDERPAID" else [], paidAt=None)
    shown = snapshot_of(found, at, CONNECTION)
    assert (shown.state, shown.partial, shown.paid_late) == (state, word == "UNDERPAID", False)
    assert snapshot_of(found, None, CONNECTION).state is not PayState.EXPIRED


def test_play_money_is_known_by_its_plugin_and_by_the_connection() -> None:
    assert snapshot_of(order(), NOON, CONNECTION).network is Network.MAINNET
    assert snapshot_of(order(), NOON, replace(CONNECTION, network=Network.SANDBOX)).network is Network.SANDBOX
    for slug, network in (("test-payment", Network.SANDBOX), ("zaprite_test", Network.SANDBOX), ("fastest", "mainnet")):
        assert snapshot_of(order(transactions=[paid(pluginSlug=slug)]), NOON, CONNECTION).network == network


@pytest.mark.parametrize(
    "changes",
    [
        {"totalAmount": 49.5},
        {"totalAmount": 2**60},
        {"currency": "LBTC"},
        {"currency": "usd"},
        {"checkoutUrl": "javascript:alert(1)"},
        {"checkoutUrl": "https://pay.zaprite.com.evil.example/order/od_1"},
        {"checkoutUrl": "https://evilzaprite.com/order/od_1"},
        {"checkoutUrl": "http://pay.zaprite.com/order/od_1"},
    ],
)
def test_what_we_cannot_have_asked_for_is_malformed(changes: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        snapshot_of(order(**changes), NOON, CONNECTION)


@pytest.mark.parametrize("host", ["http://127.0.0.1:8099", "http://zaprite"])
def test_a_server_without_a_domain_shows_only_its_own_pages(host: str) -> None:
    here = replace(CONNECTION, base_url=host)
    assert snapshot_of(order(checkoutUrl=f"{host}/order/od_1"), NOON, here).checkout_url == f"{host}/order/od_1"
    with pytest.raises(Malformed):
        snapshot_of(order(checkoutUrl="http://10.0.0.1/order/od_1"), NOON, here)


# What is asked for


@pytest.mark.parametrize(
    ("price", "amount", "currency"),
    [
        (Money("USD", 4900), 4900, "USD"),
        (Money("JPY", 5000), 5000, "JPY"),
        (Money("BHD", 19900), 19900, "BHD"),
        (Money("ARS", 4900000), 4900000, "ARS"),
        (Money("SAT", 50516), 50516, "BTC"),
    ],
)
def test_amounts_are_whole_smallest_units(price: Money, amount: int, currency: str) -> None:
    asked = body_of(replace(REQUEST, price=price), None)
    assert (asked.amount, asked.currency) == (amount, currency)


@given(st.text(min_size=1, max_size=400))
def test_texts_are_cut_between_characters(text: str) -> None:  # D-49
    label = body_of(replace(REQUEST, description=text), None).label
    assert text.startswith(label)
    assert len(label) == min(len(text), 200)


async def test_an_order_says_what_we_need_to_know_it_by(zaprite: ZapriteWorld) -> None:
    desk = await seat(zaprite)
    made = await desk.sell()
    sent = zaprite.fake.orders[made.invoice_id].body
    assert sent == {
        "amount": 4900,
        "currency": "EUR",
        "externalUniqId": "attempt-1",
        "label": "Tide Charts Pro",
        "redirectUrl": "http://shop.test/thank-you/o1",
        "expiresAt": "2026-09-21T12:15:00Z",
        "metadata": {
            "itemCode": "tide/pro",
            "askedAt": "2026-09-21T12:00:00Z",
            "monitorUntil": "2026-09-22T12:15:00Z",
        },
        "sendReceiptToCustomer": False,
    }


async def test_a_card_is_kept_for_an_address_and_the_sale_never_hangs_on_it(zaprite: ZapriteWorld) -> None:
    desk = await seat(zaprite)
    nobody = replace(desk.request, may_save_card=True, buyer_email=None, attempt_id="a1")
    assert (await desk.till.create_invoice(nobody)).customer_ref is None
    forgotten = replace(desk.request, may_save_card=True, customer_ref="con_forgotten", attempt_id="a2")
    assert (await desk.till.create_invoice(forgotten)).customer_ref is None
    zaprite.fake.fail_next("broken", path="/contacts")
    unwell = replace(desk.request, may_save_card=True, attempt_id="a3")
    assert (await desk.till.create_invoice(unwell)).customer_ref is None
    named = await desk.till.create_invoice(replace(unwell, attempt_id="a4"))
    assert zaprite.fake.contacts == {named.customer_ref: "ada@example.org"}
    assert sum(path == "/v1/contacts" for _, path in zaprite.fake.requests) == 2


async def test_a_charge_that_is_answered_and_not_done_is_no_money(zaprite: ZapriteWorld) -> None:
    """How a declined card is answered is not known: refused, or 200 and an order that stays as it was."""
    desk = await seat(zaprite)
    first = await desk.till.create_invoice(replace(desk.request, may_save_card=True))
    await zaprite.pay_by_card(first.invoice_id, PlayCard.DECLINES)
    await zaprite.travel(60)
    (card,) = await desk.till.list_profiles(str(first.customer_ref))
    wanted = replace(desk.request, attempt_id="second", may_save_card=True, customer_ref=first.customer_ref)
    second = await desk.till.create_invoice(wanted)
    with pytest.raises(Declined, match="Your card was declined"):
        await desk.till.charge_saved(second.invoice_id, card.id)
    zaprite.fake.declines_silently = True
    assert (await desk.till.charge_saved(second.invoice_id, card.id)).state is PayState.PENDING
    zaprite.fake.fail_next("broken", method="GET")
    with pytest.raises(OutcomeUnknown):
        await desk.till.charge_saved(second.invoice_id, card.id)


# Finding


async def test_the_sweep_walks_all_pages_and_passes_over_what_others_made(zaprite: ZapriteWorld) -> None:
    desk = await seat(zaprite)
    old = await desk.sell("old")
    await zaprite.travel(86400)
    since, ours = zaprite.now, [(await desk.sell(f"a{number}")).invoice_id for number in range(PAGE + 1)]
    del zaprite.fake.orders[old.invoice_id].body["metadata"]
    zaprite.fake.orders[ours[0]].body["currency"] = "GOLD"
    zaprite.fake.orders[ours[1]].body["metadata"] = {"askedAt": "yesterday"}
    for sorts in (True, False):
        zaprite.fake.sorts = sorts
        found = [one.invoice_id async for one in desk.till.changed_since(since)]
        assert sorted(found) == sorted(ours[2:])
        assert old.invoice_id not in found


async def test_an_id_of_ours_that_names_another_order_finds_none(zaprite: ZapriteWorld) -> None:
    desk = await seat(zaprite)
    made = await desk.sell()
    assert list(await desk.till.find_by_attempt(made.invoice_id)) == []


# Connecting


async def test_an_organization_without_orders_is_asked_by_one_that_nobody_pays(zaprite: ZapriteWorld) -> None:
    connection = (await seat(zaprite)).connection
    assert (connection.account_id, connection.label, connection.network) == (ORGANIZATION, "Zaprite", Network.MAINNET)
    (probe,) = zaprite.fake.orders.values()
    assert (probe.body["externalUniqId"], probe.body["expiresAt"]) == ("keysat-probe-c1", "2026-09-21T12:01:00Z")
    again = {"api_key": connection.secrets["api_key"], "url": connection.base_url}
    assert (await zaprite.provider.connect_with(again, "c2", zaprite.http)).account_id == ORGANIZATION
    assert len(zaprite.fake.orders) == 1


async def test_play_money_is_named_by_the_label_or_seen(zaprite: ZapriteWorld) -> None:
    async def network(label: str) -> Network:
        fields = {**zaprite.fields, "label": label}
        return (await zaprite.provider.connect_with(fields, "c1", zaprite.http)).network

    assert [await network(label) for label in ("", "Our Sandbox", "sandboxes")] == ["mainnet", "sandbox", "mainnet"]
    desk, zaprite.fake.plugin = await seat(zaprite), "test-payment"
    sold = await desk.sell()
    await zaprite.pay(sold.invoice_id, rail=Rail.CARD)
    assert (await desk.look(sold)).network is Network.SANDBOX
    assert await network("Live") is Network.SANDBOX


@pytest.mark.parametrize(
    "fields",
    [{"api_key": ""}, {"api_key": "two words"}, {"base_url": "ftp://x"}, {"base_url": "http://a@b"}, {"base_url": "x"}],
)
async def test_what_is_mistyped_is_refused_without_asking(zaprite: ZapriteWorld, fields: dict[str, str]) -> None:
    with pytest.raises(Rejected):
        await zaprite.provider.connect_with({**zaprite.fields, **fields}, "c1", zaprite.http)
    assert zaprite.fake.requests == []


async def test_who_cannot_make_an_order_or_is_not_zaprite_is_told_what_to_mend(zaprite: ZapriteWorld) -> None:
    zaprite.fake.fail_next("garbage")
    with pytest.raises(Rejected, match="Check the address"):
        await seat(zaprite)
    zaprite.fake.takes_bitcoin = False
    with pytest.raises(Rejected, match="how it is paid"):
        await seat(zaprite)


async def test_the_webhook_is_the_operators_to_paste(zaprite: ZapriteWorld) -> None:
    desk = await seat(zaprite)
    with pytest.raises(Unsupported, match=f"paste {WEBHOOK_URL} "):
        await desk.till.ensure_webhook(WEBHOOK_URL)
    assert (await desk.till.health()).webhook_ok is None


async def test_a_key_of_another_organization_is_noticed(zaprite: ZapriteWorld) -> None:
    desk = await seat(zaprite)
    other = zaprite.provider.open(replace(desk.connection, account_id="org_2"), zaprite.http)
    assert (await other.health()).warnings == ("The API key is another organization's: connect it anew.",)


# Messages and refusals


@pytest.mark.parametrize(
    ("body", "nudge"),
    [
        ({"event": "order.change", "data": {"id": "od_1"}}, ("od_1", "order.change")),
        ({"event": "", "eventType": "order.paid", "data": {"object": {"id": "od_2"}}}, ("od_2", "order.paid")),
        ({"type": "order.expired", "orderId": "od_3"}, ("od_3", "order.expired")),
        ({"name": "x", "order": {"id": "od_4"}}, ("od_4", "x")),
        ({"id": "od_5", "data": None}, ("od_5", "unnamed")),
        ({"data": {"id": 5}, "orderId": "od_6"}, ("od_6", "unnamed")),
        ({"event": "ж" * 100, "id": "od_7"}, ("od_7", "ж" * 64)),
        ({"event": "order.change"}, None),
        ({"id": "../contacts"}, None),
        ({}, None),
    ],
)
def test_a_message_names_an_order_and_nothing_else(body: object, nudge: tuple[str, str] | None) -> None:
    found = read(json.dumps(body).encode())
    assert (None if found is None else (found.invoice_id, found.event)) == nudge


@given(st.binary(max_size=64) | st.text(max_size=9).map(lambda text: json.dumps({"id": text, "type": text}).encode()))
@example(b'{"id": "od_1", "event": "\\u0000\\n"}')
@example(b'{"id": "\\u0000"}')
@example(b'{"id": "od_1", "event": "\\ud800"}')
def test_any_bytes_are_read_or_refused(body: bytes) -> None:  # D-49
    with suppress(Malformed):
        nudge = read(body)
        assert nudge is None or (nudge.event.isprintable() and nudge.event.encode())


def test_the_same_message_again_is_the_same_and_another_is_not() -> None:
    first, again, other = (read(json.dumps({"id": name}).encode()) for name in ("od_1", "od_1", "od_2"))
    assert first == again
    assert first is not None
    assert other is not None
    assert first.delivery_id != other.delivery_id


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"code": "BAD_REQUEST", "message": "no", "issues": [{"message": "amount"}]}, Rejected),
        (401, {"code": "UNAUTHORIZED", "message": ""}, CredentialGone),
        (402, {"code": "PAYMENT_REQUIRED", "message": ""}, Declined),
        (403, {"code": "FORBIDDEN", "message": ""}, PermissionMissing),
        (404, {"code": "NOT_FOUND", "message": ""}, NoSuchId),
        (404, "a proxy's page", Malformed),
        (302, {}, Malformed),
        (408, {}, Transient),
        (429, {}, Transient),
        (503, "ж" * 2000, Transient),
    ],
)
def test_a_refusal_says_what_may_be_done_next(status: int, body: object, error: type[ProviderError]) -> None:
    found = error_of(Answer(status, {"retry-after": "7"}, json.dumps(body).encode()))
    assert type(found) is error
    assert len(str(found)) < 600


def test_what_is_said_of_a_refusal_is_cut_between_characters() -> None:  # D-49
    answer = Answer(400, {}, json.dumps({"code": "BAD_REQUEST", "message": "ж" * 2000}).encode())
    assert str(error_of(answer)) == "Zaprite refuses this: " + "ж" * 500
