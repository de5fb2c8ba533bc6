"""The operator's view of orders, and his hand in them, over HTTP."""

from typing import Any

import httpx
import pytest

from keysat.checkout.tables import Order
from keysat.operators.scopes import Role
from keysat.payments.provider import Rail
from tests.catalog.shelf import a_code
from tests.conftest import TESTER
from tests.web.api.test_who_may import a_key
from tests.web.selling import Front

pytestmark = pytest.mark.usefixtures("as_operator")


async def body(asked: httpx.Response) -> dict[str, Any]:
    assert asked.status_code == 200, asked.text
    return asked.json()


async def listed(front: Front, query: str = "") -> list[str]:
    page = await body(await front.http.get(f"/v1/admin/orders?{query}"))
    return [one["id"] for one in page["orders"]]


async def act(front: Front, order: Order, verb: str) -> httpx.Response:
    return await front.http.post(f"/v1/admin/orders/{order.support_reference}/{verb}")


async def test_orders_are_listed_newest_first_page_by_page(front: Front) -> None:
    bought: list[str] = []
    for email in ("ann@example.org", None, "bob@example.org"):
        bought.insert(0, str((await front.counter.buy(buyer_email=email)).id))
        await front.counter.travel(seconds=1)
    first = await body(await front.http.get("/v1/admin/orders?limit=2"))
    assert [one["buyer_email"] for one in first["orders"]] == ["bob@example.org", None]
    second = await body(await front.http.get(f"/v1/admin/orders?limit=2&cursor={first['next_cursor']}"))
    assert [one["buyer_email"] for one in second["orders"]] == ["ann@example.org"]
    assert [one["id"] for one in (*first["orders"], *second["orders"])] == bought
    assert second["next_cursor"] is None


async def test_filters_narrow_the_list(front: Front) -> None:
    paid, other = await front.counter.buy(), await front.counter.buy()
    await front.counter.pay(paid)
    assert await listed(front, "status=fulfilled") == [str(paid.id)]
    assert await listed(front, f"support_reference={other.support_reference.lower()}") == [str(other.id)]
    assert await listed(front, f"invoice_id={other.invoice_id}&status=fulfilled") == []
    assert len(await listed(front, f"product_id={paid.product_id}&invoice_id=")) == 2
    assert await listed(front, f"product_id={paid.id}") == []


async def test_orders_are_found_by_buyer_tier_purpose_moment_and_any_reference(front: Front) -> None:
    early = await front.counter.buy(buyer_email="ann@example.org")
    await front.counter.travel(seconds=1)
    late = await front.counter.buy(buyer_email="bob@example.org")
    await front.counter.travel(minutes=1)
    await front.counter.pay(late)
    await front.counter.travel(minutes=1)
    await front.counter.pay(early)
    both = [str(early.id), str(late.id)]
    paid = (await body(await front.http.get(f"/v1/admin/orders/{late.id}")))["paid_at"]
    known = {
        "buyer_email=%20Ann@Example.org": both[:1],
        "buyer_email=nobody@example.org": [],
        "buyer_email=no%20address": [],
        f"buyer_email=ann@example.org&customer_id={late.customer_id}": [],
        f"customer_id={late.customer_id}": both[1:],
        f"license_id={(await front.counter.order(early.id)).license_id}": both[:1],
        f"policy_id={early.policy_id}&purpose=purchase&limit=1": both[1:],
        "purpose=renewal": [],
        f"paid_after={paid}": both,  # by when they were paid, the latest first
        f"paid_before={paid}": [],
        f"created_before={paid}": both[::-1],
        f"created_after={paid}": [],
        "created_after=0001-01-01T00:00:00Z&paid_before=9999-12-31T23:59:59Z": both,
        f"reference=%20{late.support_reference.lower()}%20": both[1:],
        f"reference={await front.counter.invoice_of(early)}": both[:1],
        f"reference={late.invoice_id}": both[1:],
        f"reference={early.id}": both[:1],
        "reference=KS-NOBODYHAS1": [],
    }
    assert {query: await listed(front, query) for query in known} == known
    page = await body(await front.http.get(f"/v1/admin/orders?limit=1&paid_after={paid}"))
    assert await listed(front, f"limit=1&paid_after={paid}&cursor={page['next_cursor']}") == both[1:]
    before = "paid_before=9999-12-31T23:59:59Z"  # a bound that the cursor makes idle
    page = await body(await front.http.get(f"/v1/admin/orders?limit=1&{before}"))
    assert await listed(front, f"{before}&cursor={page['next_cursor']}") == both[1:]
    for wrong in (
        "paid_after=yesterday",
        "created_after=2026-01-01T00:00:00",
        "created_before=0001-01-01T00:00:00%2B14:00",
    ):
        assert (await front.http.get(f"/v1/admin/orders?{wrong}")).status_code == 400, wrong


