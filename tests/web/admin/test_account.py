"""An operator's own account: what asks for the password again, and what signs the other browsers out."""

import base64
import re

import httpx
import pytest
from sqlalchemy import select

from keysat.infra.tables import EventRow
from keysat.operators import totp
from keysat.operators.scopes import Role
from keysat.operators.tables import Account, Session
from keysat.upkeep.shop import Shop
from keysat.web.auth import SESSION_COOKIE
from tests.web.admin.signing_in import PASSWORD, signed_in
from tests.web.conftest import BROWSER, Watch, browse, doors_of

pytestmark = pytest.mark.once

NEW = "a new password of mine"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@pytest.fixture
async def ada(shop: Shop):
    async with signed_in(shop) as client:
        yield client


async def a_second_browser(shop: Shop, code: str = "") -> httpx.Cookies:
    async with shop.read() as read:
        name = (await read.session.scalars(select(Account.name).where(Account.role == Role.OWNER))).one()
    async with browse(doors_of(shop)) as other:
        headers = BROWSER | {"Origin": "https://shop.test", "User-Agent": FIREFOX}
        answer = await other.post("/admin/login", data={"name": name, "password": PASSWORD}, headers=headers)
        if code:
            half = re.findall(r'name="half" value="([^"]+)"', answer.text)[0]
            answer = await other.post("/admin/login/code", data={"half": half, "code": code}, headers=headers)
        assert answer.status_code == 303
        return other.cookies


async def is_in(ada: httpx.AsyncClient, token: str) -> bool:
    before = ada.cookies[SESSION_COOKIE]
    ada.cookies.set(SESSION_COOKIE, token, domain="shop.test")
    answer = await ada.get("/admin")
    ada.cookies.set(SESSION_COOKIE, before, domain="shop.test")
    return answer.status_code == 200


async def events(shop: Shop) -> list[str]:
    async with shop.read() as read:
        rows = (await read.session.scalars(select(EventRow.name).order_by(EventRow.id))).all()
    return [name for name in rows if name.startswith(("account.", "login.", "session."))]


async def test_a_new_password_signs_the_other_browsers_out_and_changes_the_token(ada: httpx.AsyncClient, shop: Shop):
    before = ada.cookies[SESSION_COOKIE]
    other = (await a_second_browser(shop))[SESSION_COOKIE]
    page = (await ada.get("/admin/account")).text
    assert (page.count("this one"), "Firefox on Linux" in page, "A browser" in page) == (1, True, True)
    wrong = await ada.post("/admin/account/password", data={"password": "wrong", "new_password": NEW})
    assert (wrong.status_code, "That is not your password." in wrong.text) == (403, True)
    short = await ada.post("/admin/account/password", data={"password": PASSWORD, "new_password": "x" * 11})
    assert (short.status_code, "12 to 256 characters" in short.text) == (400, True)
    assert await is_in(ada, other)
    done = await ada.post("/admin/account/password", data={"password": PASSWORD, "new_password": NEW})
    assert (done.status_code, done.headers["location"]) == (303, "/admin/account?done=password")
    assert "HttpOnly" in done.headers["set-cookie"]
    assert "The password is changed." in (await ada.get(done.headers["location"])).text
    assert [await is_in(ada, token) for token in (before, other)] == [False, False]
    assert (await events(shop))[-3:] == ["login.failed", "account.password_changed", "session.ended"]
    repeated = await ada.post("/admin/account/password", data={"password": NEW, "new_password": PASSWORD})
    assert repeated.status_code == 303


async def test_trying_passwords_in_an_open_browser_is_counted_as_logins_are(ada: httpx.AsyncClient):
    typed = ["wrong"] * 4 + [PASSWORD] + ["wrong"] * 6
    answers = [await ada.post("/admin/account/totp", data={"password": password}) for password in typed]
    assert [answer.status_code for answer in answers] == [403] * 4 + [200] + [403] * 5 + [429]
    assert "try again in 3 min" in answers[-1].text
    assert (await ada.get("/admin/account")).status_code == 200


async def test_who_fails_to_sign_in_uses_up_nothing_of_who_is_signed_in(ada: httpx.AsyncClient, shop: Shop):
    async with shop.read() as read:
        name = (await read.session.scalars(select(Account.name))).one()
    async with browse(doors_of(shop), "198.51.100.9") as stranger:
        form = {"name": name, "password": "wrong"}
        headers = BROWSER | {"Origin": "https://shop.test"}
        tries = [(await stranger.post("/admin/login", data=form, headers=headers)).status_code for _ in range(6)]
    assert tries == [401] * 5 + [429]
    done = await ada.post("/admin/account/password", data={"password": PASSWORD, "new_password": NEW})
    assert done.status_code == 303


