"""A shop that sells: the doors in front of checkout's counter, with BTCPay's specification-checked fake behind it."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from keysat.checkout.tables import Order
from keysat.infra.house import Mode
from keysat.infra.mail import Mailer
from keysat.infra.settings import load
from keysat.infra.store import Store
from keysat.infra.telemetry import Telemetry
from keysat.upkeep.shop import Shop
from keysat.upkeep.vendor import Vendor
from tests.checkout.counter import PUBLIC_URL, Counter, open_counter
from tests.fakes.names import look_up
from tests.web.conftest import ADMIN_KEY, BROWSER, browse, doors_of

FORM = {"Origin": PUBLIC_URL}
KNOWN = re.compile(r'name="known" value="([^"]*)"')
"""The money that a page tells of, beside its button to pay."""


@dataclass
class Front:
    """A browser before the doors. Product `app` has the tier `pro` at $75.00, which is 150,000 sats."""

    counter: Counter
    shop: Shop
    http: httpx.AsyncClient

    async def order(self) -> Order:
        """The newest one."""
        async with self.shop.read() as read:
            return (
                await read.session.scalars(select(Order).order_by(Order.created_at.desc(), Order.id.desc()))
            ).first() or _none()

    async def orders(self) -> int:
        async with self.shop.read() as read:
            return len((await read.session.scalars(select(Order.id))).all())

    async def buy(self, choice: str = "pro", **fields: str) -> httpx.Response:
        return await self.http.post("/buy/app", data={"choice": choice, **fields}, headers=FORM)

    async def bought(self, choice: str = "pro") -> Order:
        answer = await self.buy(choice)
        assert answer.status_code == 303, answer.text
        return await self.order()

    async def pay(self, link: str) -> httpx.Response:
        """The button of a page to pay, by who has read what stands beside it."""
        known = KNOWN.findall((await self.http.get(link)).text)
        return await self.http.post(link, data={"known": " ".join(known)}, headers={"Origin": "null"})

    async def thanks(self, order: Order) -> httpx.Response:
        return await self.http.get("/thank-you", params={"invoice_id": order.invoice_id})


def _none() -> Order:
    raise AssertionError("there is no order")


@asynccontextmanager
async def open_front(
    store: Store, folder: Path, mode: Mode = Mode.LIVE, contact: str = "", vendor: Vendor | None = None
) -> AsyncGenerator[Front, None]:
    async with open_counter(store) as counter:
        shop = Shop(
            settings=load(
                {
                    "KEYSAT_ADMIN_API_KEY": ADMIN_KEY,
                    "KEYSAT_PUBLIC_URL": PUBLIC_URL,
                    "KEYSAT_OPERATOR_NAME": "Ada & Sons",
                    "KEYSAT_OPERATOR_CONTACT": contact,
                },
                data_dir=folder,
            ),
            mode=mode,
            clock=counter.clock,
            chance=store.chance,
            store=store,
            telemetry=Telemetry(f"sqlite+aiosqlite:///{folder / 'telemetry.db'}"),
            vault=counter.vault,
            ring=counter.ring,
            http=counter.http,
            mailer=Mailer(None, None),
            board=counter.board,
            tills=counter.tills,
            look_up=look_up,
            vendor=vendor,
        )
        async with browse(doors_of(shop)) as client:
            client.base_url = httpx.URL(PUBLIC_URL)
            client.headers.update(BROWSER)
            yield Front(counter, shop, client)


@pytest.fixture
async def front(store: Store, tmp_path: Path) -> AsyncGenerator[Front, None]:
    async with open_front(store, tmp_path) as front:
        yield front
