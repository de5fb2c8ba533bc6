"""Accounts over the API, and the passwords it tells once."""

import httpx
import pytest

from tests.web.conftest import ADMIN, BROWSER, Watch

pytestmark = pytest.mark.once
ACCOUNTS = "/v1/admin/accounts"


@pytest.fixture
def admin(client: httpx.AsyncClient) -> httpx.AsyncClient:
    client.headers.update(ADMIN)
    return client


async def signs_in(client: httpx.AsyncClient, name: str, password: str) -> bool:
    answer = await client.post(
        "/admin/login",
        data={"name": name, "password": password},
        headers=BROWSER | {"Origin": "https://shop.test", "Cookie": ""},
    )
    client.cookies.clear()
    return answer.status_code == 303


async def test_an_account_is_made_changed_disabled_and_reset(admin: httpx.AsyncClient, watch: Watch):
    made = (await admin.post(ACCOUNTS, json={"name": "Ada", "role": "owner"})).json()
    ada, password = made["account"], made["password"]
    assert (ada["role"], ada["totp"], ada["disabled_at"], len(password)) == ("owner", False, None, 26)
    typed = {"name": "Bob", "role": "support", "password": "a password of his"}
    bob = (await admin.post(ACCOUNTS, json=typed)).json()
    assert bob["password"] is None
    assert [await signs_in(admin, "ada", password), await signs_in(admin, "Bob", typed["password"])] == [True, True]
    refused = await admin.patch(f"{ACCOUNTS}/{ada['id']}", json={"role": "support"})
    assert (refused.status_code, "last owner" in refused.json()["message"]) == (409, True)
    there = f"{ACCOUNTS}/{bob['account']['id']}"
    assert (await admin.patch(there, json={"role": "owner"})).json()["role"] == "owner"
    assert (await admin.patch(f"{ACCOUNTS}/{ada['id']}", json={"disabled": True})).json()["disabled_at"] is not None
    assert not await signs_in(admin, "Ada", password)
    watch.pass_by(minutes=10)
    again = (await admin.post(f"{there}/reset", json={})).json()
    assert again["account"]["password_at"] == "2026-01-15T12:10:00Z"
    assert [await signs_in(admin, "Bob", word) for word in (typed["password"], again["password"])] == [False, True]
    page = (await admin.get(ACCOUNTS, params={"limit": 1})).json()
    rest = (await admin.get(ACCOUNTS, params={"cursor": page["next_cursor"]})).json()
    assert [one["name"] for one in (*page["accounts"], *rest["accounts"])] == ["Ada", "Bob"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "ADA", "role": "support"}, 409),
        ({"name": "", "role": "support"}, 400),
        ({"name": "Bob", "role": "boss"}, 400),
        ({"name": "Bob", "role": "support", "password": "x" * 11}, 400),
        ({"name": "Bob", "role": "support", "password": "x" * 257}, 400),
        ({"name": "Bob", "role": "support", "email": "b@example.org"}, 400),
    ],
)
async def test_what_is_no_account_is_refused(admin: httpx.AsyncClient, body: dict[str, str], status: int):
    assert (await admin.post(ACCOUNTS, json={"name": "Ada", "role": "owner"})).status_code == 200
    assert (await admin.post(ACCOUNTS, json=body)).status_code == status
    assert len((await admin.get(ACCOUNTS)).json()["accounts"]) == 1