async def test_payments_are_what_was_tried_and_what_came_in(front: Front) -> None:
    paid = await front.counter.buy()
    await front.counter.travel(minutes=1)
    open_one = await front.counter.buy()
    await front.counter.pay(paid)

    async def found(query: str = "") -> list[tuple[str, bool]]:
        page = await body(await front.http.get(f"/v1/admin/payments?{query}"))
        return [(one["support_reference"], one["is_taken"]) for one in page["payments"]]

    paid_one, other = (paid.support_reference, True), (open_one.support_reference, False)
    assert await found() == [other, paid_one]
    first = await body(await front.http.get("/v1/admin/payments?limit=1"))
    assert await found(f"cursor={first['next_cursor']}") == [paid_one]
    assert await found("seen_state=settled") == [paid_one]
    assert await found(f"order_id={open_one.id}") == [other]
    assert await found(f"provider_invoice_id={await front.counter.invoice_of(paid)}") == [paid_one]
    assert await found(f"connection_id={front.shop.tills.all()[0].id}") == [other, paid_one]
    assert await found(f"connection_id={paid.id}") == []
    assert await found("created_before=2000-01-01T00:00:00Z") == []
    [shown] = (await body(await front.http.get("/v1/admin/payments?seen_state=settled")))["payments"]
    assert (shown["order_status"], shown["seen_paid_minor"], shown["price_minor"]) == ("fulfilled", 7500, 7500)
    assert (await front.http.get("/v1/admin/payments?status=paid")).status_code == 400


@pytest.mark.parametrize(
    "query",
    ["state=paid", "status=settled", "limit=0", "limit=201", "cursor=mine", "product_id=app", "invoice_id=%00"],
)
async def test_what_cannot_be_filtered_by_is_told(front: Front, query: str) -> None:
    refused = await front.http.get(f"/v1/admin/orders?{query}")
    assert (refused.status_code, refused.json()["error"]) == (400, "bad_request")


async def test_an_order_is_found_by_whatever_the_operator_holds(front: Front) -> None:
    order = await front.counter.buy(buyer_email="ann@example.org", buyer_note="A gift")
    await front.counter.pay(order)
    for reference in (order.id, order.invoice_id, order.support_reference.lower()):
        shown = await body(await front.http.get(f"/v1/admin/orders/{reference}"))
        assert (shown["id"], shown["status"], shown["paid_how"]) == (str(order.id), "fulfilled", "in_time")
        assert (shown["buyer_email"], shown["buyer_note"]) == ("ann@example.org", "A gift")
        assert (shown["listed_currency"], shown["listed_value"], shown["amount_sats"]) == ("USD", 7500, 150_000)
        [attempt] = shown["attempts"]
        assert (attempt["seen_state"], attempt["price_minor"], attempt["id"]) == (
            "settled",
            7500,
            shown["paid_attempt_id"],
        )
        assert shown["license_id"] is not None
    for stranger in ("KS-AAAAAAAAAA", "x" * 300):
        missing = await front.http.get(f"/v1/admin/orders/{stranger}")
        assert (missing.status_code, missing.json()["error"]) == (404, "not_found"), stranger


async def test_a_stranger_who_does_not_pay_changes_no_note(front: Front) -> None:
    async def note(order: Order) -> str:
        return (await body(await front.http.get(f"/v1/admin/orders/{order.id}")))["buyer_note"]

    first = await front.counter.buy(buyer_email="ann@example.org", buyer_note="A gift")
    await front.counter.pay(first)
    other = await front.counter.buy(buyer_email="ann@example.org", buyer_note="Call me instead")
    assert (await note(first), await note(other)) == ("A gift", "Call me instead")
    await front.counter.pay(other)
    assert (await note(first), await note(other)) == ("Call me instead", "Call me instead")
    await a_code(front.shop.store, "FRIENDS", "free_license", 0, product_slug="app")
    free = await front.counter.buy(buyer_email="ann@example.org", buyer_note="For nothing", code="FRIENDS")
    assert (await note(first), await note(free)) == ("Call me instead", "For nothing")


