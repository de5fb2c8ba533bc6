"""A shop that tells the world: events are recorded as verbs do, and the job runs on a clock that a test moves."""

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from keysat.infra.public_http import LOOPBACK
from keysat.infra.seals import seal
from keysat.infra.store import Store
from keysat.infra.tables import AttentionRow, EventRow
from keysat.infra.vault import Vault
from keysat.kit.ids import SeededChance
from keysat.licenses.happenings import LicenseKeyReplaced, LicenseSuspended
from keysat.webhooks.attempt import Exchange
from keysat.webhooks.deliver import work_off
from keysat.webhooks.endpoints import NewEndpoint, Shown, create, endpoints
from keysat.webhooks.health import EndpointHealth, health_of
from keysat.webhooks.invariants import broken
from keysat.webhooks.tables import Delivery, Endpoint
from tests.conftest import NOON, TESTER
from tests.fakes.names import look_up


def license_id(number: int) -> UUID:
    return UUID(int=number)


@dataclass
class Teller:
    store: Store
    moment: datetime = NOON
    vault: Vault = field(default_factory=lambda: Vault(bytes(32), SeededChance(2)))
    is_sandbox: bool = False

    def now(self) -> datetime:
        return self.moment

    def pass_by(self, **time: float) -> None:
        self.moment += timedelta(**time)

    @property
    def exchange(self) -> Exchange:
        return Exchange(self.store, self.vault, self, LOOPBACK, look_up, self.is_sandbox)

    async def endpoint(self, url: str, **fields: Any) -> Shown:
        async with self.store.work(self.now(), TESTER) as work:
            return await create(work, self.vault, NewEndpoint(url=url, **fields))

    async def happen(self, *licenses: int) -> None:
        """One thing, to each of these licenses."""
        async with self.store.work(self.now(), TESTER) as work:
            for number in licenses:
                work.record(LicenseSuspended(license_id(number)))
        await seal(self.store, self.now())

    async def happen_otherwise(self, *licenses: int) -> None:
        async with self.store.work(self.now(), TESTER) as work:
            for number in licenses:
                work.record(LicenseKeyReplaced(license_id(number), self.now()))
        await seal(self.store, self.now())

    async def run(self) -> int:
        return await work_off(self.exchange)

    async def travel(self, **span: float) -> None:
        """Let time pass; the job runs whenever something is due."""
        until = self.now() + timedelta(**span)
        await self.run()
        while (due := await self.next_due()) is not None and due <= until:
            self.moment = max(due, self.now())
            await self.run()
        self.moment = until

    async def next_due(self) -> datetime | None:
        async with self.store.read() as read:
            return await read.session.scalar(select(func.min(Endpoint.due_at)).where(Endpoint.active))

    async def deliveries(self) -> list[Delivery]:
        async with self.store.read() as read:
            return list(await read.session.scalars(select(Delivery).order_by(Delivery.position, Delivery.created_at)))

    async def statuses(self) -> dict[str, int]:
        return Counter(row.status.value for row in await self.deliveries())

    async def health(self) -> EndpointHealth:
        """Of the only endpoint."""
        async with self.store.read() as read:
            [health] = (await health_of(read, (await endpoints(read)).items)).values()
        return health

    async def events(self, prefix: str = "webhook") -> list[str]:
        async with self.store.read() as read:
            query = select(EventRow.name).where(EventRow.name.startswith(prefix)).order_by(EventRow.id)
            return list(await read.session.scalars(query))

    async def calls(self) -> list[str]:
        async with self.store.read() as read:
            query = select(AttentionRow.reason).where(AttentionRow.settled_at.is_(None))
            return list(await read.session.scalars(query))


@asynccontextmanager
async def telling(store: Store, **fields: Any) -> AsyncGenerator[Teller, None]:
    teller = Teller(store, **fields)
    yield teller
    async with store.read() as read:
        assert await broken(read, teller.now()) == []


@pytest.fixture
async def teller(store: Store) -> AsyncGenerator[Teller, None]:
    """Ends with the doctor of this slice."""
    async with telling(store) as teller:
        yield teller
