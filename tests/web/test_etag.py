"""Who edits what he has read, and it changed meanwhile, is told so: on both databases, since the check needs a lock."""

import asyncio

import httpx
import pytest

from tests.web.conftest import ADMIN

APP = {"slug": "app", "name": "App", "price_sats": 5000}


async def product(client: httpx.AsyncClient) -> str:
    client.headers.update(ADMIN)
    made = await client.post("/v1/admin/products", json=APP)
    return f"/v1/admin/products/{made.json()['id']}"


async def test_what_is_shown_has_a_tag_and_what_is_known_is_not_shown_again(client: httpx.AsyncClient) -> None:
    path = await product(client)
    shown = await client.get(path)
    tag = shown.headers["etag"]
    assert tag[0] == tag[-1] == '"'
    for known in (tag, f'"other", W/{tag}', "*"):
        same = await client.get(path, headers={"If-None-Match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
        assert "content-type" not in same.headers
    for other in ('"other"', ""):
        again = await client.get(path, headers={"If-None-Match": other})
        assert (again.status_code, again.json()) == (200, shown.json())
    assert (await client.get(path, headers={"If-Match": '"other"'})).status_code == 412
    assert (await client.head(path)).headers["etag"] == tag
    missing = await client.get(f"{path[:-4]}0000", headers={"If-None-Match": "*"})
    assert (missing.status_code, "etag" in missing.headers) == (404, False)


async def test_an_edit_of_what_has_changed_is_refused(client: httpx.AsyncClient) -> None:
    path = await product(client)
    read = (await client.get(path)).headers["etag"]
    edited = await client.patch(path, json={"name": "Two"}, headers={"If-Match": read})
    assert (edited.status_code, edited.headers["etag"]) == (200, (await client.get(path)).headers["etag"])
    late = await client.patch(path, json={"name": "Three"}, headers={"If-Match": read})
    assert (late.status_code, late.json()["error"], "etag" in late.headers) == (412, "precondition_failed", False)
    assert (await client.patch(f"{path}/active", json={"active": False}, headers={"If-Match": read})).status_code == 412
    assert (await client.delete(path, headers={"If-Match": f"W/{edited.headers['etag']}"})).status_code == 412
    assert (await client.get(path)).json() == edited.json()

    unread = await client.patch(path, json={"name": "Four"})
    switched = await client.patch(
        f"{path}/active", json={"active": False}, headers={"If-Match": f'"x", {unread.headers["etag"]}'}
    )
    assert (switched.json(), switched.headers["etag"]) == ({"ok": True}, (await client.get(path)).headers["etag"])
    assert (await client.patch(path, json={"name": "Five"}, headers={"If-None-Match": "*"})).status_code == 412
    unquoted = await client.patch(path, json={"name": "Six"}, headers={"If-Match": read.strip('"')})
    assert (unquoted.status_code, unquoted.json()["error"]) == (400, "bad_request")
    gone = await client.delete(path, headers={"If-Match": switched.headers["etag"]})
    assert (gone.status_code, "etag" in gone.headers) == (200, False)
    assert (await client.patch(path, json={}, headers={"If-Match": "*"})).status_code == 404


@pytest.mark.parametrize("editors", [8])
async def test_of_those_who_edit_what_they_all_have_read_one_does(client: httpx.AsyncClient, editors: int) -> None:
    path = await product(client)
    read = {"If-Match": (await client.get(path)).headers["etag"]}
    answers = await asyncio.gather(
        *(client.patch(path, json={"name": f"By {number}"}, headers=read) for number in range(editors))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * (editors - 1)