async def test_cash_is_settled_by_hand_once(front: Front) -> None:
    order = await front.counter.buy()
    key = {"Idempotency-Key": "cash-1"}
    path = f"/v1/admin/orders/{order.support_reference}/settle"
    settled = await body(await front.http.post(path, headers=key))
    assert (settled["status"], settled["paid_how"]) == ("fulfilled", "by_operator")
    assert await body(await front.http.post(path, headers=key)) == settled
    again = await front.http.post(path)
    assert (again.status_code, again.json()["error"]) == (409, "conflict")
    assert await front.counter.licenses() == 1


async def test_an_order_is_refused_and_money_that_comes_in_full_is_still_a_sale(front: Front) -> None:
    order = await front.counter.buy()
    assert (await body(await act(front, order, "refuse")))["status"] == "invalid"
    assert (await act(front, order, "refuse")).status_code == 409
    await front.counter.pay(order)
    assert await front.counter.licenses() == 1


async def test_a_retry_looks_at_the_provider_now(front: Front) -> None:
    order = await front.counter.buy()
    front.counter.deaf = True  # no webhook gets through
    await front.counter.fake.pay(await front.counter.invoice_of(order), rail=Rail.LIGHTNING)
    assert (await body(await act(front, order, "retry")))["status"] == "fulfilled"
    assert (await front.http.post("/v1/admin/orders/KS-AAAAAAAAAA/retry")).status_code == 404


async def test_a_provider_that_does_not_answer_leaves_the_order_as_it_is(front: Front) -> None:
    order = await front.counter.buy()
    front.counter.fake.fail_next("broken", method="GET", path="/invoices")
    assert (await body(await act(front, order, "retry")))["status"] == "awaiting"


async def test_what_needs_attention_is_listed_and_settled(front: Front) -> None:
    async with front.shop.work(TESTER) as work:
        for subject in ("a", "b", "c"):
            await work.attend("order_review", subject, f"Look at {subject}.")
    first = await body(await front.http.get("/v1/admin/attention?limit=2"))
    assert [call["subject"] for call in first["attention"]] == ["c", "b"]
    rest = await body(await front.http.get(f"/v1/admin/attention?cursor={first['next_cursor']}"))
    assert ([call["subject"] for call in rest["attention"]], rest["next_cursor"]) == (["a"], None)
    number = first["attention"][0]["id"]
    settled = await body(await front.http.post(f"/v1/admin/attention/{number}/settle"))
    assert (settled["subject"], settled["settled_at"]) == ("c", f"{front.counter.now:%Y-%m-%dT%H:%M:%SZ}")
    everything = await body(await front.http.get("/v1/admin/attention?include_settled=true"))
    assert [call["subject"] for call in everything["attention"]] == ["b", "a", "c"]
    assert len((await body(await front.http.get("/v1/admin/attention")))["attention"]) == 2
    for number, status in ((4711, 404), (2**70, 404), ("first", 404)):
        assert (await front.http.post(f"/v1/admin/attention/{number}/settle")).status_code == status
    by_kind = await body(await front.http.get("/v1/admin/attention?kind=order_review&subject=a"))
    assert [call["subject"] for call in by_kind["attention"]] == ["a"]
    assert (await body(await front.http.get("/v1/admin/attention?kind=order_unpaid")))["attention"] == []
    assert (await front.http.get("/v1/admin/attention?state=open")).status_code == 400


async def test_strangers_learn_and_do_nothing(front: Front) -> None:
    order = await front.counter.buy()
    del front.http.headers["Authorization"]
    for method, path in (
        ("GET", "/v1/admin/orders"),
        ("GET", f"/v1/admin/orders/{order.invoice_id}"),
        ("POST", f"/v1/admin/orders/{order.invoice_id}/settle"),
        ("POST", f"/v1/admin/orders/{order.invoice_id}/refuse"),
        ("POST", f"/v1/admin/orders/{order.invoice_id}/retry"),
        ("GET", "/v1/admin/attention"),
        ("POST", "/v1/admin/attention/1/settle"),
    ):
        assert (await front.http.request(method, path)).status_code == 401, path
    assert await front.counter.licenses() == 0


@pytest.mark.once
async def test_who_may_not_see_keys_is_not_shown_what_opens_them(front: Front) -> None:
    order = await front.bought()
    shown: dict[str, set[str | None]] = {}
    for role in (Role.READ_ONLY, Role.SUPPORT):
        headers = await a_key(front.shop, role)
        listed = await front.http.get("/v1/admin/orders", headers=headers)
        one = await front.http.get(f"/v1/admin/orders/{order.support_reference}", headers=headers)
        shown[role] = {found["invoice_id"] for found in (*listed.json()["orders"], one.json())}
    assert shown == {Role.READ_ONLY: {None}, Role.SUPPORT: {order.invoice_id}}
