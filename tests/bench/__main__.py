"""`make bench`: measured, and never asserted. `python -m tests.bench --size 100k` (10k, 1M).

Read the ratios and the CPU times when the machine is shared: they stand where requests a second do not.
"""

import argparse
import asyncio
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tests.bench import lists, renewals, seed, settles, webhooks
from tests.bench.load import WARM_SECONDS, Measured
from tests.running import ROOT, Program, free_port, running, surroundings

SIZES = {"10k": 10_000, "100k": 100_000, "1M": 1_000_000}
SMALL = "10k"
KEYS = 10_000  # distinct ones, drawn at random from all
CONNECTIONS = 64
SECONDS = 5.0
ROUNDS = 3  # the middle one is shown
IDLE_SECONDS = 6
TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Result:
    name: str
    target: str
    measured: str


@dataclass(frozen=True)
class Run:
    load: Measured
    cpu_us: float
    """Of the server's process, for one request."""


def data_of(folder: Path, size: str) -> Path:
    """A shop with so many licenses."""
    data = folder / size
    asyncio.run(seed.found(data))
    seed.multiply(data, SIZES[size])
    (data / "requests").write_bytes(b"\n".join(asyncio.run(seed.requests(data, KEYS))))
    return data


def shop_of(data: Path, port: int) -> Program:
    return Program("keysat", "serve", log=data / "daemon.log", environ=surroundings(**seed.environ_of(data, port)))


def naive_of(data: Path, port: int) -> Program:
    """On a copy: it writes."""
    copy = data / "naive.db"
    shutil.copyfile(data / "keysat.db", copy)
    with closing(sqlite3.connect(copy)) as database:
        [key] = database.execute("SELECT hex(public_key) FROM issuer_keys").fetchone()
    command = ("tests.bench.naive", "--database", str(copy), "--public-key", key, "--port", str(port))
    return Program(*command, log=data / "naive.log")


def validates(data: Path, program: Callable[[Path, int], Program], ready: str = "/") -> Run:
    port = free_port()
    with running(program(data, port), f"http://127.0.0.1:{port}{ready}") as server:
        return _middle(data / "requests", port, server.pid)


def sales(folder: Path) -> tuple[Run, Run]:
    """What a code would cost, and purchases, of a shop that `seed.found` has left."""
    previews, purchases = folder / "previews", folder / "purchases"
    previews.write_text(f"product={seed.PRODUCT}&policy_slug=pro&code={settles.CODE}")
    purchases.write_text(f'{{"product":"{seed.PRODUCT}","policy_slug":"pro","code":"{settles.CODE}"}}')
    with settles.selling(folder) as (daemon, port, _):
        asked = _middle(previews, port, daemon.pid, "--method", "GET", "--path", "/v1/discount-codes/preview")
        return asked, _middle(purchases, port, daemon.pid, "--path", "/v1/purchase")


