"""Webhooks: fifty receivers, one of which hangs, and what happens until all the others were told.

`python -m tests.bench.webhooks --events 10000` is the whole of it: each event concerns one or two of the receivers, as
shops tell each of their programs what it asked for. With `--everyone` each event goes to all of them.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import create_engine, insert

from keysat.infra.chain import head_of
from keysat.infra.public_http import LOOPBACK
from keysat.infra.seals import seal
from keysat.infra.store import Store
from keysat.infra.tables import EventRow
from keysat.infra.vault import Vault
from keysat.kit.clock import SystemClock
from keysat.kit.ids import SystemChance
from keysat.schema import metadata
from keysat.webhooks.attempt import Exchange
from keysat.webhooks.deliver import work_off
from keysat.webhooks.endpoints import NewEndpoint, create
from keysat.webhooks.names import ALL, SAME
from tests.bench.seed import SEEDER
from tests.fakes.names import look_up

ENDPOINTS = 50
RECORDED_AT_ONCE = 20
GIVE_UP_SECONDS = 3600
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass(frozen=True)
class Told:
    deliveries: int
    seconds: float
    lags_ms: Sequence[float]
    """From the commit of an event to its arrival, at those who do not hang."""

    @property
    def per_second(self) -> float:
        return self.deliveries / self.seconds

    def percentile(self, percent: int) -> float:
        return statistics.quantiles(self.lags_ms, n=100)[percent - 1]

    def __str__(self) -> str:
        return f"{self.per_second:,.0f}, lag p50 {self.percentile(50):,.0f} ms, p99 {self.percentile(99):,.0f} ms"


@dataclass
class Receivers:
    """All of them behind one port: the path tells which. One hangs."""

    hangs: str
    arrived: dict[tuple[str, bytes], float] = field(default_factory=dict[tuple[str, bytes], float])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.split(b"\r\n")
                headers = dict(line.lower().split(b": ", 1) for line in lines[1:-2])
                await reader.readexactly(int(headers[b"content-length"]))
                path = lines[0].split()[1].decode()
                if path == self.hangs:
                    await asyncio.sleep(GIVE_UP_SECONDS)
                self.arrived.setdefault((path, headers[b"x-keysat-position"]), time.perf_counter())
                writer.write(OK)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()


class Market:
    """A shop with its receivers, and what happened in it."""

    def __init__(self, folder: Path, everyone: bool) -> None:
        engine = create_engine(f"sqlite:///{folder / 'keysat.db'}")
        metadata.create_all(engine)
        engine.dispose()
        self.chance, self.clock = SystemChance(), SystemClock()
        self.store = Store(f"sqlite+aiosqlite:///{folder / 'keysat.db'}", self.chance)
        self.vault = Vault(self.chance.bytes(32), self.chance)
        self.receivers = Receivers("/0")
        self.everyone = everyone
        self.committed: dict[bytes, float] = {}
        self.wanted = 0

    async def open(self, port: int) -> None:
        async with self.store.work(self.clock.now(), SEEDER) as work:
            for number in range(ENDPOINTS):
                names = [ALL] if self.everyone else [SAME[number % len(SAME)]]
                new = NewEndpoint(url=f"http://127.0.0.1:{port}/{number}", event_types=names)
                await create(work, self.vault, new)
        await seal(self.store, self.clock.now())

    async def happen(self, events: int, pace: int) -> None:
        """So many a second (0: as fast as they can be recorded and sealed); each about an object of its own."""
        began = time.perf_counter()
        async with self.store.read() as read:
            position = (await head_of(read)).position
        for done in range(0, events, RECORDED_AT_ONCE):
            numbers = range(done, min(events, done + RECORDED_AT_ONCE))
            async with self.store.work(self.clock.now(), SEEDER) as work:
                await work.session.execute(insert(EventRow), [self._event(number) for number in numbers])
            now = time.perf_counter()
            for number in numbers:
                position += 1
                self.committed[str(position).encode()] = now
                self.wanted += self._concerned(number)
            await seal(self.store, self.clock.now())
            if pace:
                await asyncio.sleep(max(0, len(self.committed) / pace - (time.perf_counter() - began)))

    def _event(self, number: int) -> dict[str, object]:
        about = {"subject": f"object-{number}", "body": f'{{"license_id":"object-{number}","policy_id":null}}'}
        return {"at": self.clock.now(), "name": SAME[number % len(SAME)], "actor": "bench", "sealed": False, **about}

    def _concerned(self, number: int) -> int:
        """How many receivers that do not hang."""
        if self.everyone:
            return ENDPOINTS - 1
        return sum(1 for one in range(1, ENDPOINTS) if one % len(SAME) == number % len(SAME))

    async def serve(self) -> None:
        """As the daemon's runner does: again and again, with a rest."""
        exchange = Exchange(self.store, self.vault, self.clock, LOOPBACK, look_up, is_sandbox=False)
        while True:
            await work_off(exchange)
            await asyncio.sleep(0.02)


async def measure(folder: Path, events: int, *, everyone: bool = False, pace: int = 0) -> Told:
    market = Market(folder, everyone)
    receivers = market.receivers
    server = await asyncio.start_server(receivers.serve, "127.0.0.1", 0, backlog=1024)
    await market.open(server.sockets[0].getsockname()[1])
    began = time.perf_counter()
    job = asyncio.create_task(market.serve())
    await market.happen(events, pace)
    while len(receivers.arrived) < market.wanted:
        assert time.perf_counter() - began < GIVE_UP_SECONDS, f"{len(receivers.arrived)} of {market.wanted} arrived"
        await asyncio.sleep(0.02)
    seconds = time.perf_counter() - began
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)
    server.close()
    await market.store.close()
    lags = [1000 * (at - market.committed[position]) for (_, position), at in receivers.arrived.items()]
    return Told(market.wanted, seconds, lags)


def told(folder: Path, events: int, *, everyone: bool = False, pace: int = 0) -> Told:
    folder.mkdir(parents=True, exist_ok=True)
    return asyncio.run(measure(folder, events, everyone=everyone, pace=pace))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.webhooks")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--everyone", action="store_true", help="each event goes to every receiver")
    parser.add_argument("--pace", type=int, default=0, help="events a second; 0: as fast as they can be recorded")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="keysat-bench-") as temporary:
        found = told(Path(temporary), given.events, everyone=given.everyone, pace=given.pace)
    print(f"{found.deliveries:,} deliveries to {ENDPOINTS - 1} receivers while one hangs, in {found.seconds:.1f} s")
    print(f"deliveries/s: {found}")


if __name__ == "__main__":
    main()
