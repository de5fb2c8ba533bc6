"""The doors without a server: HTTP straight into the ASGI app, with a real database behind it."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar import Litestar
from litestar.types import ASGIApp, ControllerRouterHandler

from keysat.infra.house import Mode
from keysat.infra.http import HttpClient
from keysat.infra.mail import Mailer
from keysat.infra.settings import load
from keysat.infra.store import Store
from keysat.infra.telemetry import Telemetry
from keysat.infra.vault import Vault
from keysat.kit.ids import SeededChance
from keysat.licenses.issuers import create_first
from keysat.licenses.ring import Ring
from keysat.payments.rates.board import RateBoard
from keysat.payments.tills import Tills
from keysat.upkeep.shop import Shop
from keysat.web.api.watching import Jobs
from keysat.web.app import litestar
from keysat.web.entry import entry
from keysat.web.openapi import document as described
from keysat.web.routes import HOT_ROADS
from keysat.web.throttle import Throttle
from tests.conftest import NOON, TESTER
from tests.fakes.names import look_up

ADMIN_KEY = "the-admin-key-of-the-tests-0123456789"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}

Client = AbstractAsyncContextManager[httpx.AsyncClient]
Doors = Callable[..., Client]


@dataclass
class Watch:
    """A clock that stands still until the test moves it."""

    moment: datetime = NOON

    def now(self) -> datetime:
        return self.moment

    def pass_by(self, **time: float) -> None:
        self.moment += timedelta(**time)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def shop(store: Store, watch: Watch, tmp_path: Path) -> AsyncGenerator[Shop, None]:
    """A live shop with an issuer key and nothing to sell."""
    chance = SeededChance(2)
    vault = Vault(chance.bytes(32), chance)
    http = HttpClient(transport=httpx.MockTransport(lambda _: httpx.Response(503)))
    board = RateBoard(http, watch, chance)
    async with store.work(watch.now(), TESTER) as work:
        await create_first(work, vault)
    yield Shop(
        settings=load({"KEYSAT_ADMIN_API_KEY": ADMIN_KEY, "KEYSAT_PUBLIC_URL": "https://shop.test"}, data_dir=tmp_path),
        mode=Mode.LIVE,
        clock=watch,
        chance=chance,
        store=store,
        telemetry=Telemetry(f"sqlite+aiosqlite:///{tmp_path / 'telemetry.db'}"),
        vault=vault,
        ring=await Ring.open(store, vault),
        http=http,
        mailer=Mailer(None, None),
        board=board,
        tills=Tills(store, vault, http),
        look_up=look_up,
    )
    await board.aclose()
    await http.aclose()


@pytest.fixture
def sandbox(shop: Shop) -> Shop:
    return replace(shop, mode=Mode.SANDBOX)


@asynccontextmanager
async def browse(app: ASGIApp, peer: str = "203.0.113.7") -> AsyncGenerator[httpx.AsyncClient, None]:
    transport = httpx.ASGITransport(app=app, client=(peer, 40_000))  # pyright: ignore[reportArgumentType]
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.test") as client:
        yield client


@cache
def bare(*handlers: ControllerRouterHandler) -> Litestar:
    """The program's own routes, and a file's beside them, for all its tests: it holds no shop, and takes 300 ms."""
    app = litestar()
    for handler in handlers:
        app.register(handler)
    return app


def doors_of(shop: Shop, *handlers: ControllerRouterHandler, jobs: Jobs | None = None) -> ASGIApp:
    """The app as it is served, with a test's own handlers beside the others."""
    app = bare(*handlers) if jobs is None else litestar(jobs=jobs)
    return entry(app, shop, Throttle(), HOT_ROADS)


def read_document() -> dict[str, Any]:
    """What is told of all operations, as a program reads it: the reader's own, since some write in theirs."""
    return json.loads(msgspec.json.encode(described(bare())))


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    return read_document()


@pytest.fixture
async def client(shop: Shop) -> AsyncGenerator[httpx.AsyncClient, None]:
    async with browse(doors_of(shop)) as client:
        yield client