def _middle(requests: Path, port: int, pid: int, *options: str) -> Run:
    runs = (_load(requests, port, pid, *options) for _ in range(ROUNDS))
    return sorted(runs, key=lambda run: run.load.per_second)[ROUNDS // 2]


def _load(requests: Path, port: int, pid: int, *options: str) -> Run:
    before = _cpu_seconds(pid)
    command = [sys.executable, "-m", "tests.bench.load", "--port", str(port), "--requests", str(requests), *options]
    command += ["--connections", str(CONNECTIONS), "--seconds", str(SECONDS)]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    load = msgspec.json.decode(printed, type=Measured)
    answers = load.per_second * (SECONDS + WARM_SECONDS)
    return Run(load, 1e6 * (_cpu_seconds(pid) - before) / max(answers, 1))


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def start_up(data: Path) -> float:
    """Seconds from the command to the first answer, of a shop that is there."""
    times: list[float] = []
    for _ in range(ROUNDS):
        port = free_port()
        daemon = shop_of(data, port)
        daemon.start()
        times.append(daemon.await_answer(f"http://127.0.0.1:{port}/healthz"))
        daemon.stop()
    return statistics.median(times)


def idle_megabytes(data: Path) -> float:
    port = free_port()
    with running(shop_of(data, port), f"http://127.0.0.1:{port}/healthz") as daemon:
        time.sleep(IDLE_SECONDS)
        lines = Path(f"/proc/{daemon.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def wheel_kilobytes(folder: Path) -> float:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "wheel")]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    [wheel] = (folder / "wheel").glob("*.whl")
    return wheel.stat().st_size / 1024


def bench(folder: Path, size: str, due: int, events: int) -> list[Result]:
    data = data_of(folder, size)
    whole = validates(data, shop_of, "/healthz")
    naive = validates(data, naive_of, "/healthz")
    small = whole if size == SMALL else validates(data_of(folder, SMALL), shop_of, "/healthz")
    ratio = whole.load.per_second / naive.load.per_second
    lost = 100 * (1 - whole.load.per_second / small.load.per_second)
    fresh = folder / "settles"
    asyncio.run(seed.found(fresh))
    end_to_end, alone = asyncio.run(settles.measure(fresh))
    market = folder / "sales"
    asyncio.run(seed.found(market))
    preview, purchase = sales(market)
    renewed = renewals.per_second(folder / "renewals", due, 1)
    by_two = renewals.two_daemons(folder / "by-two", due)
    told = webhooks.told(folder / "webhooks", events)
    for run in (whole, naive, small, preview, purchase):
        if run.load.refused:
            print(f"{run.load.refused} of {run.load.answers} answers were refusals", file=sys.stderr)
    return [
        Result(f"validates/s at {size}", "4,000, p99 < 50 ms", _told(whole)),
        Result(f"the naive ORM way at {size}", "", _told(naive)),
        Result("  times as many; times less CPU", "8", f"{ratio:.1f}; {naive.cpu_us / whole.cpu_us:.1f}"),
        Result(f"lost from {SMALL} to {size}", "< 25 % (1M)", f"{lost:.0f} % ({small.load.per_second:,.0f}/s)"),
        Result("settles/s, webhook to license", "40", f"{end_to_end:.0f}"),
        Result("settles/s, the transaction alone", "150", f"{alone:.0f}"),
        Result(f"renewals opened/s, of {due:,} due", "", f"{renewed:.0f}"),
        Result("  two daemons on PostgreSQL", "", f"{by_two:.0f}" if by_two else "is not installed"),
        Result(f"webhooks/s, of {told.deliveries:,}, one of 50 receivers hangs", "", str(told)),
        Result("previews of a code/s", "", _told(preview)),
        Result("purchases/s, with that code", "", _told(purchase)),
        Result("start-up to first answer", "1.5 s", f"{start_up(data):.2f} s"),
        Result("idle memory", "< 130 MB", f"{idle_megabytes(data):.0f} MB"),
        Result("wheel", "", f"{wheel_kilobytes(folder):,.0f} kB"),
    ]


def _told(run: Run) -> str:
    load = run.load
    return f"{load.per_second:,.0f}, p50 {load.p50_ms:.1f} ms, p99 {load.p99_ms:.1f} ms, CPU {run.cpu_us:.0f} us"


def table(results: Sequence[Result]) -> str:
    rows = [("", "target", "measured"), *((found.name, found.target, found.measured) for found in results)]
    first, second = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{name:<{first}}  {target:>{second}}  {measured}" for name, target, measured in rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--size", choices=SIZES, default="100k", help="licenses in the shop")
    parser.add_argument("--due", type=int, default=1_000, help="subscriptions that are due at once")
    parser.add_argument("--events", type=int, default=1_000, help="that webhooks tell of")
    given = parser.parse_args()
    busy = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="keysat-bench-") as temporary:
        results = bench(Path(temporary), given.size, given.due, given.events)
        pages = lists.both(Path(temporary) / "lists", SIZES[given.size])
    print(table(results))
    print(lists.told(pages))
    print(f"{os.cpu_count()} cores, load {busy:.1f} before; {CONNECTIONS} connections, {KEYS:,} distinct keys")


if __name__ == "__main__":
    main()
