"""Licenses, machines and customers as their operator finds them, page by page."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.catalog.shelf import a_product, a_tier
from tests.web.selling import Front

pytestmark = pytest.mark.usefixtures("as_operator")


async def get(front: Front, path: str, status: int = 200) -> dict[str, Any]:
    answer = await front.http.get(f"/v1/admin/{path}")
    assert answer.status_code == status, answer.text
    return answer.json()


async def issue(front: Front, email: str | None, **body: Any) -> dict[str, Any]:
    await front.counter.travel(seconds=1)
    asked = {"product_slug": "app", "policy_slug": "pro", "buyer_email": email} | body
    answer = await front.http.post("/v1/admin/licenses", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def found(front: Front, query: str) -> list[str]:
    """Whose licenses, over all pages of two."""
    emails: list[str] = []
    cursor = ""
    while True:
        page = await get(front, f"licenses?limit=2&{query}{cursor}")
        emails += [one["buyer_email"].partition("@")[0] for one in page["licenses"]]
        if page["next_cursor"] is None:
            return emails
        cursor = f"&cursor={page['next_cursor']}"


async def test_each_filter_finds_what_it_names_on_every_page(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:  # D-19
    await a_tier(front.shop.store, "max", entitlements=["core"])
    await a_product(front.shop.store, "tool")
    ann = await issue(front, "Ann@example.org", expires_at="2031-01-01T00:00:00Z")
    bob = await issue(front, "bob@example.org", policy_slug="max", expires_at="2030-01-01T00:00:00+02:00")
    middle = quote(front.counter.now.isoformat())
    cleo = await issue(front, "cleo@example.org", product_slug="tool", policy_slug=None)
    again = await issue(front, "ann@example.org", expires_at="never")
    await front.http.post(f"/v1/admin/licenses/{cleo['license_id']}/suspend")
    order = await get(front, f"orders/{bob['order_id']}")
    dan = (await get(front, "licenses?buyer_email=ANN@example.org"))["licenses"]
    assert [one["id"] for one in dan] == [again["license_id"], ann["license_id"]]
    for query, emails in (
        ("", ["Ann", "cleo", "bob", "Ann"]),
        ("status=suspended", ["cleo"]),
        ("status=active", ["Ann", "bob", "Ann"]),
        ("product_slug=app", ["Ann", "bob", "Ann"]),
        (f"product_id={cleo['product_id']}", ["cleo"]),
        (f"product_id={cleo['product_id']}&product_slug=app", []),
        ("product_slug=app&policy_slug=pro", ["Ann", "Ann"]),
        (f"policy_id={bob['policy_id']}&status=active&is_trial=false", ["bob"]),
        (f"customer_id={dan[0]['customer_id']}&product_slug=tool", []),
        ("buyer_email=eve@example.org", []),
        (f"issued_after={middle}", ["Ann", "cleo", "bob"]),
        (f"issued_before={middle}&product_slug=app", ["Ann"]),
        ("expires_after=2029-01-01T00:00:00Z", ["bob", "Ann"]),
        ("expires_before=2029-12-31T22:00:00Z", []),
        ("expires_before=2030-06-01T00:00:00Z&status=active", ["bob"]),
        ("is_trial=true", []),
        (f"invoice_id={order['invoice_id']}", ["bob"]),
        (f"invoice_id={order['support_reference']}&product_slug=tool", []),
        ("q=an", ["Ann", "Ann"]),
        ("q=AN&status=suspended", []),
        ("q=cleo&status=suspended&product_slug=tool", ["cleo"]),
        ("q=a&policy_slug=pro&product_slug=app", ["Ann", "Ann"]),
        ("q=a&expires_after=2029-01-01T00:00:00Z", ["Ann"]),
        ("q=zzz", []),
        (f"q={order['support_reference'].lower()}", ["bob"]),
        (f"q={cleo['license_id'][:13]}", ["cleo"]),
    ):
        got = await found(front, query)
        assert sorted(got) == sorted(emails), query
        assert got == emails or query.startswith("q="), query
        if query.startswith("q="):
            with monkeypatch.context() as among_many:
                among_many.setattr("keysat.licenses.read.FEW", -1)
                assert await found(front, query) == got, query
    for query, status in (
        ("buyer=ann@example.org", 400),
        ("buyer_email=ann", 400),
        ("policy_slug=pro", 400),
        ("issued_after=2026-01-01", 400),
        ("expires_before=soon", 400),
        ("q=", 400),
        ("product_slug=none", 404),
        ("product_slug=app&policy_slug=none", 404),
        ("q=an&cursor=mine", 400),
    ):
        await get(front, f"licenses?{query}", status)
    cursor = (await get(front, "licenses?limit=1&status=active"))["next_cursor"]
    assert (await get(front, f"licenses?status=active&limit=2&cursor={cursor}"))["licenses"]
    for other in ("licenses?", "licenses?status=suspended&", "licenses?status=active&q=a&", "orders?status=fulfilled&"):
        refused = await get(front, f"{other}cursor={cursor}", 400)
        assert "with these filters: send next_cursor" in refused["message"], other
    searched = await get(front, f"licenses/search?invoice_id={order['invoice_id']}")
    assert [one["policy_slug"] for one in searched["licenses"]] == ["max"]
    await get(front, "licenses/search?nostr_npub=npub1", 400)


async def test_a_license_is_told_with_all_that_belongs_to_it(front: Front) -> None:
    made = await issue(front, "ann@example.org", max_machines=5, reason="A school.")
    path = f"licenses/{made['license_id']}"
    body = {"key": made["license_key"], "product_slug": "app", "fingerprint": "one", "hostname": "desk"}
    await front.http.post("/v1/machines/activate", json=body)
    shown = await get(front, path)
    assert [(one["field"], one["reason"], one["author"]) for one in shown["own_values"]] == [
        ("max_machines", "A school.", "admin_key")
    ]
    assert [machine["hostname"] for machine in shown["machines"]] == ["desk"]
    assert [(order["id"], order["purpose"]) for order in shown["orders"]] == [(made["order_id"], "manual")]
    assert shown["subscription_id"] is None
    events: list[str] = []
    cursor = ""
    while cursor is not None:
        page = await get(front, f"{path}/events?limit=2{cursor and '&cursor=' + cursor}")
        events += [event["name"] for event in page["events"]]
        cursor = page["next_cursor"]
    assert events[0] == "machine.activated" or "machine.activated" in events
    assert {"license.issued", "license.edited", "order.opened", "order.paid", "order.fulfilled"} <= {*events}
    await get(front, f"licenses/{made['order_id']}/events", 404)
    await get(front, f"{path}/events?name=x", 400)


async def test_machines_are_listed_and_their_seats_are_freed(front: Front) -> None:
    made = await issue(front, "ann@example.org")
    other = await issue(front, None)
    for number, (license, name) in enumerate(((made, "a"), (made, "b"), (other, "c"))):
        await front.counter.travel(seconds=number + 1)
        body = {"key": license["license_key"], "product_slug": "app", "fingerprint": name, "hostname": name}
        assert (await front.http.post("/v1/machines/activate", json=body)).json()["ok"]
    first = await get(front, "machines?limit=2")
    assert [one["hostname"] for one in first["machines"]] == ["c", "b"]
    second = await get(front, f"machines?limit=2&cursor={first['next_cursor']}")
    assert [one["hostname"] for one in second["machines"]] == ["a"]
    machine = second["machines"][0]
    assert (machine["buyer_email"], machine["product_slug"], machine["license_status"], machine["active"]) == (
        *("ann@example.org", "app", "active", True),
    )
    freed = await front.http.post(f"/v1/admin/machines/{machine['id']}/deactivate", json={"reason": "Stolen."})
    assert freed.json() == {"ok": True}
    assert (await front.http.post(f"/v1/admin/machines/{machine['id']}/deactivate")).status_code == 404
    left = await get(front, f"machines?license_id={made['license_id']}&product_slug=app")
    assert [one["hostname"] for one in left["machines"]] == ["b"]
    both = await get(front, f"machines?product_id={made['product_id']}&include_inactive=true")
    assert [(one["hostname"], one["deactivation_reason"]) for one in both["machines"]] == [
        *(("c", None), ("b", None), ("a", "Stolen.")),
    ]
    taken: list[bool] = []
    for name in ("d", "e", "f"):  # D-33: of three seats, the one that was freed and one more are there to be taken
        body = {"key": made["license_key"], "product_slug": "app", "fingerprint": name}
        taken.append((await front.http.post("/v1/machines/activate", json=body)).json()["ok"])
    assert taken == [True, True, False]
    await get(front, "machines?status=active", 400)


async def test_customers_are_found_and_edited(front: Front) -> None:
    ann, bob = await issue(front, "Ann@example.org"), await issue(front, "bob@example.org")
    listed = (await get(front, "customers"))["customers"]
    assert [one["email"] for one in listed] == ["bob@example.org", "Ann@example.org"]
    path = f"/v1/admin/customers/{listed[1]['id']}"
    read = await front.http.get(path)
    assert [one["id"] for one in read.json()["licenses"]] == [ann["license_id"]]
    assert [one["id"] for one in read.json()["orders"]] == [ann["order_id"]]
    tag = {"If-Match": read.headers["ETag"]}
    edited = await front.http.patch(path, json={"name": "Bob Bell", "note": "By mail."}, headers=tag)
    assert (edited.json()["name"], edited.json()["note"], edited.json()["email"]) == (
        *("Bob Bell", "By mail.", "Ann@example.org"),
    )
    assert (await front.http.patch(path, json={"note": None}, headers=tag)).status_code == 412
    assert (await front.http.patch(path, json={"note": None})).json()["note"] is None
    taken = await front.http.patch(path, json={"email": "BOB@example.org"})
    assert (taken.status_code, listed[0]["id"] in taken.json()["message"]) == (409, True)
    for body in ({"email": "ann"}, {"mail": "x"}, {"name": "n" * 201}):
        assert (await front.http.patch(path, json=body)).status_code == 400
    moved = await front.http.patch(path, json={"email": "dora@example.org"})
    assert moved.json()["licenses"][0]["buyer_email"] == "dora@example.org"

    async def emails(query: str) -> list[str]:
        return [one["email"] for one in (await get(front, f"customers?{query}"))["customers"]]

    assert await emails("q=bob") == ["bob@example.org", "dora@example.org"]  # by the address, then by the name
    assert await emails("q=Bob B") == ["dora@example.org"]
    page = await get(front, "customers?q=bob&limit=1")
    assert await emails(f"q=bob&limit=1&cursor={page['next_cursor']}") == ["dora@example.org"]
    assert await emails("email=Dora@example.org") == ["dora@example.org"]
    assert await emails("email=ann@example.org") == []
    await get(front, "customers?name=bob", 400)
    await get(front, f"customers/{bob['license_id']}", 404)
