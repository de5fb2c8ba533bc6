"""The naive way to validate: the async ORM, rows as objects, a log row, and a commit for each request.

    python -m tests.bench.naive --database FILE --public-key HEX --port N

It answers what `/v1/validate` answers to the bench's requests and does the same work. It stands beside the real one so
that the ratio of the two is worth something on a noisy machine.
"""

import argparse
import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from uuid import UUID

import uvicorn
from litestar import Litestar, get, post
from litestar.params import JSONBody
from msgspec import UNSET
from nacl.signing import VerifyKey
from sqlalchemy import event, select
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from keysat.catalog.tables import Product
from keysat.daemon import loop_factory
from keysat.infra.tables import UtcDateTime
from keysat.kit.clock import SystemClock
from keysat.kit.licensekey import fingerprint_hash, parse
from keysat.licenses.tables import License, LicenseStatus, Machine
from keysat.licenses.validate import Answer
from keysat.web.api.licenses import ValidateBody


class Base(DeclarativeBase):
    type_annotation_map = {datetime: UtcDateTime}  # noqa: RUF012


class Log(Base):
    __tablename__ = "naive_validations"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    license_id: Mapped[UUID]
    at: Mapped[datetime]
    outcome: Mapped[str]


def engine_of(path: str) -> AsyncEngine:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")

    def tune(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # pyright: ignore[reportAttributeAccessIssue]
        for pragma in ("journal_mode=WAL", "foreign_keys=ON", "busy_timeout=30000", "synchronous=FULL"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(engine.sync_engine, "connect", tune)
    return engine


def app_of(engine: AsyncEngine, key: VerifyKey) -> Litestar:
    maker, clock, turn = async_sessionmaker(engine, expire_on_commit=False), SystemClock(), asyncio.Lock()

    @post("/v1/validate", status_code=200)
    async def validate(data: JSONBody[ValidateBody]) -> Answer:
        signed, now = parse(data.key), clock.now()
        key.verify(signed.payload_bytes, signed.signature)
        hashed = fingerprint_hash(data.fingerprint or "").hex()
        async with turn, maker() as session:  # SQLite has one writer: without a turn they only wait inside the file
            license = await session.get_one(License, signed.payload.license_id)
            product = await session.get_one(Product, license.product_id)
            is_good = license.status == LicenseStatus.ACTIVE and product.slug == data.product_slug
            machines = await session.scalars(
                select(Machine).where(Machine.license_id == license.id, Machine.fingerprint_hash == hashed)
            )
            machine = machines.one()
            machine.last_seen_at = now
            session.add(Log(license_id=license.id, at=now, outcome="ok"))
            await session.commit()
        return Answer(
            ok=is_good,
            license_id=license.id,
            product_id=license.product_id,
            product_slug=product.slug,
            issued_at=license.issued_at,
            expires_at=license.expires_at or UNSET,
            entitlements=license.entitlements or UNSET,
            status=license.status.value,
            machine_id=machine.id,
            max_machines=license.max_machines,
        )

    @get("/healthz")
    async def healthz() -> None: ...

    @asynccontextmanager
    async def opened(_app: Litestar) -> AsyncGenerator[None, None]:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        yield
        await engine.dispose()

    return Litestar([validate, healthz], lifespan=[opened], openapi_config=None, logging_config=None)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--database", required=True)
    parser.add_argument("--public-key", required=True)
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    app = app_of(engine_of(given.database), VerifyKey(bytes.fromhex(given.public_key)))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", ws="none"))
    with socket.create_server(("127.0.0.1", given.port)) as door, asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(server.serve(sockets=[door]))


if __name__ == "__main__":
    main()
