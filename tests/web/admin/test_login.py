"""Signing in on /admin/login: what is told, what is kept, and how often one may try."""

import re
from dataclasses import dataclass, replace

import httpx
import pytest
from sqlalchemy import select

from keysat.infra.tables import EventOrigin, EventRow
from keysat.operators import accounts, passwords, second_step, sessions, tokens, totp
from keysat.operators.accounts import AccountView
from keysat.operators.scopes import Role
from keysat.operators.tables import Account, Session
from keysat.upkeep.shop import Shop
from keysat.web import known
from keysat.web.admin.door import safe_back
from keysat.web.known import KNOWN_COOKIE
from tests.conftest import NOON, TESTER
from tests.web.admin.signing_in import CHEAP, PASSWORD
from tests.web.conftest import BROWSER, Watch, browse, doors_of

pytestmark = pytest.mark.once

SEED = b"12345678901234567890"


@dataclass
class Gate:
    """A browser in front of the login page, and Ada's account behind it."""

    shop: Shop
    http: httpx.AsyncClient
    ada: AccountView

    async def try_to(self, name: str = "ada", password: str = PASSWORD, **fields: str) -> httpx.Response:
        form = {"name": name, "password": password} | fields
        return await self.http.post("/admin/login", data=form)

    async def code(self, half: str, code: str, **fields: str) -> httpx.Response:
        return await self.http.post("/admin/login/code", data={"half": half, "code": code} | fields)

    async def with_second_step(self) -> list[str]:
        async with self.shop.work(TESTER) as work:
            session_id, _ = await sessions.begin(work, self.ada.id, "203.0.113.7", "")
            step = totp.step_of(NOON) - 1
            _, codes = await second_step.switch_on(
                work, self.shop.vault, self.ada.id, session_id, SEED, totp.code(SEED, step)
            )
            await sessions.end(work, self.ada.id)
        return codes

    async def events(self) -> list[tuple[str | None, ...]]:
        query = (
            select(EventRow.name, EventRow.body, EventRow.actor, EventOrigin.credential, EventOrigin.address)
            .outerjoin(EventOrigin, EventOrigin.event_id == EventRow.id)
            .where(EventRow.name.in_(["login.succeeded", "login.failed", "session.ended"]))
            .order_by(EventRow.id)
        )
        async with self.shop.read() as read:
            return [tuple(row) for row in await read.session.execute(query)]

    async def open_sessions(self) -> list[Session]:
        async with self.shop.read() as read:
            return list((await read.session.scalars(select(Session))).all())


