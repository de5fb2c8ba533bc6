"""What is kept about a customer can be had, and forgotten: after that no cell of the database tells who it was."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from keysat.checkout.tables import Order
from keysat.customers.tables import Customer
from keysat.infra.chain import verify
from keysat.infra.seals import seal
from keysat.infra.store import Store
from keysat.infra.tables import EventOrigin
from keysat.licenses.tables import License
from keysat.schema import metadata
from keysat.upkeep.doctor import violations
from tests.conftest import TESTER
from tests.stories.conftest import JSON, Story
from tests.stories.test_nothing_leaks import leaks
from tests.web.conftest import ADMIN
from tests.web.selling import open_front

EMAIL, NAME, NOTE = "ann.lovelace@letters.example", "Ann Lovelace", "call me on 555 0123"
STOPS, SUSPENDS, ADDRESS = "my mother is ill", "she wrote in anger", "203.0.113.7"
HOME, CARD, HOST = "https://app.example/thanks?for=lovelace", "cus_lovelace", "anns-laptop"
SECRETS = {
    "e-mail": EMAIL,
    "name": NAME,
    "note": NOTE,
    "cancel reason": STOPS,
    "suspension reason": SUSPENDS,
    "address": ADDRESS,
    "redirect": HOME,
    "card": CARD,
    "host": HOST,
}


@pytest.fixture
async def story(store: Store, tmp_path: Path) -> AsyncGenerator[Story, None]:
    async with open_front(store, tmp_path) as front:
        yield Story(front, front.shop)


async def buys_and_stops(story: Story) -> tuple[str, UUID]:
    """Ann buys a month and stops it; her license is suspended. Returns its key, and who she is."""
    await story.tier("monthly", 2500)
    body = {"product": "app", "policy_slug": "monthly", "buyer_email": EMAIL, "buyer_note": NOTE, "redirect_url": HOME}
    made = await story.front.http.post("/v1/purchase", json=body, headers=JSON | {"Idempotency-Key": "ann"})
    order = await story.order_of(made.json()["invoice_id"])
    asked = await story.front.http.post(f"/v1/admin/customers/{order.customer_id}/erase", headers=ADMIN | JSON)
    assert (asked.status_code, order.support_reference in asked.json()["message"]) == (409, True)
    await story.pay(order)
    key = await story.key(order.invoice_id)
    subscription = await story.subscription()
    asked = await story.front.http.post(f"/v1/admin/customers/{order.customer_id}/erase", headers=ADMIN | JSON)
    assert (asked.status_code, "cancel it first" in asked.json()["message"]) == (409, True)
    await story.post("/v1/recover", invoice_id=order.invoice_id, email=EMAIL)
    await story.post("/v1/machines/activate", key=key, fingerprint="board-4711", hostname=HOST)
    await story.post("/v1/subscriptions/cancel", license_key=key, reason=STOPS)
    await story.admin("POST", f"/licenses/{subscription.license_id}/suspend", reason=SUSPENDS)
    async with story.shop.work(TESTER) as work:
        assert order.customer_id is not None
        (await work.get(Customer, order.customer_id)).name = NAME
        (await work.get(License, subscription.license_id)).note = f"{NAME}, who called"
        await work.session.execute(text("UPDATE payment_attempts SET customer_ref = :card"), {"card": CARD})
    await story.run("seal", "look", "letters")
    return key, order.customer_id


async def written(store: Store) -> list[tuple[str, str]]:
    """Every cell of every table."""
    async with store.read() as read:
        return [
            (f"{table.name}.{column.name}", cell.decode("latin-1") if isinstance(cell, bytes) else str(cell))
            for table in metadata.sorted_tables
            for row in (await read.session.execute(select(table))).all()
            for column, cell in zip(table.columns, row, strict=True)
        ]


async def test_a_customer_is_told_all_and_then_forgotten_while_books_and_keys_stay(story: Story) -> None:
    key, customer_id = await buys_and_stops(story)
    before = {place for _, place in leaks(SECRETS, await written(story.shop.store))}
    assert before >= {"customers.email", "customers.note", "event_origins.address", "payment_attempts.customer_ref"}

    told = await story.admin("GET", f"/customers/{customer_id}/export")
    names = {table: len(rows) for table, rows in told["tables"].items()}
    assert {"customers": 1, "orders": 1, "licenses": 1, "machines": 1, "subscriptions": 1}.items() <= names.items()
    assert leaks(SECRETS, [("told", json.dumps(told))]) == {(name, "told") for name in SECRETS}
    assert not any("hash" in field for rows in told["tables"].values() for row in rows for field in row)

    for _ in range(2):  # a second time does no harm
        erased = await story.admin("POST", f"/customers/{customer_id}/erase")
        assert erased["erased_at"] is not None
    left = leaks(SECRETS, await written(story.shop.store))
    assert {place for name, place in left if name != "address"} == set()
    async with story.shop.read() as read:  # what is left of the address is the operator's own
        assert set(await read.session.scalars(select(EventOrigin.credential))) == {"admin_key"}
        [order] = (await read.session.scalars(select(Order))).all()
        assert (order.customer_id, order.listed_value, order.status) == (customer_id, 2500, "fulfilled")
    await seal(story.shop.store, story.now)
    async with story.shop.read() as read:
        assert (await verify(read)).broken_at is None
        assert await violations(read, story.now) == []
    assert (await story.validate(key))["reason"] == "suspended"
    await story.admin("POST", f"/licenses/{order.license_id}/unsuspend")
    assert (await story.validate(key))["ok"] is True
    answers: Any = (await story.post("/v1/purchase", product="app", policy_slug="monthly", buyer_email=EMAIL)).json()
    assert (await story.order_of(answers["invoice_id"])).customer_id != customer_id
