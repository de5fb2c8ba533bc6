"""A seller with one product and an issuer key, who sells licenses and answers their apps."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select

from keysat.infra.errand import Errand
from keysat.infra.store import Store
from keysat.infra.tables import EventRow
from keysat.infra.telemetry import Telemetry
from keysat.infra.vault import Vault
from keysat.kit.ids import SeededChance
from keysat.licenses import machines
from keysat.licenses.invariants import broken
from keysat.licenses.issue import Terms, issue, key_text
from keysat.licenses.issuers import create_first
from keysat.licenses.ring import Ring, present
from keysat.licenses.seats import seen_writer
from keysat.licenses.tables import License, Machine
from keysat.licenses.validate import Answer, validate
from tests.catalog.shelf import a_product
from tests.conftest import NOON, TESTER


class Seller:
    def __init__(self, store: Store, telemetry_url: str) -> None:
        self.store = store
        self.vault = Vault(bytes(32), SeededChance(2))
        self.ring = Ring(store, self.vault)
        self.telemetry = Telemetry(telemetry_url, seen_writer(store))
        self.product_id = UUID(int=0)

    async def open(self) -> None:
        self.product_id = (await a_product(self.store, "app")).id
        async with self.store.work(NOON, TESTER) as work:
            await create_first(work, self.vault)
        await self.ring.refresh()

    async def sell(self, now: datetime = NOON, product_id: UUID | None = None, **terms: Any) -> License:
        async with self.store.work(now, TESTER) as work:
            wanted = Terms(product_id or self.product_id, None, **terms)
            return await issue(work, wanted, order_id=None, customer_id=None, source="manual")

    async def key(self, license_id: UUID) -> str:
        async with self.store.read() as read:
            return await key_text(read, await read.get(License, license_id), self.ring)

    async def license(self, license_id: UUID) -> License:
        async with self.store.read() as read:
            return await read.get(License, license_id)

    async def change(self, license_id: UUID, **values: Any) -> None:
        """What an operator's edit does, as far as these tests need it."""
        async with self.store.work(NOON, TESTER) as work:
            row = await work.get(License, license_id)
            for name, value in values.items():
                setattr(row, name, value)

    async def validate(self, key: str, now: datetime = NOON, **fields: Any) -> Answer:
        presented = await present(self.ring, key, now)
        return await validate(Errand(self.store, now, TESTER), self.telemetry, presented, **fields)

    async def wire(self, key: str, now: datetime = NOON, **fields: Any) -> dict[str, Any]:
        """The answer as an app reads it."""
        return msgspec.json.decode(msgspec.json.encode(await self.validate(key, now, **fields)))

    async def activate(self, key: str, fingerprint: str, now: datetime = NOON, **fields: Any) -> machines.Activation:
        presented = await present(self.ring, key, now)
        errand = Errand(self.store, now, TESTER)
        return await machines.activate(errand, self.telemetry, presented, fingerprint, **fields)

    async def heartbeat(self, key: str, fingerprint: str, now: datetime = NOON) -> machines.Heartbeat:
        presented = await present(self.ring, key, now)
        return await machines.heartbeat(Errand(self.store, now, TESTER), self.telemetry, presented, fingerprint)

    async def deactivate(
        self, key: str, fingerprint: str, now: datetime = NOON, reason: str | None = None
    ) -> machines.Deactivation:
        presented = await present(self.ring, key, now)
        return await machines.deactivate(Errand(self.store, now, TESTER), presented, fingerprint, reason=reason)

    async def machines(self, license_id: UUID) -> list[Machine]:
        """Those that have a seat."""
        active = Machine.license_id == license_id, Machine.deactivated_at.is_(None)
        async with self.store.read() as read:
            return list(await read.session.scalars(select(Machine).where(*active).order_by(Machine.activated_at)))

    async def events(self, prefix: str) -> list[tuple[str, dict[str, Any]]]:
        async with self.store.read() as read:
            rows = await read.session.scalars(
                select(EventRow).where(EventRow.name.startswith(prefix)).order_by(EventRow.id)
            )
            return [(row.name, msgspec.json.decode(row.body)) for row in rows]

    async def broken(self) -> list[str]:
        async with self.store.read() as read:
            return await broken(read, NOON)

    async def close(self) -> None:
        await self.telemetry.close()
