"""Who comes to the operator's pages and API with a browser: a stranger, somebody signed in, somebody who may not."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from litestar import Response, get
from sqlalchemy import update

from keysat.operators.scopes import Role, Scope
from keysat.operators.tables import Account
from keysat.upkeep.shop import Shop
from keysat.web.admin import door
from keysat.web.auth import SESSION_COOKIE
from keysat.web.provide import WithVisit
from tests.conftest import NOON, TESTER
from tests.web.admin.signing_in import signed_in, token_for
from tests.web.conftest import ADMIN, BROWSER, browse, doors_of

pytestmark = pytest.mark.once


@get("/admin/rates-only", guards=[door.signed_in(Scope.RATES_WRITE)])
async def rates_only(visit: WithVisit) -> Response[str]:
    return door.admin_page(visit, "admin/base.html", at=door.PATH)


@get("/admin/broken")
async def broken() -> None:
    raise RuntimeError


async def test_a_stranger_signs_in_first_and_comes_back(client: httpx.AsyncClient, shop: Shop):
    sent = await client.get("/admin/account?done=x&y=%2F", headers=BROWSER)
    assert sent.status_code == 303
    there = urlsplit(sent.headers["location"])
    assert (there.path, parse_qs(there.query)) == ("/admin/login", {"next": ["/admin/account?done=x&y=%2F"]})
    none_yet = await client.get(sent.headers["location"], headers=BROWSER)
    assert f'href="{sent.headers["location"]}"' in none_yet.text
    await token_for(shop)
    login = await client.get(sent.headers["location"], headers=BROWSER)
    assert 'name="next" value="/admin/account?done=x&amp;y=%2F"' in login.text
    posted = await client.post("/admin/account/password", headers=BROWSER)
    assert (posted.status_code, posted.headers["location"]) == (303, "/admin/login")
    program = await client.get("/admin", headers={"Accept": "application/json"})
    assert (program.status_code, program.json()["error"]) == (401, "unauthorized")


async def test_a_page_is_for_who_has_its_scope_and_the_refusal_stands_in_the_frame(shop: Shop):
    router = door.admin_router([])
    assert (door.SignInFirst in router.exception_handlers, router.include_in_schema) == (True, False)
    async with browse(doors_of(shop, rates_only, broken)) as client:
        failed = await client.get("/admin/broken", headers=BROWSER)
        assert (failed.status_code, "log says what" in failed.text, "seller" in failed.text) == (500, True, False)
        for role, status in ((Role.OWNER, 200), (Role.FULL_ADMIN, 200), (Role.SUPPORT, 403), (Role.READ_ONLY, 403)):
            client.cookies.set(SESSION_COOKIE, await token_for(shop, role), domain="shop.test")
            answer = await client.get("/admin/rates-only", headers=BROWSER)
            assert answer.status_code == status
        assert "rates:write" in answer.text


async def test_every_place_in_the_bar_is_there_and_shown_to_who_may_see_it(shop: Shop):
    async with signed_in(shop) as owner:
        home = (await owner.get("/admin")).text
        for place in door.PLACES:
            assert f'href="{place.path}"' in home
            shown = await owner.get(place.path)
            assert (shown.status_code, 'aria-current="page"' in shown.text) == (200, True), place.path
        refused = await owner.post("/admin/account/sessions/end", data={"session": "x"})
        assert (refused.status_code, "Pages of the operator" in refused.text) == (400, True)
        for ask, path, status in (
            (owner.get, "/admin/nothing-here", 404),
            (owner.post, "/admin/nothing/there", 404),
            (owner.get, "/admin/profiles/x", 404),
            (owner.post, "/admin/webhooks/deliveries/x/retry", 404),
            (owner.get, "/admin/account/password", 405),
        ):
            away = await ask(path)
            assert (away.status_code, "Pages of the operator" in away.text) == (status, True), path
        garbled = await owner.post("/admin/account/password", data={"new_password": "x" * 20_000})
        assert (garbled.status_code, "Pages of the operator" in garbled.text) == (400, True)
        program = await owner.get("/admin/nothing-here", headers={"Accept": "application/json"})
        assert (program.status_code, program.json()["error"]) == (404, "not_found")


async def test_what_is_no_page_of_the_operator_leads_a_stranger_to_them_and_not_to_the_buyers(
    client: httpx.AsyncClient,
):
    for path in ("/admin/nothing-here", "/admin/webhooks/nothing/there", "/admin/profiles/x", "/admin/"):
        away = await client.get(path, headers=BROWSER)
        assert (away.status_code, 'href="/admin"' in away.text, "Lost your key" in away.text) == (404, True, False)
    buyers = await client.get("/administration", headers=BROWSER)
    assert (buyers.status_code, 'href="/admin"' in buyers.text, "Lost your key" in buyers.text) == (404, False, True)


async def test_a_session_works_for_the_api_as_its_account_may(shop: Shop):
    body = {"slug": "app", "name": "App", "price_sats": 5000}
    async with signed_in(shop, Role.MERCHANT_ONBOARD) as client:
        assert (await client.post("/v1/admin/products", json=body)).status_code == 200
        assert (await client.get("/v1/admin/orders")).status_code == 200
        for path in ("api-keys", "accounts"):
            answer = await client.get(f"/v1/admin/{path}")
            assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
        assert (await client.get("/v1/admin/api-keys", headers=ADMIN)).status_code == 200  # the bearer counts
        assert (await client.get("/v1/admin/orders", headers={"Authorization": "Bearer wrong"})).status_code == 403
        assert (await client.get("/v1/admin/orders", headers={"Authorization": "Basic YTpi"})).status_code == 401
    async with signed_in(shop) as owner:
        assert (await owner.get("/v1/admin/api-keys")).status_code == 200


async def test_a_cookie_acts_only_for_pages_of_ours(shop: Shop):
    body = {"slug": "app", "name": "App", "price_sats": 5000}
    async with signed_in(shop) as client:
        for headers in (
            {"Origin": "https://evil.test"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": ""},
        ):
            refused = await client.post("/v1/admin/products", json=body, headers=headers)
            assert (refused.status_code, refused.json()["error"]) == (403, "forbidden"), headers
            page = await client.post("/admin/account/sessions/end", headers=headers)
            assert page.status_code == 403
        assert (await client.get("/v1/admin/products", headers={"Origin": "https://evil.test"})).status_code == 200
        bearer = await client.post("/v1/admin/products", json=body, headers=ADMIN | {"Origin": "https://evil.test"})
        assert bearer.status_code == 200


async def test_two_operators_behind_one_address_do_not_get_each_others_answers(shop: Shop):
    told: list[str] = []
    for _ in range(2):
        async with signed_in(shop) as client:
            for _ in range(2):
                answer = await client.post(
                    "/v1/admin/api-keys",
                    json={"label": "CI", "role": "read-only"},
                    headers={"Idempotency-Key": "the-same"},
                )
                assert answer.status_code == 200
                told.append(answer.json()["token"])
    assert told[0] == told[1] != told[2] == told[3]


async def test_who_is_disabled_is_out_at_once(shop: Shop):
    async with signed_in(shop) as client:
        assert (await client.get("/admin")).status_code == 200
        async with shop.work(TESTER) as work:
            await work.session.execute(update(Account).values(disabled_at=NOON))
        assert (await client.get("/admin")).status_code == 303
        assert (await client.get("/v1/admin/products")).status_code == 401
