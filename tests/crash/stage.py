"""The stage of the crash test: a sandbox shop on disk, its daemon as a process, and a BTCPay that outlives it."""

import random
from pathlib import Path

import httpx

from tests.fakes.btcpay import API_KEY, STORE
from tests.running import ADMIN_KEY, ANSWER_SECONDS, Program, free_port, keysat, surroundings

PRODUCT = "aurora"
ADMIN = {"Authorization": f"Bearer {ADMIN_KEY}"}


class Stage:
    """`set_up` once, then `daemon` may be killed and started at will. `database_url` None: SQLite in `folder`."""

    def __init__(self, folder: Path, database_url: str | None = None) -> None:
        port, wallet = free_port(), free_port()
        self.data_dir = folder / "shop"
        self.url = f"http://127.0.0.1:{port}"
        self.btcpay_url = f"http://127.0.0.1:{wallet}"
        self.database_url = database_url or f"sqlite+aiosqlite:///{self.data_dir / 'keysat.db'}"
        self.environ = surroundings(
            KEYSAT_DATA_DIR=str(self.data_dir),
            KEYSAT_DATABASE_URL=self.database_url,
            KEYSAT_BIND=f"127.0.0.1:{port}",
            KEYSAT_PUBLIC_URL=self.url,
            KEYSAT_ADMIN_API_KEY=ADMIN_KEY,
            KEYSAT_LIMITS="off",
            BTCPAY_URL=self.btcpay_url,
            BTCPAY_API_KEY=API_KEY,
            BTCPAY_STORE_ID=STORE,
        )
        self.daemon = Program("keysat", "serve", log=folder / "daemon.log", environ=self.environ)
        wallet_command = ("tests.fakes.btcpay", "--port", str(wallet), "--network", "regtest", "--judge-every", "10")
        self.btcpay = Program(*wallet_command, log=folder / "btcpay.log")

    def set_up(self) -> None:
        """A shop that sells one tier for USD 25.00 and is connected to the BTCPay."""
        keysat(self.data_dir, "init", "--sandbox", environ=self.environ)
        keysat(self.data_dir, "rate", "pin", "USD", "50000", environ=self.environ)
        self.btcpay.start()
        self.btcpay.await_answer(f"{self.btcpay_url}/api/v1/health")
        connect = ("provider", "connect", "btcpay", "--url", self.btcpay_url, "--api-key", API_KEY, "--store", STORE)
        keysat(self.data_dir, *connect, environ=self.environ)
        self.rise()
        with httpx.Client(base_url=self.url, headers=ADMIN, timeout=ANSWER_SECONDS, trust_env=False) as admin:
            product = {"slug": PRODUCT, "name": "Aurora", "price_currency": "USD", "price_value": 2500}
            admin.post("/v1/admin/products", json=product).raise_for_status()
            policy = {"product_slug": PRODUCT, "slug": "pro", "name": "Pro", "max_machines": 3}
            admin.post("/v1/admin/policies", json=policy).raise_for_status()

    def rise(self) -> None:
        self.daemon.start()
        self.daemon.await_answer(f"{self.url}/healthz")

    def tear_down(self) -> None:
        self.daemon.stop()
        self.btcpay.stop()

    def doctor(self) -> None:
        """Raises AssertionError with what does not hold."""
        keysat(self.data_dir, "doctor", environ=self.environ)


class Wallet:
    """The payers and the network, by the BTCPay's control door; and what goes wrong with its messages."""

    def __init__(self, client: httpx.AsyncClient, chance: random.Random) -> None:
        self._client = client
        self._chance = chance
        self.paid: set[str] = set()
        self._unconfirmed: set[str] = set()

    async def pay(self, invoice_id: str) -> None:
        """In one of the ways that end as paid in full; some of the messages are lost, doubled or kept back."""
        self.paid.add(invoice_id)
        await self._mishap()
        way = self._chance.choice(("lightning", "confirmed", "seen"))
        rail = "lightning" if way == "lightning" else "onchain"
        await self._tell("pay", invoice_id=invoice_id, rail=rail, confirmed=None if way != "seen" else False)
        if way == "seen":
            self._unconfirmed.add(invoice_id)

    async def confirm_some(self, share: float) -> None:
        for invoice_id in sorted(self._unconfirmed):
            if self._chance.random() < share:
                await self._mishap()
                await self._tell("confirm", invoice_id=invoice_id)
                self._unconfirmed.discard(invoice_id)

    async def hold(self) -> None:
        await self._tell("hold")

    async def release(self) -> None:
        """What was held back goes out, the newest first."""
        await self._tell("release", reverse=True)

    async def lose_queue(self) -> None:
        await self._tell("restart")

    async def state(self) -> dict[str, object]:
        return await self._tell("state")

    async def _mishap(self) -> None:
        kind = self._chance.random()
        if kind < 0.3:
            await self._tell("drop_next", count=self._chance.randint(1, 4))
        elif kind < 0.6:
            await self._tell("duplicate_next", count=self._chance.randint(1, 4))
        elif kind < 0.7:
            await self._tell("delay_next", seconds=1)

    async def _tell(self, verb: str, **arguments: object) -> dict[str, object]:
        answer = await self._client.post(f"/_control/{verb}", json=arguments)
        answer.raise_for_status()
        return answer.json()["result"]
