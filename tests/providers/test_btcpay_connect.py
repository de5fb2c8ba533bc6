"""Connecting a BTCPay store: least privilege, and the network by a probe (`payment-rails.md` 1.6, 1.9)."""

from collections.abc import Mapping
from contextlib import aclosing

import httpx
import pytest

from keysat.infra.http import HttpClient
from keysat.payments.provider import Connection, Network, PermissionMissing, Rejected
from tests.fakes.btcpay_server import LEAST_PRIVILEGES, STORE, Store
from tests.providers.conftest import CONNECTION_ID
from tests.providers.world_btcpay import WEBHOOK_URL, BtcPayWorld

CREATE, VIEW, WEBHOOKS, SETTINGS, MODIFY = LEAST_PRIVILEGES
NEEDED = (CREATE, VIEW, WEBHOOKS)


async def connect(btcpay: BtcPayWorld, fields: Mapping[str, str]) -> Connection:
    return await btcpay.provider.connect_with({**btcpay.fields, **fields}, CONNECTION_ID, btcpay.http)


@pytest.mark.parametrize(
    "permissions",
    [NEEDED, (*NEEDED, SETTINGS), (CREATE, WEBHOOKS, SETTINGS), (WEBHOOKS, MODIFY)],
    ids=["needed", "recommended", "settings imply viewing", "modifying implies both"],
)
async def test_a_key_with_what_is_needed_connects(btcpay: BtcPayWorld, permissions: tuple[str, ...]) -> None:
    key = btcpay.fake.make_key(*permissions)
    connection = await connect(btcpay, {"api_key": key})
    assert connection.account_id == STORE
    assert connection.network is Network.MAINNET
    assert connection.label == ("Test shop" if SETTINGS in permissions else STORE)


@pytest.mark.parametrize("missing", NEEDED)
async def test_a_key_that_lacks_something_is_told_what(btcpay: BtcPayWorld, missing: str) -> None:
    key = btcpay.fake.make_key(*(name for name in NEEDED if name != missing))
    with pytest.raises(PermissionMissing, match=missing) as raised:
        await connect(btcpay, {"api_key": key})
    assert raised.value.missing == missing


@pytest.mark.parametrize(
    "excess",
    [
        "btcpay.store.canmodifystoresettings",
        "btcpay.store.canuselightningnode",
        "btcpay.store.cancreatepullpayments",
        "btcpay.user.canviewprofile",
        "btcpay.server.canmodifyserversettings",
        "unrestricted",
    ],
)
async def test_a_key_that_may_do_more_is_refused_with_what_to_tick(btcpay: BtcPayWorld, excess: str) -> None:
    scoped = [f"{name}:{STORE}" for name in NEEDED]
    key = btcpay.fake.make_key(*scoped, excess, store=None)
    with pytest.raises(Rejected, match=f'{excess}.*"Create an invoice", "View invoices"'):
        await connect(btcpay, {"api_key": key})


async def test_a_key_for_all_stores_is_refused(btcpay: BtcPayWorld) -> None:
    with pytest.raises(Rejected, match="all of your stores"):
        await connect(btcpay, {"api_key": btcpay.fake.make_key(*NEEDED, store=None)})


async def test_a_key_for_two_stores_is_refused(btcpay: BtcPayWorld) -> None:
    btcpay.fake.stores["other"] = Store("other")
    both = [f"{name}:{store}" for name in NEEDED for store in (STORE, "other")]
    with pytest.raises(Rejected, match="2 stores"):
        await connect(btcpay, {"api_key": btcpay.fake.make_key(*both, store=None)})


async def test_the_store_the_operator_names_must_be_the_keys(btcpay: BtcPayWorld) -> None:
    with pytest.raises(Rejected, match=f"for the store {STORE}, not for other"):
        await connect(btcpay, {"store": "other"})
    assert (await connect(btcpay, {"store": ""})).account_id == STORE


@pytest.mark.parametrize(
    "url",
    [
        "",
        "btcpay.test",
        "ftp://btcpay.test",
        "http://",
        "http://a:b@btcpay.test",
        "http://btcpay.test?x=1",
        "http://[::1",
    ],
)
async def test_an_address_that_is_none_is_refused_before_anything_is_sent(btcpay: BtcPayWorld, url: str) -> None:
    with pytest.raises(Rejected, match="not the address of a BTCPay server"):
        await connect(btcpay, {"url": url})
    assert btcpay.fake.requests == []


@pytest.mark.parametrize("api_key", ["", "two words", "line\nbreak", "schlüssel", "x" * 201])
async def test_a_misshapen_key_is_never_sent(btcpay: BtcPayWorld, api_key: str) -> None:
    with pytest.raises(Rejected, match="API key is missing or misshapen"):
        await connect(btcpay, {"api_key": api_key})
    assert btcpay.fake.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>It works!</html>"),
        httpx.Response(301, headers={"location": "https://btcpay.test/"}),
        httpx.Response(404, text="<html>nginx</html>"),
        httpx.Response(200, json={"permissions": 5}),
    ],
    ids=["a page", "a redirect", "no page", "another API"],
)
async def test_an_address_that_is_not_btcpays_is_told_so(btcpay: BtcPayWorld, answer: httpx.Response) -> None:
    async with aclosing(HttpClient(transport=httpx.MockTransport(lambda _: answer))) as http:
        with pytest.raises(Rejected, match="Check the address"):
            await btcpay.provider.connect_with(btcpay.fields, CONNECTION_ID, http)


async def test_a_store_without_a_wallet_does_not_connect(btcpay: BtcPayWorld) -> None:
    btcpay.fake.stores[STORE].methods = []
    with pytest.raises(Rejected, match="set up a wallet or a Lightning node"):
        await connect(btcpay, {})


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("mainnet", Network.MAINNET),
        ("testnet", Network.TESTNET),
        ("signet", Network.TESTNET),
        ("regtest", Network.REGTEST),
    ],
)
@pytest.mark.parametrize("methods", [["BTC-CHAIN", "BTC-LN"], ["BTC-CHAIN"], ["BTC-LN"]], ids=str)
async def test_the_probe_shows_the_network_and_is_cancelled(
    btcpay: BtcPayWorld, network: str, expected: Network, methods: list[str]
) -> None:
    btcpay.fake.network = network
    btcpay.fake.stores[STORE].methods = methods
    assert (await connect(btcpay, {})).network is expected
    (probe,) = btcpay.fake.invoices.values()
    assert (probe.status, probe.additional) == ("Invalid", "Marked")


async def test_a_probe_that_may_not_be_cancelled_is_left_to_expire(btcpay: BtcPayWorld) -> None:
    await connect(btcpay, {"api_key": btcpay.fake.make_key(*NEEDED)})
    await btcpay.fake.travel(60)
    assert [probe.status for probe in btcpay.fake.invoices.values()] == ["Expired"]


async def test_a_webhook_secret_that_was_typed_is_kept(btcpay: BtcPayWorld) -> None:
    connection = await connect(btcpay, {"webhook_secret": " known-outside "})
    connection = await btcpay.provider.open(connection, btcpay.http).ensure_webhook(WEBHOOK_URL)
    assert connection.secrets["webhook_secret"] == "known-outside"
    assert btcpay.fake.hooks[0].secret == "known-outside"