@pytest.fixture
async def gate(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(passwords, "NOBODYS", CHEAP)
    async with shop.work(TESTER) as work:
        ada = await accounts.create(work, "Ada", Role.OWNER, CHEAP)
    async with browse(doors_of(shop)) as http:
        http.headers.update(BROWSER | {"Origin": "https://shop.test"})
        yield Gate(shop, http, ada)


def half_of(answer: httpx.Response) -> str:
    found = re.search(r'name="half" value="([^"]+)"', answer.text)
    assert found
    return found[1]


async def test_whoever_fails_is_told_the_same_and_only_the_event_knows_why(gate: Gate):
    async with gate.shop.work(TESTER) as work:
        eve = await accounts.create(work, "Eve", Role.SUPPORT, CHEAP)
        await accounts.edit(work, eve.id, disabled=True)
    told = [await gate.try_to(name, word) for name, word in (("ada", "wrong"), ("eve", PASSWORD), ("who", PASSWORD))]
    assert {answer.status_code for answer in told} == {401}
    assert len({re.sub(r'nonce-\S+|value="\w*"', "", answer.text) for answer in told}) == 1
    assert "Name or password is wrong." in told[0].text
    assert not any("set-cookie" in answer.headers for answer in told)
    events = await gate.events()
    assert [(name, body) for name, body, *_ in events] == [
        ("login.failed", f'{{"account":"{gate.ada.id}","wrong":"password"}}'),
        ("login.failed", f'{{"account":"{eve.id}","wrong":"account"}}'),
        ("login.failed", '{"account":null,"wrong":"account"}'),
    ]
    assert {event[2:] for event in events} == {("login", None, "203.0.113.7")}


async def test_a_login_gives_a_cookie_whose_token_no_table_holds(gate: Gate, watch: Watch):  # W-37, D-14, ASVS 7.2.3
    answer = await gate.try_to(" ADA ", next="/admin/account?x=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/account?x=1")
    cookie, other = answer.headers.get_list("set-cookie")
    assert set(cookie.split("; ")[1:]) == {"HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=lax", "Secure"}
    assert (other.startswith(f"{KNOWN_COOKIE}="), other.count("Secure"), "Path=/admin/login;" in other) == (
        True,
        1,
        True,
    )
    token = gate.http.cookies["keysat_session"]
    [row] = await gate.open_sessions()
    assert (len(token), row.hash, row.address) == (43, tokens.hashed(token), "203.0.113.7")
    [(name, body, actor, credential, address)] = await gate.events()
    assert (name, actor, credential, address) == ("login.succeeded", "login", None, "203.0.113.7")
    assert body == f'{{"account_id":"{gate.ada.id}","session_id":"{row.id}"}}'
    assert "Ada" in (await gate.http.get("/admin")).text
    assert (await gate.http.get("/admin/login?next=/admin/account")).headers["location"] == "/admin/account"
    watch.pass_by(minutes=3)
    again = await gate.try_to()  # the same browser: the old session ends, and what it had opens nothing
    assert again.status_code == 303
    assert gate.http.cookies["keysat_session"] != token
    assert [one.id for one in await gate.open_sessions()] != [row.id]
    assert (await gate.http.post("/admin/logout")).headers["location"] == "/admin/login"
    assert "keysat_session" not in gate.http.cookies
    assert await gate.open_sessions() == []
    assert (await gate.http.get("/admin")).headers["location"] == "/admin/login"
    assert [name for name, *_ in await gate.events()] == 2 * ["login.succeeded"] + 2 * ["session.ended"]
    ended = (await gate.events())[2]
    assert ended[2:] == ("account", f"{gate.ada.id}/{row.id}", "203.0.113.7")


async def test_the_second_step_asks_for_a_code_that_was_not_used(gate: Gate, watch: Watch):  # ASVS 6.5.1
    codes = await gate.with_second_step()
    first = await gate.try_to(next="/admin/account")
    assert (first.status_code, "keysat_session" in gate.http.cookies) == (200, False)
    half, now = half_of(first), totp.code(SEED, totp.step_of(NOON))
    wrong = await gate.code(half, "000000", next="/admin/account")
    assert (wrong.status_code, half_of(wrong)) == (401, half)
    opened = await gate.code(half, now, next="/admin/account")
    assert (opened.status_code, opened.headers["location"]) == (303, "/admin/account")
    for used in (now, totp.code(SEED, totp.step_of(NOON) - 1)):
        assert (await gate.code(half, used)).status_code == 401
    assert (await gate.code(half, codes[0])).status_code == 303
    for forged in (half[4:], "", "%"):
        assert (await gate.code(forged, codes[1])).status_code == 401
    assert (await gate.code(half, codes[1])).status_code == 429  # the sixth
    watch.pass_by(minutes=6)
    fresh = half_of(await gate.try_to())
    watch.pass_by(minutes=5, seconds=1)
    late = await gate.code(fresh, codes[1])
    assert (late.status_code, "That took too long" in late.text) == (401, True)
    fresh = half_of(await gate.try_to())
    async with gate.shop.work(TESTER) as work:
        await accounts.reset(work, gate.ada.id, CHEAP)
    assert (await gate.code(fresh, codes[1])).status_code == 401
    failed = [body for name, body, *_ in await gate.events() if name == "login.failed"]
    assert failed[0] == f'{{"account":"{gate.ada.id}","wrong":"code"}}'


async def test_an_account_is_locked_after_five_wherever_they_come_from(gate: Gate, watch: Watch):
    async with browse(doors_of(gate.shop), "198.51.100.9") as elsewhere:
        elsewhere.headers.update(gate.http.headers)
        for client in (gate.http, elsewhere, gate.http, elsewhere, elsewhere):
            form = {"name": "Ada", "password": "wrong"}
            assert (await client.post("/admin/login", data=form)).status_code == 401
        locked = await gate.try_to(" aDa ")
        assert (locked.status_code, locked.headers["retry-after"]) == (429, "180")
        assert "try again in 3 min" in locked.text
        watch.pass_by(seconds=180)
        assert (await gate.try_to()).status_code == 303
        form = {"name": "Ada", "password": PASSWORD}
        assert (await elsewhere.post("/admin/login", data=form)).status_code == 429
        async with gate.shop.work(TESTER) as work:
            await known.unlock(work, gate.shop.vault, await work.get(Account, gate.ada.id))
        tries = [await elsewhere.post("/admin/login", data=form | {"password": "wrong"}) for _ in range(6)]
        assert [answer.status_code for answer in tries] == [401] * 5 + [429]
        # the stranger goes on: whoever has the shop's machine makes this browser a known one
        await elsewhere.get("/admin/login?known=" + known.pass_for(gate.shop.vault, "ada")[8:])
        assert (await elsewhere.post("/admin/login", data=form)).status_code == 429
        let_in = await elsewhere.get("/admin/login?known=" + known.pass_for(gate.shop.vault, "ada"))
        assert (let_in.status_code, let_in.headers["location"]) == (303, "/admin/login")
        assert (await elsewhere.get("/admin")).headers["location"] == "/admin/login"  # it opens nothing
        assert (await elsewhere.post("/admin/login", data=form)).status_code == 303


async def test_a_stranger_locks_nobody_out_of_a_browser_that_signed_in_before(gate: Gate, watch: Watch):
    eve = {"name": "Eve", "password": PASSWORD}
    async with gate.shop.work(TESTER) as work:
        await accounts.create(work, "Eve", Role.SUPPORT, CHEAP)
    assert (await gate.try_to()).status_code == 303
    await gate.http.post("/admin/logout")
    its_cookie = gate.http.cookies[KNOWN_COOKIE]
    async with browse(doors_of(gate.shop), "198.51.100.9") as stranger:
        stranger.headers.update(gate.http.headers)
        for form in ({"name": "Ada", "password": "wrong"}, eve | {"password": "wrong"}):
            while (await stranger.post("/admin/login", data=form)).status_code == 401:
                pass
        assert (await stranger.post("/admin/login", data=eve)).status_code == 429
        stranger.cookies.set(KNOWN_COOKIE, its_cookie[:-8] + "AAAAAAAA", domain="shop.test")
        assert (await stranger.post("/admin/login", data={"name": "Ada", "password": PASSWORD})).status_code == 429
    assert (await gate.http.post("/admin/login", data=eve)).status_code == 429  # it is known for Ada alone
    tries = [(await gate.try_to(password="wrong")).status_code for _ in range(6)]  # and counted by itself
    assert tries == [401] * 5 + [429]
    gate.http.cookies.set(KNOWN_COOKIE, "." + gate.http.cookies[KNOWN_COOKIE], domain="shop.test", path="/admin/login")
    assert (await gate.try_to()).status_code == 429  # spelt in another way it is the same
    watch.pass_by(seconds=180)
    assert (await gate.try_to(" aDa ")).status_code == 303


async def test_an_address_may_try_twenty_times_whatever_names_it_sends(gate: Gate, watch: Watch):
    for number in range(20):
        assert (await gate.try_to(f"who {number}")).status_code == 401
    locked = await gate.try_to()
    assert (locked.status_code, locked.headers["retry-after"]) == (429, "10")
    async with browse(doors_of(gate.shop), "198.51.100.9") as elsewhere:
        elsewhere.headers.update(gate.http.headers)
        answer = await elsewhere.post("/admin/login", data={"name": "Ada", "password": PASSWORD})
        assert answer.status_code == 303
    watch.pass_by(seconds=10)
    assert (await gate.try_to()).status_code == 303


@pytest.mark.parametrize(
    ("public", "asked", "secure"),
    [
        ("https://shop.test", "https://shop.test", True),
        ("https://shop.test", "http://shop.test", True),  # a proxy has taken the TLS off
        ("https://shop.test", "http://keysat.local:8080", False),
        ("http://keysat.local", "http://keysat.local", False),
        ("http://keysat.local", "https://keysat.local", True),
    ],
)
async def test_the_cookie_is_secure_where_there_is_https(gate: Gate, public: str, asked: str, secure: bool):  # D-17
    shop = replace(gate.shop, settings=replace(gate.shop.settings, public_url=public))
    async with browse(doors_of(shop)) as client:
        client.base_url = httpx.URL(asked)
        answer = await client.post(
            "/admin/login", data={"name": "Ada", "password": PASSWORD}, headers=BROWSER | {"Origin": asked}
        )
        cookies = answer.headers.get_list("set-cookie")
        assert (answer.status_code, ["Secure" in cookie for cookie in cookies]) == (303, [secure, secure])
        if asked.startswith("https:") or not secure:
            assert (await client.get("/admin", headers=BROWSER)).status_code == 200


async def test_a_form_of_another_site_signs_nobody_in_or_out(gate: Gate):
    assert (await gate.try_to()).status_code == 303
    for path in ("/admin/login", "/admin/login/code", "/admin/logout"):
        for headers in ({"Origin": "https://evil.test"}, {"Sec-Fetch-Site": "cross-site"}):
            form = {"name": "Ada", "password": PASSWORD}
            assert (await gate.http.post(path, data=form, headers=headers)).status_code == 403
    assert len(await gate.open_sessions()) == 1


async def test_where_there_is_no_account_the_page_says_how_to_make_one(shop: Shop):
    async with browse(doors_of(shop)) as client:
        shown = await client.get("/admin/login", headers=BROWSER)
    assert "keysat account add NAME --role owner" in shown.text


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//evil.test",
        "/admin//evil.test",
        "https://evil.test",
        "/administration",
        "/admin\\evil",
        "/admin\r\nX: y",
    ],
)
def test_after_the_login_one_stays_here(path: str):
    assert safe_back(path) == "/admin"
    assert safe_back("/admin/account?done=x") == "/admin/account?done=x"
