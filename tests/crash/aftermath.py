"""After the storm: wait until all that was paid is settled, and count what was made of it."""

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import httpx
from sqlalchemy import select

from keysat.checkout.tables import Order, OrderStatus
from keysat.infra.store import Store
from keysat.infra.tables import EventRow
from keysat.kit.clock import SystemClock
from keysat.licenses.tables import License
from keysat.payments.tables import Attempt
from tests.conftest import TESTER
from tests.crash.stage import Stage
from tests.crash.storm import Story

UNAIDED_SECONDS = 5
SETTLE_SECONDS = 240
SKIPPED = timedelta(minutes=10)
SEALED_AFTER_SECONDS = 6


@dataclass(frozen=True)
class Books:
    """What the database holds."""

    attempts: dict[str, Attempt]  # by what the provider echoes
    orders: dict[Any, Order]
    licenses: Counter[Any]  # how many by order
    issued: Counter[str]  # `license.issued` events by order


async def read_books(store: Store) -> Books:
    async with store.read() as read:
        attempts = (await read.session.scalars(select(Attempt))).all()
        orders = (await read.session.scalars(select(Order))).all()
        licenses = (await read.session.scalars(select(License.order_id))).all()
        events = await read.session.scalars(select(EventRow.body).where(EventRow.name == "license.issued"))
        issued = Counter(str(json.loads(body)["order_id"]) for body in events)
    return Books(
        {attempt.echo: attempt for attempt in attempts},
        {order.id: order for order in orders},
        Counter(licenses),
        issued,
    )


def paid_orders(books: Books, state: dict[str, Any]) -> list[Order]:
    """The order of every invoice that BTCPay calls settled. Raises KeyError for an invoice that nobody knows."""
    paid = [invoice["metadata"]["orderId"] for invoice in state["invoices"] if invoice["status"] == "Settled"]
    return [books.orders[books.attempts[echo].order_id] for echo in paid]


async def settled(store: Store, state: dict[str, Any], seconds: float) -> list[Order]:
    """Waits until every paid order is fulfilled, but no longer than that. Answers those that are not."""
    until = time.monotonic() + seconds
    while True:
        late = [order for order in paid_orders(await read_books(store), state) if order.status != OrderStatus.FULFILLED]
        if not late or time.monotonic() > until:
            return late
        await asyncio.sleep(0.5)


async def skip_time(store: Store) -> None:
    """Ten minutes pass for the orders. A running process's clock cannot be moved, so what is stored moves instead:
    leases of the dead run out, and looks that were planned are due.
    """
    async with store.work(SystemClock().now(), TESTER) as work:
        for order in await work.session.scalars(select(Order)):
            order.leased_until = order.leased_until - SKIPPED if order.leased_until else None
            order.next_look_at = order.next_look_at - SKIPPED if order.next_look_at else None


async def check(stage: Stage, state: dict[str, Any], story: Story, shop: httpx.AsyncClient) -> list[str]:
    """What is wrong, a line each."""
    store = Store(stage.database_url)
    try:
        books = await read_books(store)
    finally:
        await store.close()
    wrong = [*story.errors, *cast("list[str]", state["violations"])]
    paid = {order.id for order in paid_orders(books, state)}
    for order_id in paid:
        order = books.orders[order_id]
        told = f"order {order.support_reference} ({order.status})"
        if books.licenses[order_id] != 1:
            wrong.append(f"{told} is paid and has {books.licenses[order_id]} licenses")
        if books.issued[str(order_id)] != 1:
            wrong.append(f"{told} is paid and has {books.issued[str(order_id)]} license.issued events")
    wrong += [
        f"a license for order {order_id}, which nobody paid" for order_id in books.licenses if order_id not in paid
    ]
    for ours, key in story.keys.items():
        answer = (await shop.post("/v1/validate", json={"key": key})).json()
        if not answer["ok"]:
            wrong.append(f"the key that the buyer of {ours} has seen is answered {answer}")
    return wrong