async def test_the_second_step_is_switched_on_renewed_and_off_by_password_and_code(
    ada: httpx.AsyncClient, shop: Shop, watch: Watch
):
    other = (await a_second_browser(shop))[SESSION_COOKIE]
    offered = await ada.post("/admin/account/totp", data={"password": PASSWORD})
    seed = re.search(r'<code class="seed">([A-Z2-7 ]+)</code>', offered.text)
    offer = re.search(r'name="offer" value="([^"]+)"', offered.text)
    assert seed
    assert offer
    assert (offered.text.count("<svg"), "otpauth://totp/Keysat%3Aowner%20" in offered.text) == (1, True)
    raw = base32(seed[1])
    wrong = await ada.post("/admin/account/totp/on", data={"offer": offer[1], "code": "000000"})
    assert (wrong.status_code, "does not fit" in wrong.text, offer[1] in wrong.text) == (400, True, False)
    async with signed_in(shop, Role.SUPPORT) as eve:  # what was offered to one is nothing to another
        taken = await eve.post("/admin/account/totp/on", data={"offer": offer[1], "code": now(raw, watch)})
        assert taken.status_code == 400
    for other_offer in ("", offer[1][4:], "%"):
        answer = await ada.post("/admin/account/totp/on", data={"offer": other_offer, "code": now(raw, watch)})
        assert answer.status_code == 400
    watch.pass_by(minutes=14)
    done = await ada.post("/admin/account/totp/on", data={"offer": offer[1], "code": now(raw, watch)})
    assert (done.status_code, done.headers["cache-control"]) == (200, "no-store")
    codes = kept_codes(done)
    assert not await is_in(ada, other)
    assert "10 of 10 recovery codes are left" in (await ada.get("/admin/account")).text
    other = (await a_second_browser(shop, codes[0]))[SESSION_COOKIE]
    for act in ("off", "codes"):  # whoever found this browser open and knows the password does not have the phone
        forms = [{"password": "wrong", "code": codes[1]}, *[{"password": PASSWORD, "code": "000000"}] * 6]
        watch.pass_by(minutes=15)
        tries = [(await ada.post(f"/admin/account/totp/{act}", data=form)).status_code for form in forms]
        assert tries == [403] * 6 + [429]
    watch.pass_by(minutes=15)
    assert await is_in(ada, other)
    renewed = await ada.post("/admin/account/totp/codes", data={"password": PASSWORD, "code": codes[1]})
    assert (renewed.status_code, renewed.headers["cache-control"]) == (200, "no-store")
    fresh = kept_codes(renewed)
    assert (set(fresh) & set(codes), await is_in(ada, other)) == (set(), False)
    old = await ada.post("/admin/account/totp/off", data={"password": PASSWORD, "code": codes[2]})
    assert (old.status_code, "That code does not fit" in old.text) == (403, True)
    off = await ada.post("/admin/account/totp/off", data={"password": PASSWORD, "code": now(raw, watch)})
    assert off.headers["location"] == "/admin/account?done=totp_off"
    assert "Switch it on" in (await ada.get("/admin/account")).text
    watch.pass_by(minutes=2)
    late = await ada.post("/admin/account/totp/on", data={"offer": offer[1], "code": now(raw, watch)})
    assert late.status_code == 400
    for act in ("off", "codes"):  # from a page that is out of date
        gone = await ada.post(f"/admin/account/totp/{act}", data={"password": PASSWORD, "code": "000000"})
        assert (gone.status_code, "is switched off already" in gone.text) == (409, True)
    assert [name for name in await events(shop) if "totp" in name or "codes" in name] == [
        "account.totp_switched_on",
        "account.recovery_codes_renewed",
        "account.totp_switched_off",
    ]


async def test_other_browsers_are_signed_out_one_by_one_or_all_at_once(ada: httpx.AsyncClient, shop: Shop):
    first, second, third = [(await a_second_browser(shop))[SESSION_COOKIE] for _ in range(3)]
    async with signed_in(shop) as eve:
        page = (await ada.get("/admin/account")).text
        ids = re.findall(r'name="session" value="([^"]+)"', page)
        assert len(ids) == 3
        for wrong in (ids[0], "x"):
            await eve.post("/admin/account/sessions/end", data={"session": wrong})
        assert [await is_in(ada, token) for token in (first, second, third)] == [True, True, True]
        await ada.post("/admin/account/sessions/end", data={"session": ids[0]})
        assert sum([await is_in(ada, token) for token in (first, second, third)]) == 2
        assert (await ada.post("/admin/account/sessions/end", data={})).status_code == 303
        assert [await is_in(ada, token) for token in (first, second, third)] == [False, False, False]
        assert (await ada.get("/admin/account")).status_code == 200
        assert (await eve.get("/admin/account")).status_code == 200
    async with shop.read() as read:
        assert len((await read.session.scalars(select(Session))).all()) == 2


def kept_codes(answer: httpx.Response) -> list[str]:
    codes = re.findall(r"<code>([a-z2-7-]{29})</code>", answer.text)
    assert len(set(codes)) == 10
    return codes


def base32(shown: str) -> bytes:
    return base64.b32decode(shown.replace(" ", ""))


def now(seed: bytes, watch: Watch) -> str:
    return totp.code(seed, totp.step_of(watch.now()))
