"""The story of `keysat/web/examples`, played in a shop: every operation is called with its own example.

Ids, keys and the like are other ones in each shop. The first answer that tells one tells how it is called here, and the
later steps ask with that. Run as a program (`make openapi`) it writes the answers, and docs/openapi.json, anew.
"""

import hashlib
import hmac
import json
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import anyio
import httpx
import msgspec
from msgspec import UNSET
from msgspec.structs import replace
from sqlalchemy import create_engine, select

from keysat.checkout.operate import gift, give
from keysat.checkout.recover import claim_code
from keysat.infra.store import Store
from keysat.kit.ids import SeededChance
from keysat.licenses.issue import key_text
from keysat.licenses.seats import Device, bind
from keysat.licenses.tables import License
from keysat.payments.connections import connect
from keysat.schema import metadata
from keysat.subscriptions.openings import park
from keysat.subscriptions.tables import Subscription
from keysat.web.app import litestar
from keysat.web.examples import Example, chapters, examples
from keysat.web.openapi import document, operations
from tests.catalog.shelf import MONTHLY, a_code, a_product, a_tier
from tests.conftest import TESTER
from tests.fakes.btcpay_server import LEAST_PRIVILEGES
from tests.fakes.btcpay_server import Store as Shelf
from tests.fakes.zaprite import FakeZaprite
from tests.upkeep.test_self_license import VENDOR
from tests.web.conftest import ADMIN
from tests.web.selling import Front, open_front

ROOT = Path(__file__).parents[2]
SNAPSHOT = ROOT / "docs" / "openapi.json"
EXAMPLES = ROOT / "keysat" / "web" / "examples"


@asynccontextmanager
async def new_store(folder: Path) -> AsyncGenerator[Store, None]:
    path = folder / "keysat.db"
    engine = create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    store = Store(f"sqlite+aiosqlite:///{path}", SeededChance(1))
    yield store
    await store.close()


@asynccontextmanager
async def prepared(store: Store, folder: Path) -> AsyncGenerator[Front, None]:
    """Aurora is on sale, a code gives it away, one order waits for its money, and something calls the operator."""
    async with open_front(store, folder, contact="mailto:ada@example.org", vendor=VENDOR) as front:
        front.http.headers["accept"] = "application/json"
        [spare] = (await front.http.get("/v1/products")).json()["products"]
        await front.http.delete(f"/v1/admin/products/{spare['id']}", headers=ADMIN)
        await a_product(
            store,
            "aurora",
            description="Notes that stay on your own machine.",
            price_currency="USD",
            price_value=2500,
            metadata={"public": {"homepage": "https://aurora.example"}},
            entitlements_catalog=[{"slug": "sync", "name": "Sync", "description": "Between your own machines."}],
        )
        await a_tier(store, "home", "aurora", tier_rank=1, marketing_bullets=["One machine"])
        await a_tier(store, "pro", "aurora", tier_rank=2, price_value=7500, max_machines=3, entitlements=["sync"])
        studio = await a_tier(
            store, "studio", "aurora", tier_rank=3, price_value=9900, entitlements=["sync"], **MONTHLY
        )
        yearly = {"slug": "yearly", "price_value": 99_000, "renewal_period": {"count": 1, "unit": "year"}}
        await front.http.post(f"/v1/admin/policies/{studio.id}/offers", json=yearly, headers=ADMIN)
        await a_code(store, "FRIENDS", "free_license", 0, product_slug="aurora", referrer_label="friends")
        await front.counter.buy("pro", product="aurora", buyer_email="dora@example.org")
        async with store.work(front.counter.now, TESTER) as work:
            await work.attend("webhook_secret", front.shop.tills.all()[0].id, "Webhooks come with a wrong signature.")
        yield front


class Names:
    """What is called otherwise in this shop than in the examples."""

    def __init__(self) -> None:
        self.here: dict[str, str] = {}

    def translated(self, value: Any) -> Any:
        return _renamed(value, self.here)

    def as_in_the_examples(self, value: Any) -> Any:
        return _renamed(value, {here: name for name, here in self.here.items()})

    def differences(self, told: Any, answer: Any, where: str) -> list[str]:
        """Where the answer is another one than the example tells, in more than a name. New names are learned."""
        match told, answer:
            case dict(), dict():
                told = {self.here.get(name, name): inner for name, inner in told.items()}
                missing = [f"{where}.{name}" for name in told.keys() ^ answer.keys()]
                return missing + [
                    line
                    for name in told.keys() & answer.keys()
                    for line in self.differences(told[name], answer[name], f"{where}.{name}")
                ]
            case list(), list() if len(told) == len(answer):
                pairs = enumerate(zip(told, answer, strict=True))
                return [line for at, pair in pairs for line in self.differences(*pair, f"{where}.{at}")]
            case int(), int() if where.endswith(".size_bytes"):  # another one with each table and each SQLite
                return []
            case str(), str() if told != answer and _is_name(told) and _is_name(answer):
                return [] if self.here.setdefault(told, answer) == answer else [where]
            case _:
                return [] if told == answer else [where]


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    match value:
        case dict():
            return {names.get(field, field): _renamed(inner, names) for field, inner in value.items()}
        case list():
            return [_renamed(inner, names) for inner in value]
        case str():
            return names.get(value, value)
        case _:
            return value


