"""Renewals: subscriptions that are due all at once, worked off by `keysat job renew` in one process or in several."""

import asyncio
import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import httpx
from sqlalchemy import func, select

from keysat.catalog.policies import NewPolicy
from keysat.catalog.policies import create as create_policy
from keysat.catalog.products import NewProduct
from keysat.catalog.products import create as create_product
from keysat.checkout.operate import gift, give
from keysat.checkout.tables import Order, OrderStatus, Purpose
from keysat.infra.house import Mode
from keysat.infra.settings import load
from keysat.infra.store import Store
from keysat.infra.tables import EventRow
from keysat.kit.clock import SystemClock
from keysat.kit.ids import SystemChance
from keysat.payments.rates.pins import set_pin
from keysat.payments.tables import Attempt
from keysat.subscriptions.tables import Cycle, Subscription
from keysat.upkeep.offset import put_forward
from keysat.upkeep.opening import Founding, open_shop
from tests.bench.seed import PRODUCT, SEEDER
from tests.fakes.btcpay import API_KEY, STORE
from tests.postgres import Cluster, find_postgres
from tests.running import ADMIN_KEY, Program, free_port, keysat, running, surroundings

TIER = "monthly"
LATER = timedelta(days=28)
"""So long after all have begun a month of 30 days, their next order is due: its lead is 3 days."""

GIVEN_AT_ONCE = 50
GIVE_UP_SECONDS = 900


@dataclass(frozen=True)
class Due:
    """A shop whose subscriptions are all due; its wallet runs."""

    folder: Path
    environ: dict[str, str]
    wallet_url: str
    count: int
    probes: frozenset[str]
    """Invoices that connecting has opened."""

    @property
    def database_url(self) -> str:
        return load(self.environ).database_url


@contextmanager
def all_due(folder: Path, count: int, database_url: str | None = None) -> Generator[Due, None, None]:
    """`database_url` None: SQLite in the folder."""
    port = free_port()
    settings = {
        "KEYSAT_DATA_DIR": str(folder / "shop"),
        "KEYSAT_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "KEYSAT_ADMIN_API_KEY": ADMIN_KEY,
        "KEYSAT_LOG_LEVEL": "warning",
    }
    if database_url is not None:
        settings["KEYSAT_DATABASE_URL"] = database_url
    environ = surroundings(**settings)
    wallet_port = free_port()
    wallet_url = f"http://127.0.0.1:{wallet_port}"
    wallet = Program("tests.bench.lean_btcpay", "--port", str(wallet_port), log=folder / "wallet.log")
    asyncio.run(_found(settings, count))
    with running(wallet, f"{wallet_url}/api/v1/health"):
        account = ("--url", wallet_url, "--api-key", API_KEY, "--store", STORE)
        keysat(folder / "shop", "provider", "connect", "btcpay", *account, environ=environ)
        put_forward(folder / "shop", LATER)
        yield Due(folder, environ, wallet_url, count, asyncio.run(_invoices(wallet_url)))


async def _invoices(wallet_url: str) -> frozenset[str]:
    async with httpx.AsyncClient(base_url=wallet_url, timeout=60, trust_env=False) as wallet:
        state = (await wallet.post("/_control/state")).json()["result"]
    return frozenset(invoice["id"] for invoice in state["invoices"])


async def _found(settings: dict[str, str], count: int) -> None:
    async with open_shop(
        load(settings), clock=SystemClock(), chance=SystemChance(), founding=Founding(Mode.SANDBOX, print)
    ) as shop:
        async with shop.work(SEEDER) as work:
            await set_pin(work, "USD", Decimal(50_000))
            product = NewProduct(slug=PRODUCT, name="Aurora", price_currency="USD", price_value=1200)
            await create_product(work, product)
            tier = NewPolicy(product_slug=PRODUCT, slug=TIER, name="Monthly", is_recurring=True, renewal_period_days=30)
            await create_policy(work, tier)
        for begun in range(0, count, GIVEN_AT_ONCE):
            async with shop.work(SEEDER) as work:
                present = await gift(work, PRODUCT, TIER)
                for _ in range(min(GIVEN_AT_ONCE, count - begun)):
                    await give(work, present)


