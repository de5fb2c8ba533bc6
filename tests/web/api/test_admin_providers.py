"""Connections over HTTP: the click that connects BTCPay, every end it can take, and what an operator sees and mends."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
from sqlalchemy import select

from keysat.infra.house import Mode
from keysat.infra.store import Store
from keysat.infra.tables import EventRow
from keysat.jobs.health import check_connections
from keysat.operators import accounts, sessions
from keysat.operators.api_keys import create, revoke
from keysat.operators.scopes import Role, Scope
from keysat.operators.tables import ApiKey
from keysat.payments.tables import ConnectionRow
from tests.conftest import TESTER
from tests.fakes.btcpay import API_KEY, STORE, Accident
from tests.fakes.btcpay_server import Store as Shelf
from tests.web.admin.signing_in import signed_in
from tests.web.conftest import ADMIN, BROWSER, browse, doors_of
from tests.web.selling import Front, open_front

pytestmark = pytest.mark.once
OTHER = "other"
ASKED_FOR = {
    "btcpay.store.cancreateinvoice",
    "btcpay.store.canviewinvoices",
    "btcpay.store.webhooks.canmodifywebhooks",
    "btcpay.store.canviewstoresettings",
}


@pytest.fixture
def front(front: Front) -> Front:
    front.counter.fake.stores[OTHER] = Shelf(OTHER, name="Other shop")
    return front


async def asked(
    front: Front, method: str, path: str, body: object = None, status: int = 200, key: str = ""
) -> dict[str, Any]:
    headers = ({"Authorization": f"Bearer {key}"} if key else ADMIN) | {"Accept": "application/json"}
    answer = await front.http.request(method, f"/v1/admin/{path}", json=body, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


async def came_back(front: Front, redirect: str, fields: list[tuple[str, str]]) -> httpx.Response:
    """As a browser comes from another site: a form, and none of our cookies."""
    async with browse(doors_of(front.shop)) as stranger:
        headers = BROWSER | {"Origin": "http://btcpay.test", "Content-Type": "application/x-www-form-urlencoded"}
        return await stranger.post(redirect, content=urlencode(fields), headers=headers)


async def begun(front: Front, **body: object) -> str:
    return (await asked(front, "POST", "btcpay/connect", body))["authorize_url"]


async def events(front: Front, like: str) -> list[tuple[str, str]]:
    async with front.shop.read() as read:
        rows = await read.session.execute(
            select(EventRow.name, EventRow.actor).where(EventRow.name.like(like)).order_by(EventRow.id)
        )
        return [(name, actor) for name, actor in rows]


async def connections(front: Front) -> list[str]:
    async with front.shop.read() as read:
        return list(await read.session.scalars(select(ConnectionRow.account_id).order_by(ConnectionRow.connected_at)))


async def test_a_click_connects_exactly_what_was_asked_for(front: Front) -> None:  # D-55
    url = await begun(front, label="ignored")
    query = parse_qsl(urlsplit(url).query)
    assert {value for name, value in query if name == "permissions"} == ASKED_FOR
    assert {("strict", "true"), ("selectiveStores", "true"), ("applicationIdentifier", "keysat")} <= set(query)
    redirect, fields = front.counter.fake.authorize(url, [OTHER])
    page = await came_back(front, redirect, fields)
    assert page.status_code == 200
    assert "Other shop is connected" in page.text
    assert "Test shop was connected before it" in page.text
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
    [_, row] = (await asked(front, "GET", "providers"))["providers"]
    assert (row["store_id"], row["label"], row["network"], row["status"]) == (OTHER, "Other shop", "mainnet", "active")
    hook = next(hook for hook in front.counter.fake.hooks if hook.store_id == OTHER)
    assert hook.url == row["webhook_url"] == f"http://shop.test/v1/btcpay/webhook/{row['id']}"
    assert len(hook.secret) == 64
    assert (await events(front, "provider.%"))[-3:] == [
        ("provider.connect_begun", "admin_key"),
        ("provider.connected", "admin_key"),
        ("provider.webhook_registered", "admin_key"),
    ]
    again = await came_back(front, redirect, fields)
    assert again.status_code == 401
    assert "finished already" in again.text
    assert ("could not be taken back" in again.text, "all is well" in again.text) == (False, True)  # a page loaded anew
    assert await connections(front) == [STORE, OTHER]


@pytest.mark.parametrize(
    ("stores", "grants", "status", "words"),
    [
        ([STORE, OTHER], None, 400, "holds for 2 stores"),
        ([], None, 400, "all of your stores"),
        ([OTHER], ["btcpay.store.canviewinvoices"], 400, "lacks btcpay.store.cancreateinvoice"),
        ([OTHER], [*ASKED_FOR, "btcpay.store.canmodifystoresettings"], 400, "may do more than Keysat needs"),
        ([STORE], None, 409, "connected already"),
    ],
    ids=["two stores", "all stores", "too little", "too much", "connected already"],
)
async def test_what_does_not_fit_is_told_and_its_key_is_given_back(
    front: Front, stores: list[str], grants: list[str] | None, status: int, words: str
) -> None:  # D-55
    fake = front.counter.fake
    redirect, fields = fake.authorize(await begun(front), stores, grants=grants)
    assert fake.keys.keys() == {API_KEY, dict(fields)["apiKey"]}
    page = await came_back(front, redirect, fields)
    assert page.status_code == status
    assert words in page.text
    assert "is no key any more" in page.text
    assert fake.keys.keys() == {API_KEY}
    assert await connections(front) == [STORE]
    assert (await events(front, "provider.connect_refused")) == [("provider.connect_refused", "admin_key")]


async def test_every_other_end_is_told_honestly(front: Front) -> None:  # D-55
    fake = front.counter.fake
    redirect, fields = fake.authorize(await begun(front), [OTHER])
    declined = await front.http.get(f"{redirect}&error=access_denied")
    nothing = await front.http.get(redirect)
    unknown = await came_back(front, redirect.partition("?")[0] + "?state=none", fields)
    stray = await came_back(front, redirect.replace("/btcpay/", "/sandbox/"), fields)
    assert [one.status_code for one in (declined, nothing, unknown, stray)] == [400, 400, 401, 400]
    fake.fail_next(Accident.LOST_BEFORE, times=9)
    lost = await came_back(front, redirect, fields)
    assert (lost.status_code, lost.text.count("cannot be reached")) == (502, 1)
    assert "could not be taken back" in lost.text
    fake.mishaps.clear()
    late, fields = fake.authorize(await begun(front), [OTHER])
    front.counter.clock.move(front.counter.now.replace(hour=front.counter.now.hour + 1))
    assert (await came_back(front, late, fields)).status_code == 401
    assert await connections(front) == [STORE]
    fresh, fields = fake.authorize(await begun(front), [OTHER])
    by_address = await front.http.get(f"{fresh}&apiKey={dict(fields)['apiKey']}")  # as some releases of BTCPay do
    assert (by_address.status_code, "Other shop is connected" in by_address.text) == (200, True)


async def key_with(front: Front, *scopes: Scope) -> str:
    async with front.shop.work(TESTER) as work:
        return (await create(work, "agent", Role.READ_ONLY, frozenset(scopes), None))[1]


async def test_a_scoped_key_connects_play_money_in_a_sandbox_and_nothing_else(store: Store, tmp_path: Path) -> None:
    async with open_front(store, tmp_path) as front:
        fake, live = front.counter.fake, front.shop
        fake.stores[OTHER] = Shelf(OTHER, name="Other shop")
        able, unable = await key_with(front, Scope.PAYMENT_PROVIDERS_WRITE), await key_with(front)
        await asked(front, "POST", "btcpay/connect", {}, 403, key=able)  # gate 1: a live shop is the owner's
        async with browse(doors_of(replace(live, mode=Mode.SANDBOX))) as sandbox:
            front.http, front.shop = sandbox, replace(live, mode=Mode.SANDBOX)
            await asked(front, "POST", "btcpay/connect", {}, 403, key=unable)  # gate 2
            url = (await asked(front, "POST", "btcpay/connect", {}, key=able))["authorize_url"]
            redirect, fields = fake.authorize(url, [OTHER])
            refused = await came_back(front, redirect, fields)  # gate 3: this is mainnet
            assert (refused.status_code, "play money only" in refused.text) == (400, True)
            assert dict(fields)["apiKey"] not in fake.keys
            assert not [hook for hook in fake.hooks if hook.store_id == OTHER]
            inside = "http://inside.test"  # what it says is told to an owner alone
            front.counter.hosts["inside.test"] = httpx.MockTransport(
                lambda _: httpx.Response(403, json={"code": "no", "message": "The password is hunter2."})
            )
            for key, told in ((able, "An owner who connects it is told why."), ("", "The password is hunter2.")):
                state = (await asked(front, "POST", "btcpay/connect", {"url": inside}, key=key))["state"]
                back = {"state": state, "apiKey": "0123456789abcdef0123456789abcdef"}
                page = (await front.http.get("/v1/btcpay/authorize/callback", params=back, headers=BROWSER)).text
                assert (told in page, "hunter2" in page) == (True, not key)
            fake.network = "regtest"
            url = (await asked(front, "POST", "btcpay/connect", {}, key=able))["authorize_url"]
            page = await came_back(front, *fake.authorize(url, [OTHER]))
            assert (page.status_code, "regtest" in page.text) == (200, True)
            made = (await asked(front, "GET", "providers?status=active", key=unable))["providers"][-1]["id"]
            await asked(front, "POST", f"providers/{made}/disconnect", {}, 403, key=able)
            await asked(front, "POST", f"providers/{made}/repair", {}, 403, key=able)
            url = (await asked(front, "POST", "btcpay/connect", {}, key=able))["authorize_url"]
            async with front.shop.work(TESTER) as work:
                for one in (await work.session.scalars(select(ApiKey.id))).all():
                    await revoke(work, one)
            assert (await came_back(front, *fake.authorize(url, [OTHER]))).status_code == 403


async def test_who_was_shut_out_meanwhile_connects_nothing(front: Front) -> None:
    fake = front.counter.fake
    for how in ("disabled", "demoted", "signed out"):
        async with signed_in(front.shop) as owner, signed_in(front.shop):  # a second one, who stays
            answer = await owner.post("/v1/admin/btcpay/connect", json={})
            me = (await owner.get("/admin/account")).text
            name = re.findall(r"<h1>(.*)</h1>", me)[0]
            async with front.shop.work(TESTER) as work:
                account = await accounts.one_named(work, name)
                if how == "signed out":
                    await sessions.end(work, account.id)
                else:
                    role = Role.FULL_ADMIN if how == "demoted" else Role.OWNER
                    await accounts.edit(work, account.id, role, how == "disabled")
        redirect, fields = fake.authorize(answer.json()["authorize_url"], [OTHER])
        page = await came_back(front, redirect, fields)
        assert (page.status_code, "is no key any more" in page.text) == (403, True)
    assert fake.keys.keys() == {API_KEY}
    assert await connections(front) == [STORE]
    assert [name for name, _ in await events(front, "provider.connect_refused")] == 3 * ["provider.connect_refused"]


async def test_health_tells_what_is_wrong_with_the_webhook_and_repair_mends_it(front: Front) -> None:
    [row] = (await asked(front, "GET", "providers"))["providers"]
    path, [hook] = f"providers/{row['id']}", front.counter.fake.hooks
    order = await front.bought()
    await front.counter.pay(order)
    health = (await asked(front, "POST", f"{path}/check"))["health"]
    assert (health["webhook_ok"], health["last_delivery_ok"]) == (True, True)
    assert health["last_delivery_at"]
    hook.enabled, hook.events, hook.url, hook.secret = False, ["InvoiceSettled"], "http://elsewhere.test/x", "theirs"
    till = await front.shop.tills.get(front.shop.tills.all()[0].id)
    assert (await till.till.health()).webhook_faults == (
        "It is switched off.",
        "It sends to another address.",
        "It does not tell of InvoiceExpired, InvoiceInvalid, InvoicePaymentSettled, InvoiceProcessing, "
        "InvoiceReceivedPayment.",
    )
    health = (await asked(front, "POST", f"{path}/repair"))["health"]
    assert (health["webhook_ok"], health["webhook_faults"]) == (True, [])
    assert (hook.url, hook.secret) == (row["webhook_url"], till.connection.secrets["webhook_secret"])
    front.counter.fake.keys[API_KEY] = {f"{name}:{STORE}" for name in ("btcpay.store.canviewinvoices", "unrestricted")}
    health = (await asked(front, "POST", f"{path}/check"))["health"]
    assert health["excess"] == [f"unrestricted:{STORE}"]
    assert health["missing"] == ["btcpay.store.cancreateinvoice", "btcpay.store.webhooks.canmodifywebhooks"]
    assert sorted(await front.counter.attention()) == ["permissions_excess", "permissions_missing"]


async def test_what_can_still_be_paid_is_watched_before_the_key_is_given_back(front: Front) -> None:  # D-10
    fake = front.counter.fake
    order = await front.bought()
    told = await asked(front, "POST", "btcpay/disconnect")
    assert (told["ok"], told["noop"], told["store_id"]) == (True, False, STORE)
    assert told["watched_until"]
    assert "taken back by itself" in told["warnings"][0]
    assert API_KEY in fake.keys
    front.counter.deaf = True
    await fake.pay(await front.counter.invoice_of(order))
    await front.counter.travel(minutes=2)
    assert await front.counter.licenses() == 1
    await check_connections(front.shop, front.counter.now)
    assert API_KEY not in fake.keys
    assert list(fake.hooks) == []
    async with front.shop.read() as read:
        row = (await read.session.scalars(select(ConnectionRow))).one()
    assert (row.released_at, row.webhook_id) == (front.counter.now, None)
    assert front.shop.vault.open(row.secrets_sealed, "provider-credentials") == b"{}"
    await front.counter.travel(days=3)  # its looks ask nobody any more
    assert await front.counter.attention() == []
    again = await asked(front, "POST", f"providers/{row.id}/disconnect")
    assert (again["noop"], (await asked(front, "POST", "btcpay/disconnect"))["message"]) == (
        True,
        "No btcpay account is connected.",
    )


async def test_a_disconnect_can_give_the_key_back_at_once_and_says_what_is_left(front: Front) -> None:
    fake = front.counter.fake
    await front.bought()
    fake.fail_next(Accident.LOST_BEFORE, method="DELETE")
    told = await asked(front, "POST", "btcpay/disconnect", {"revoke_now": True})
    assert "did not answer" in told["warnings"][0]
    [till] = front.shop.tills.all()
    assert (till.sells, till.is_released) == (False, False)
    told = await asked(front, "POST", f"providers/{till.id}/disconnect", {"revoke_now": True})
    assert (told["noop"], told["warnings"]) == (False, [])
    assert fake.keys == {}
    hook = await front.http.post(f"/v1/btcpay/webhook/{till.id}", json={})
    assert hook.status_code == 404


async def test_the_published_paths_tell_of_the_default_profile(front: Front) -> None:
    status = await asked(front, "GET", "payment-provider/status")
    assert (status["btcpay_configured"], status["zaprite_configured"], status["active"]) == (True, False, "btcpay")
    assert status["providers"][0]["store_id"] == STORE
    state = await asked(front, "GET", "btcpay/status")
    assert (state["connected"], state["label"], state["store_id"]) == (True, "Test shop", STORE)
    assert (await asked(front, "GET", "zaprite/status"))["connected"] is False
    methods = await asked(front, "GET", "btcpay/payment-methods")
    assert (methods["store_id"], methods["count"]) == (STORE, 2)
    front.counter.fake.fail_next(Accident.BROKEN)
    await asked(front, "GET", "btcpay/payment-methods", status=502)
    wrong = {"provider_id": state["provider_id"]}
    assert "one of btcpay" in (await asked(front, "POST", "zaprite/disconnect", wrong, 400))["message"]
    await asked(front, "POST", "btcpay/disconnect", {"revoke_now": "yes"}, 400)  # D-18
    assert (await asked(front, "POST", "zaprite/disconnect"))["noop"] is True
    await asked(front, "POST", "btcpay/disconnect", {"revoke_now": True})
    await asked(front, "GET", "btcpay/payment-methods", status=503)
    assert (await asked(front, "GET", "btcpay/status"))["connected"] is False
    assert await asked(front, "GET", "providers?kind=zaprite") == {"providers": [], "next_cursor": None}