def _is_name(text: str) -> bool:
    """An id, a reference, a key: nothing that a person wrote."""
    return len(text) >= 10 and (" " not in text or text.startswith("-----BEGIN"))


class Player:
    """Calls the operations of `document`, one after the other."""

    def __init__(self, front: Front, document: Mapping[str, Any]) -> None:
        self.front = front
        self.names = Names()
        self.calls = operations(document)

    async def ask(self, operation_id: str, example: Example) -> httpx.Response:
        """A second after the one before, so that lists have one order."""
        self.front.counter.clock.move(self.front.counter.now + timedelta(seconds=1))
        await self._prepare(operation_id, example)
        method, path, _ = self.calls[operation_id]
        asked: Example = msgspec.convert(self.names.translated(msgspec.to_builtins(example)), Example)
        return await self.front.http.request(
            method,
            path.format(**asked.path),
            params=asked.query,
            headers={"Content-Type": "application/json", **asked.headers, **(ADMIN if "/admin/" in path else {})},
            content=None if asked.body is UNSET else json.dumps(asked.body),
        )

    async def _prepare(self, operation_id: str, example: Example) -> None:
        """What no answer tells: the provider's secrets, the code that stands on the buyer's page alone; and a plan."""
        here = self.names.here
        if operation_id == "refreshRate":
            for name in ("first-exchange", "second-exchange"):
                self.front.shop.board.add_source(name, _quoted)
        if operation_id == "receivePaymentWebhook":
            [till] = self.front.shop.tills.all()
            here[example.body["storeId"]] = till.connection.account_id
            body = json.dumps(self.names.translated(example.body)).encode()
            secret = till.connection.secrets["webhook_secret"].encode()
            here[example.headers["BTCPay-Sig"]] = f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"
        if operation_id == "disconnectBtcpay":
            here[example.body["provider_id"]] = str(await self._second_store())
        if operation_id == "connectZaprite":
            zaprite = FakeZaprite(clock=self.front.counter.clock)
            self.front.counter.hosts["api.zaprite.test"] = zaprite.transport
        if operation_id == "cancelTierChange":
            license_id = self.names.translated(example.path["license_id"])
            planned = {"to_policy_slug": "studio", "offer": "yearly", "when": "at_renewal"}
            await self.front.http.post(f"/v1/admin/licenses/{license_id}/change-tier", json=planned, headers=ADMIN)
        if operation_id == "replaceLeakedKey":
            order_id = self.names.translated(examples()["getOrder"].answer["id"])
            here[example.body["claim_code"]] = claim_code(self.front.shop.vault, UUID(order_id))
        if operation_id == "listSubscriptions":
            await self._subscribe()
        if operation_id == "listMachines":
            told = UUID(self.names.translated(examples()["getSubscription"].answer["license_id"]))
            async with self.front.shop.work(TESTER) as work:
                seat = await bind(work, await work.hold(License, told), Device("5f" * 32, "desk", "linux"))
                assert seat is not None
                here[str(examples()["releaseMachine"].path["machine_id"])] = str(seat.id)
        if operation_id == "cancelSubscription":
            async with self.front.shop.read() as read:
                told = examples()["getSubscription"].answer["license_id"]
                license = await read.get(License, UUID(self.names.translated(told)))
                here[example.body["license_key"]] = await key_text(read, license, self.front.shop.ring)

    async def _second_store(self) -> UUID:
        counter = self.front.counter
        counter.fake.stores["second"] = Shelf("second", name="Second shop")
        fields = {"url": counter.fake.base_url, "api_key": counter.fake.make_key(*LEAST_PRIVILEGES, store="second")}
        return await connect(counter.office(), "btcpay", fields)

    async def _subscribe(self) -> None:
        """Eve gets a subscription, and its next order could not be opened."""
        await a_tier(self.front.shop.store, "team", "aurora", price_sats_override=1200, **MONTHLY)
        async with self.front.shop.work(TESTER) as work:
            given = await give(work, await gift(work, "aurora", "team", "eve@example.org"))
            subscribed = (await work.session.scalars(select(Subscription).filter_by(license_id=given.license_id))).one()
            words = "No order for the next period could be opened, 5 times: no_rate. Mend it, and try again."
            await park(work, subscribed, "no_rate", words)


async def _quoted(_currency: str) -> Decimal | None:
    return Decimal(92_000)


async def record() -> None:
    """Writes all of them. A step that has no answer yet gets one; names stay what they were."""
    told: dict[str, Example] = {}
    with tempfile.TemporaryDirectory() as folder:
        async with new_store(Path(folder)) as store, prepared(store, Path(folder)) as front:
            player = Player(front, document(litestar()))
            for name, example in examples().items():
                answer = (await player.ask(name, example)).raise_for_status().json()
                player.names.differences(example.answer, answer, name)
                told[name] = replace(example, answer=player.names.as_in_the_examples(answer))
    for chapter, steps in chapters().items():
        (EXAMPLES / chapter).write_text(written(msgspec.to_builtins({name: told[name] for name in steps})))
    chapters.cache_clear()
    examples.cache_clear()
    SNAPSHOT.write_text(written(document(litestar())))


def written(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=msgspec.to_builtins) + "\n"


if __name__ == "__main__":
    anyio.run(record)