def work_off(due: Due, daemons: int) -> float:
    """Seconds from the first order that was opened to the last."""
    programs = [
        Program("keysat", "job", "renew", log=due.folder / f"daemon{number}.log", environ=due.environ)
        for number in range(daemons)
    ]
    for program in programs:
        program.start()
    seconds = asyncio.run(_until_opened(due))
    for program in programs:
        _await_end(program)
    return seconds


async def _until_opened(due: Due) -> float:
    store, began, first, opened = Store(due.database_url), time.perf_counter(), None, 0
    try:
        while time.perf_counter() - began < GIVE_UP_SECONDS:
            async with store.read() as read:
                opened = await read.session.scalar(select(func.count()).where(Cycle.opened_at.is_not(None))) or 0
            now = time.perf_counter()
            if opened and first is None:
                first = now
            if opened >= due.count:
                return now - (first or now)
            await asyncio.sleep(0.05)
    finally:
        await store.close()
    raise AssertionError(f"{opened} of {due.count} orders were opened in {GIVE_UP_SECONDS} s")


def _await_end(program: Program) -> None:
    until = time.perf_counter() + GIVE_UP_SECONDS
    while (ended := program.ended()) is None:
        assert time.perf_counter() < until, "the job does not end"
        time.sleep(0.05)
    assert ended == 0, program.output()[-3000:]


async def faults(due: Due) -> Sequence[str]:
    """Whatever is not exactly once: an order, an invoice here and there, a cycle, an event for each subscription."""
    store = Store(due.database_url)
    try:
        async with store.read() as read:
            ids = {str(one) for one in await read.session.scalars(select(Subscription.id))}
            cycles = Counter(await read.session.scalars(select(Cycle.number).where(Cycle.paid_at.is_(None))))
            orders = Counter(await read.session.scalars(select(Order.status).where(Order.purpose == Purpose.RENEWAL)))
            invoices = [str(one) for one in await read.session.scalars(select(Attempt.provider_invoice_id))]
            pending = EventRow.name == "subscription.renewal_pending"
            told = Counter(await read.session.scalars(select(EventRow.subject).where(pending)))
    finally:
        await store.close()
    theirs = await _invoices(due.wallet_url) - due.probes
    checks = {
        f"subscriptions: {len(ids)}": len(ids) == due.count,
        f"open cycles: {cycles}": cycles == {2: due.count},
        f"renewal orders: {orders}": orders == {OrderStatus.AWAITING: due.count},
        f"invoices: {len(invoices)} here, {len(theirs)} there": len(invoices) == due.count
        and frozenset(invoices) == theirs,
        f"told: {told.total()} times of {len(told)}": told == Counter(ids),
    }
    return [words for words, holds in checks.items() if not holds]


def per_second(folder: Path, count: int, daemons: int, database_url: str | None = None) -> float:
    folder.mkdir(parents=True, exist_ok=True)
    with all_due(folder, count, database_url) as due:
        seconds = work_off(due, daemons)
        wrong = asyncio.run(faults(due))
    assert not wrong, wrong
    return count / seconds


def two_daemons(folder: Path, count: int) -> float | None:
    """On PostgreSQL. None: its server is not installed here."""
    binaries = find_postgres()
    if binaries is None:
        return None
    cluster = Cluster(binaries)
    cluster.start()
    try:
        with cluster.empty_database() as url:
            return per_second(folder, count, 2, with_host(url))
    finally:
        cluster.stop()


def with_host(url: str) -> str:
    """A setting names a host, even where a socket is what counts."""
    return url.replace("@/", "@localhost/")
