"""What is BTCPay's own (`payment-rails.md` 1 and Appendix A)."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pytest

from keysat.infra.http import Answer, HttpClient
from keysat.kit.money import Money
from keysat.payments.provider import (
    Connection,
    CredentialGone,
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
)
from providers.btcpay import BTCPAY, wire
from providers.btcpay.greenfield import error_of
from providers.btcpay.invoices import amount_text, body_of, buyers_link, snapshot_of
from providers.btcpay.till import PAGE
from tests.fakes.btcpay_server import API_KEY, LEAST_PRIVILEGES, STORE, Store
from tests.providers.conftest import REQUEST, seat
from tests.providers.world_btcpay import BtcPayWorld

CREATE, VIEW, *_ = LEAST_PRIVILEGES
CONNECTION = Connection(
    id="c1",
    provider="btcpay",
    base_url="http://btcpay.internal:49392",
    public_url="https://pay.example.org",
    account_id="9yT1",
    label="Shop",
    secrets={"api_key": "k", "webhook_secret": "s3crét"},
)


def appendix_invoice(**changes: object) -> wire.Invoice:
    invoice = {
        "id": "Hk9zYdJqfQ3uXy",
        "storeId": "9yT1",
        "amount": "49.00",
        "paidAmount": "0.00",
        "currency": "USD",
        "type": "Standard",
        "checkoutLink": "https://btcpay.internal:49392/i/Hk9zYdJqfQ3uXy",
        "createdTime": 1790000000,
        "expirationTime": 1790000900,
        "monitoringExpiration": 1790605700,
        "status": "New",
        "additionalStatus": "None",
        "availableStatusesForManualMarking": ["Settled", "Invalid"],
        "archived": False,
        "metadata": {"orderId": "att_01J9"},
    }
    return msgspec.json.decode(json.dumps({**invoice, **changes}), type=wire.Invoice)


# Making an invoice


async def test_every_invoice_carries_our_own_settings(btcpay: BtcPayWorld) -> None:
    btcpay.fake.stores[STORE] = Store(STORE, speed_policy="HighSpeed", payment_tolerance=50)
    desk = await seat(btcpay)
    await desk.till.create_invoice(replace(REQUEST, rails=frozenset({Rail.LIGHTNING}), expires_in_seconds=899))
    made = btcpay.fake.invoice("attempt-1")
    assert made.checkout == {
        "speedPolicy": "MediumSpeed",
        "paymentTolerance": 0,
        "expirationMinutes": 15,
        "monitoringMinutes": 1440,
        "redirectURL": "http://shop.test/thank-you/o1",
        "redirectAutomatically": True,
        "paymentMethods": ["BTC-LN"],
    }
    assert made.metadata == {"orderId": "attempt-1", "itemDesc": "Tide Charts Pro", "itemCode": "tide/pro"}


@pytest.mark.parametrize(
    ("price", "text", "currency"),
    [
        (Money("USD", 4900), "49.00", "USD"),
        (Money("JPY", 5000), "5000", "JPY"),
        (Money("BHD", 19900), "19.900", "BHD"),
        (Money("SAT", 50516), "50516", "SATS"),
        (Money("ARS", 4900000), "49000", "ARS"),
        (Money("COP", 100), "1", "COP"),
    ],
)
def test_amounts_are_written_with_btcpays_decimals(price: Money, text: str, currency: str) -> None:
    assert amount_text(price) == (text, currency)


@pytest.mark.parametrize("price", [Money("ARS", 4900050), Money("COP", 1)])
def test_a_price_btcpay_would_round_is_refused(price: Money) -> None:
    with pytest.raises(Rejected, match="knows no decimals"):
        amount_text(price)


@pytest.mark.parametrize("price", [Money("ARS", 4900000), Money("COP", 390000000), Money("BHD", 19900)])
async def test_a_price_comes_back_in_our_own_minor_units(btcpay: BtcPayWorld, price: Money) -> None:
    assert (await (await seat(btcpay)).sell(price=price)).price == price


def test_a_rail_btcpay_does_not_have_is_refused() -> None:
    with pytest.raises(Rejected, match="card"):
        body_of(replace(REQUEST, rails=frozenset({Rail.CARD})))


async def test_a_new_invoice_says_what_is_due_in_sats(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    sold = await desk.sell(price=Money("USD", 4900))
    assert sold.due_sats == 50516
    assert sold.network is Network.MAINNET
    await btcpay.pay(sold.invoice_id, percent=150)
    assert (await desk.look(sold)).due_sats == 0


async def test_an_invoice_stands_though_its_methods_cannot_be_read(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    btcpay.fake.fail_next("lost_after", path="payment-methods")
    sold = await desk.sell()
    assert sold.due_sats is None
    assert sold.network is Network.UNKNOWN


async def test_a_currency_without_a_rate_is_rejected_with_the_servers_reason(btcpay: BtcPayWorld) -> None:
    with pytest.raises(Rejected, match="no rate available"):
        await (await seat(btcpay)).sell(price=Money("XOF", 4900))


async def test_a_revoked_key_is_unauthorized(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    btcpay.fake.revoke_key()
    with pytest.raises(CredentialGone):
        await desk.sell()


async def test_a_permission_that_was_taken_away_is_named(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    btcpay.fake.keys[API_KEY] = {f"{VIEW}:{STORE}"}
    with pytest.raises(PermissionMissing) as raised:
        await desk.sell()
    assert raised.value.missing == CREATE


# Reading an invoice


@pytest.mark.parametrize(
    ("status", "additional", "state", "flag"),
    [
        ("New", "None", PayState.PENDING, None),
        ("New", "PaidPartial", PayState.PENDING, "partial"),
        ("Processing", "None", PayState.PROCESSING, None),
        ("Processing", "PaidOver", PayState.PROCESSING, "over"),
        ("Settled", "None", PayState.SETTLED, None),
        ("Settled", "PaidOver", PayState.SETTLED, "over"),
        ("Settled", "Marked", PayState.SETTLED, "marked_by_hand"),
        ("Expired", "None", PayState.EXPIRED, None),
        ("Expired", "PaidPartial", PayState.EXPIRED, "partial"),
        ("Expired", "PaidLate", PayState.EXPIRED, "paid_late"),
        ("Invalid", "None", PayState.INVALID, None),
        ("Invalid", "Marked", PayState.INVALID, "marked_by_hand"),
        ("Settled", "Hallowed", PayState.SETTLED, None),
        ("Ascended", "None", PayState.UNKNOWN, None),
    ],
)
def test_the_words_of_btcpay_in_ours(status: str, additional: str, state: PayState, flag: str | None) -> None:
    seen = snapshot_of(appendix_invoice(status=status, additionalStatus=additional), [], CONNECTION)
    assert (seen.state, seen.raw_status) == (state, f"{status}/{additional}")
    flags = ("partial", "over", "marked_by_hand", "paid_late")
    assert [name for name in flags if getattr(seen, name)] == ([flag] if flag else [])


def test_the_example_of_the_appendix_is_read_whole() -> None:
    seen = snapshot_of(appendix_invoice(), None, CONNECTION)
    assert seen.attempt_id == "att_01J9"
    assert seen.price == Money("USD", 4900)
    assert seen.paid == Money("USD", 0)
    assert seen.created_at == datetime.fromtimestamp(1790000000, UTC)
    assert seen.expires_at == datetime.fromtimestamp(1790000900, UTC)
    assert seen.monitor_until == datetime.fromtimestamp(1790605700, UTC)
    assert seen.checkout_url == "https://pay.example.org/i/Hk9zYdJqfQ3uXy"


@pytest.mark.parametrize("changes", [{"amount": None}, {"type": "TopUp"}, {"currency": "DOGE"}, {"amount": "49.001"}])
def test_an_invoice_without_a_price_we_know_changes_nothing(changes: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        snapshot_of(appendix_invoice(**changes), [], CONNECTION)


def method(**fields: object) -> wire.PaymentMethod:
    return msgspec.convert(fields, wire.PaymentMethod, strict=False)


def test_an_old_server_is_read_by_its_payment_methods() -> None:
    """BTCPay 1.x: no paidAmount, and other names."""
    old = method(
        paymentMethod="BTC-LightningNetwork",
        cryptoCode="BTC",
        destination="lnbcrt505160n1pj9nuzq",
        rate="97000.00",
        totalPaid="0.00050516",
        due="0.00000000",
        networkFee="0",
        payments=[{"status": "Settled", "receivedDate": 1790000060}],
    )
    invoice = appendix_invoice(paidAmount=None, status="Settled")
    seen = snapshot_of(invoice, [old], CONNECTION)
    assert seen.paid == Money("USD", 4900)  # 49.00052 rounded down
    assert (seen.network, seen.due_sats, seen.all_confirmed) == (Network.REGTEST, 0, True)
    assert snapshot_of(invoice, None, CONNECTION).paid is None


def test_one_unconfirmed_payment_among_confirmed_ones_is_not_enough() -> None:
    paid = [{"status": "Settled", "receivedDate": 1790000060}, {"status": "Processing", "receivedDate": 1790000090}]
    seen = snapshot_of(appendix_invoice(), [method(paymentMethodId="BTC-CHAIN", payments=paid)], CONNECTION)
    assert not seen.all_confirmed
    assert seen.last_payment_at == datetime.fromtimestamp(1790000090, UTC)


@pytest.mark.parametrize(
    ("link", "public_url", "expected"),
    [
        ("http://btcpay.local:8080/i/X", "https://pay.example.org", "https://pay.example.org/i/X"),
        (
            "http://btcpay.local/btcpay/i/X?lang=de#qr",
            "https://p.example:8443",
            "https://p.example:8443/btcpay/i/X?lang=de#qr",
        ),
        ("http://abc.onion/i/X", None, "http://btcpay.internal:49392/i/X"),
        ("https://user:pass@evil.example/i/X", "https://pay.example.org", "https://pay.example.org/i/X"),
    ],
)
def test_the_buyer_is_sent_to_the_public_address(link: str, public_url: str | None, expected: str) -> None:
    assert buyers_link(link, replace(CONNECTION, public_url=public_url)) == expected


@pytest.mark.parametrize("link", ["javascript:alert(1)", "ftp://x/i/X", "/i/X", "http://[::1/i/X", "data:text/html,x"])
def test_a_link_that_is_not_http_reaches_no_buyer(link: str) -> None:
    with pytest.raises(Malformed):
        buyers_link(link, CONNECTION)


async def test_another_tools_invoice_with_our_order_id_does_not_hide_ours(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    ours, other = await desk.sell("attempt-1"), await desk.sell("attempt-1")
    btcpay.fake.invoices[other.invoice_id].currency = "DOGE"
    assert [found.invoice_id for found in await desk.till.find_by_attempt("attempt-1")] == [ours.invoice_id]


async def test_what_a_lenient_server_lists_too_is_not_taken_for_the_attempt() -> None:
    invoice = {"id": "X", "status": "New", "currency": "USD", "amount": "1", "metadata": {"orderId": "attempt-12"}}
    http = HttpClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=[invoice])))
    assert list(await BTCPAY.open(CONNECTION, http).find_by_attempt("attempt-1")) == []
    await http.aclose()


async def test_the_sweep_turns_pages_and_passes_over_what_has_no_price(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    since = btcpay.now + timedelta(seconds=1)
    await btcpay.travel(1)
    sold = [await desk.sell(f"attempt-{number}") for number in range(2 * PAGE + 3)]
    btcpay.fake.invoices[sold[5].invoice_id].currency = "DOGE"
    seen = [found.invoice_id async for found in desk.till.changed_since(since)]
    assert len(seen) == len(set(seen)) == len(sold) - 1
    assert set(seen) == {made.invoice_id for made in sold} - {sold[5].invoice_id}


# Errors


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (400, b'{"code":"generic-error","message":"no rate\\nat all"}', Rejected, "no rate"),
        (401, b"", CredentialGone, "API key"),
        (403, b'{"code":"missing-permission","message":"no","missingPermission":"p"}', PermissionMissing, "no"),
        (404, b'{"code":"invoice-not-found","message":"gone"}', NoSuchId, "gone"),
        (404, b"<html>nginx</html>", Malformed, "address"),
        (408, b"", Transient, "408"),
        (422, b'[{"path":"amount","message":"too small"}]', Rejected, "amount: too small"),
        (429, b"", Transient, "429"),
        (302, b"", Malformed, "302"),
        (500, b"<html>", Transient, "500"),
        (503, b"\xff", Transient, "503"),
    ],
)
def test_each_status_says_what_may_be_done_next(status: int, body: bytes, kind: type[ProviderError], text: str) -> None:
    error = error_of(Answer(status, {}, body))
    assert type(error) is kind
    assert text in str(error)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), ("999999", 3600), ("", None), ("-1", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("9" * 5000, 3600)],
)
def test_the_wait_that_is_asked_for_is_bounded(header: str, seconds: int | None) -> None:
    error = error_of(Answer(503, {"retry-after": header}, b""))
    assert isinstance(error, Transient)
    assert error.retry_after_seconds == seconds


async def test_a_create_that_broke_over_there_may_have_been_carried_out(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    for accident in ("broken", "garbage", "lost_after"):
        btcpay.fake.fail_next(accident, method="POST")
        with pytest.raises(OutcomeUnknown):
            await desk.sell()
    for accident in ("lost_before", "busy"):
        btcpay.fake.fail_next(accident, method="POST")
        with pytest.raises(Transient) as raised:
            await desk.sell()
        assert not isinstance(raised.value, OutcomeUnknown)


@pytest.mark.parametrize("status", [408, 502, 504])
async def test_a_create_that_a_proxy_gave_up_on_may_have_been_carried_out(status: int) -> None:
    http = HttpClient(transport=httpx.MockTransport(lambda _request: httpx.Response(status)))
    with pytest.raises(OutcomeUnknown):
        await BTCPAY.open(CONNECTION, http).create_invoice(REQUEST)
    await http.aclose()


async def test_no_error_text_holds_the_key(btcpay: BtcPayWorld) -> None:
    desk = await seat(btcpay)
    for accident in ("broken", "garbage", "lost_after", "lost_before", "busy", "locked_out"):
        btcpay.fake.fail_next(accident)
        with pytest.raises(ProviderError) as raised:
            await desk.sell()
        assert API_KEY not in repr(raised.value)


async def test_an_answer_beyond_the_limit_is_malformed() -> None:
    def big(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b" " * (2 << 20))

    http = HttpClient(transport=httpx.MockTransport(big))
    till = BTCPAY.open(CONNECTION, http)
    with pytest.raises(Malformed):
        await till.get_invoice("x")
    with pytest.raises(OutcomeUnknown):
        await till.create_invoice(REQUEST)
    await http.aclose()
