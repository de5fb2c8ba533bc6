"""A license that its operator edits, hands over, or gives to many at once."""

from typing import Any

import httpx
import pytest

from tests.catalog.shelf import MONTHLY, a_tier
from tests.web.selling import Front

pytestmark = pytest.mark.usefixtures("as_operator")

Tag = dict[str, str]


async def issue(front: Front, **body: Any) -> dict[str, Any]:
    asked = {"product_slug": "app", "policy_slug": "pro", "buyer_email": "ann@example.org"} | body
    answer = await front.http.post("/v1/admin/licenses", json=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def edit(front: Front, made: dict[str, Any], headers: Tag | None = None, /, **body: Any) -> httpx.Response:
    return await front.http.patch(f"/v1/admin/licenses/{made['license_id']}", json=body, headers=headers)


async def show(front: Front, made: dict[str, Any]) -> dict[str, Any]:
    return (await front.http.get(f"/v1/admin/licenses/{made['license_id']}")).json()


async def test_what_is_set_by_hand_holds_until_it_is_given_back(front: Front) -> None:
    made = await issue(front)
    before = await show(front, made)
    read = await front.http.get(f"/v1/admin/licenses/{made['license_id']}")
    tag = {"If-Match": read.headers["ETag"]}
    values: dict[str, Any] = {
        "expires_at": "2031-01-01T00:00:00Z",
        "max_machines": 1,
        "entitlements": ["beta"],
        "grace_seconds": 60,
    }
    edited = await edit(front, made, tag, **values, note="Of the fair.", reason="A test of theirs.")
    assert edited.status_code == 200, edited.text
    assert {name: edited.json()[name] for name in (*values, "note")} == values | {"note": "Of the fair."}
    assert {one["reason"] for one in edited.json()["own_values"]} == {"A test of theirs."}
    assert (await edit(front, made, tag, max_machines=2)).status_code == 412
    again = await edit(front, made, {"If-Match": edited.headers["ETag"]}, max_machines=0, expires_at="never")
    assert (again.json()["max_machines"], again.json()["expires_at"], again.json()["note"]) == (0, None, "Of the fair.")
    back = await edit(front, made, max_machines=None, expires_at=None, entitlements=None, grace_seconds=None, note=None)
    assert back.json() == before
    assert (await edit(front, made)).json() == before

    await edit(front, made, max_machines=9)
    await a_tier(front.shop.store, "max", entitlements=["core"], max_machines=7)
    moved = {"to_policy_slug": "max", "when": "at_once"}
    await front.http.post(f"/v1/admin/licenses/{made['license_id']}/change-tier", json=moved)
    assert (await show(front, made))["max_machines"] == 9
    assert (await edit(front, made, max_machines=None)).json()["max_machines"] == 7  # of the tier that it has now


@pytest.mark.once
async def test_an_end_that_is_no_moment_is_refused(front: Front) -> None:  # W-36
    made = await issue(front)
    for end in ("soon", "2026-13-01T00:00:00Z", "2030-01-01T00:00:00", "2030-01-01", ""):
        refused = await edit(front, made, expires_at=end)
        assert (refused.status_code, refused.json()["error"]) == (400, "bad_request"), end
    assert (await show(front, made))["expires_at"] is None


@pytest.mark.once
async def test_what_cannot_be_set_is_refused_whole(front: Front) -> None:
    made = await issue(front)
    for body in ({"entitlements": ["Not One"]}, {"max_machines": -1}, {"buyer_email": "ann"}, {"plan": "x"}):
        assert (await edit(front, made, note="x", **body)).status_code == 400, body
    assert (await show(front, made))["note"] is None
    await a_tier(front.shop.store, "monthly", **MONTHLY)
    renews = await issue(front, policy_slug="monthly")
    refused = await edit(front, renews, expires_at="2031-01-01T00:00:00Z", note="x")
    assert (refused.status_code, "subscription" in refused.json()["message"]) == (409, True)
    assert (await show(front, renews))["note"] is None
    body = {"product_slug": "app", "policy_slug": "monthly", "expires_at": "2031-01-01T00:00:00Z"}
    assert (await front.http.post("/v1/admin/licenses", json=body)).status_code == 409
    await front.http.post(f"/v1/admin/licenses/{made['license_id']}/revoke")
    assert (await edit(front, made, max_machines=2)).status_code == 409
    assert (await edit(front, made, note="Refunded in cash.")).json()["note"] == "Refunded in cash."


@pytest.mark.once
async def test_a_license_that_is_handed_over_is_recovered_by_its_new_holder_alone(front: Front) -> None:
    await a_tier(front.shop.store, "monthly", **MONTHLY)
    made = await issue(front, policy_slug="monthly")
    moved = (await edit(front, made, buyer_email="Bob@example.org")).json()
    assert moved["buyer_email"] == "Bob@example.org"
    subscription = (await front.http.get(f"/v1/admin/subscriptions/{moved['subscription_id']}")).json()
    assert subscription["customer_id"] == moved["customer_id"]
    order = (await front.http.get(f"/v1/admin/orders/{made['order_id']}")).json()
    assert order["buyer_email"] == "ann@example.org"
    for email, status in (("ann@example.org", 404), ("bob@example.org", 200)):
        answer = await front.http.post("/v1/recover", json={"invoice_id": order["invoice_id"], "email": email})
        assert answer.status_code == status
    nobody = (await edit(front, made, buyer_email=None)).json()
    assert (nobody["customer_id"], nobody["buyer_email"]) == (None, None)
    events = (await front.http.get(f"/v1/admin/licenses/{made['license_id']}/events")).json()["events"]
    assert [event["name"] for event in events].count("license.handed_over") == 2


async def test_many_are_given_at_once_or_none(front: Front) -> None:
    body = {"product_slug": "app", "policy_slug": "pro", "max_machines": 2, "note": "Speakers."}
    emails = [f"speaker{number}@example.org" for number in range(5)]
    twice = [
        await front.http.post(
            "/v1/admin/licenses/bulk", json=body | {"buyer_emails": emails}, headers={"Idempotency-Key": "talks"}
        )
        for _ in range(2)
    ]
    assert twice[0].json() == twice[1].json()
    made = twice[0].json()["licenses"]
    assert len({one["license_key"] for one in made}) == 5
    assert await front.counter.licenses() == 5
    shown = await show(front, made[3])
    assert (shown["buyer_email"], shown["max_machines"], shown["note"]) == (emails[3], 2, "Speakers.")
    key = {"key": made[0]["license_key"], "product_slug": "app"}
    assert (await front.http.post("/v1/validate", json=key)).json()["ok"] is True
    anonymous = await front.http.post("/v1/admin/licenses/bulk", json=body | {"count": 3})
    assert [one["buyer_email"] for one in [await show(front, made) for made in anonymous.json()["licenses"]]] == [
        None
    ] * 3
    for wrong in (
        {"buyer_emails": [*emails, "SPEAKER1@example.org"]},
        {"buyer_emails": ["new@example.org", "nobody"]},
        {"buyer_emails": []},
        {"buyer_emails": emails, "count": 3},
        {"count": 501},
        {},
    ):
        refused = await front.http.post("/v1/admin/licenses/bulk", json=body | wrong)
        assert refused.status_code == 400, wrong
    assert await front.counter.licenses() == 8
