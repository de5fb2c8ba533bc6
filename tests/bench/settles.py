"""Settling: end to end, from the webhook to the license, and the transaction alone."""

import asyncio
import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select

from keysat.checkout.settle import settle
from keysat.checkout.tables import Order, OrderStatus, PaidHow
from keysat.infra.store import Store
from keysat.kit.clock import SystemClock
from keysat.kit.ids import SystemChance
from keysat.upkeep.opening import open_shop
from tests.bench.seed import PRODUCT, SEEDER, environ_of, settings_of
from tests.fakes.btcpay import API_KEY, STORE
from tests.fakes.btcpay_hooks import sign
from tests.running import Program, free_port, keysat, running, surroundings

CODE = "BENCH"
ORDERS = 400  # for each of the two
AT_ONCE = 64
OPENED_AT_ONCE = 8
GIVE_UP_SECONDS = 120


@contextmanager
def selling(folder: Path) -> Generator[tuple[Program, int, int], None, None]:
    """The daemon of a shop as `seed.found` leaves it, with a wallet, a rate and a code; its port and the wallet's."""
    port, wallet_port = free_port(), free_port()
    environ = surroundings(**environ_of(folder, port))
    wallet = Program("tests.bench.lean_btcpay", "--port", str(wallet_port), log=folder / "wallet.log")
    daemon = Program("keysat", "serve", log=folder / "daemon.log", environ=environ)
    with running(wallet, f"http://127.0.0.1:{wallet_port}/api/v1/health"):
        keysat(folder, "rate", "pin", "USD", "50000", environ=environ)
        account = ("--url", f"http://127.0.0.1:{wallet_port}", "--api-key", API_KEY, "--store", STORE)
        keysat(folder, "provider", "connect", "btcpay", *account, environ=environ)
        keysat(folder, "code", "create", CODE, "--percent", "20", environ=environ)
        with running(daemon, f"http://127.0.0.1:{port}/healthz"):
            yield daemon, port, wallet_port


async def measure(folder: Path) -> tuple[float, float]:
    """Settles a second: end to end, and the transaction alone. `folder` holds a shop as `seed.found` leaves it."""
    with selling(folder) as (_, port, wallet_port):
        end_to_end = await _end_to_end(folder, port, wallet_port)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as shop:
            await _open(shop)
    return end_to_end, await _alone(folder)


async def _end_to_end(folder: Path, port: int, wallet_port: int) -> float:
    limits = httpx.Limits(max_connections=AT_ONCE)
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False, limits=limits) as shop,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{wallet_port}", timeout=60, trust_env=False) as wallet,
    ):
        invoices = await _open(shop)
        await wallet.post("/_control/settle_all")
        hook = (await wallet.post("/_control/hook")).json()["result"]
        messages = [_message(hook, invoice_id, number) for number, invoice_id in enumerate(invoices)]
        store = Store(settings_of(folder, port).database_url)
        began = time.perf_counter()
        sending = asyncio.gather(*(shop.post(hook["url"], content=body, headers=head) for body, head in messages))
        while await _fulfilled(store) < ORDERS:
            assert time.perf_counter() - began < GIVE_UP_SECONDS, "the orders were not settled in time"
            await asyncio.sleep(0.05)
        took = time.perf_counter() - began
        assert {answer.status_code for answer in await sending} == {200}
        await store.close()
    return ORDERS / took


async def _open(shop: httpx.AsyncClient) -> list[str]:
    """BTCPay's ids of new orders."""
    free = asyncio.Semaphore(OPENED_AT_ONCE)

    async def buy() -> str:
        async with free:
            answer = await shop.post("/v1/purchase", json={"product": PRODUCT, "policy_slug": "pro"})
            return answer.raise_for_status().json()["btcpay_invoice_id"]

    return await asyncio.gather(*(buy() for _ in range(ORDERS)))


def _message(hook: dict[str, str], invoice_id: str, number: int) -> tuple[bytes, dict[str, str]]:
    said: dict[str, Any] = {"deliveryId": f"bench{number}", "webhookId": hook["id"], "type": "InvoiceSettled"}
    said |= {"originalDeliveryId": f"bench{number}", "isRedelivery": False, "timestamp": 1}
    body = json.dumps(said | {"storeId": STORE, "invoiceId": invoice_id}).encode()
    return body, {"Content-Type": "application/json", "BTCPay-Sig": sign(hook["secret"], body)}


async def _fulfilled(store: Store) -> int:
    async with store.read() as read:
        count = await read.session.scalar(select(func.count()).where(Order.status == OrderStatus.FULFILLED))
        return count or 0


async def _alone(folder: Path) -> float:
    """The transaction as `collect` runs it, without the look before it."""
    async with open_shop(settings_of(folder, 1), clock=SystemClock(), chance=SystemChance()) as shop:
        async with shop.read() as read:
            waiting = (await read.session.scalars(select(Order.id).where(Order.status == OrderStatus.AWAITING))).all()
        free = asyncio.Semaphore(AT_ONCE)

        async def one(order_id: Any) -> None:
            async with free, shop.work(SEEDER) as work:
                await settle(work, await work.hold(Order, order_id), how=PaidHow.BY_OPERATOR)

        began = time.perf_counter()
        await asyncio.gather(*(one(order_id) for order_id in waiting))
        return len(waiting) / (time.perf_counter() - began)
