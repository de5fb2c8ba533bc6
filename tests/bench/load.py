"""The load: 64 kept connections that ask as fast as they are answered. A process of its own, and a lean one.

    python -m tests.bench.load --port N --requests FILE --connections 64 --seconds 10

FILE holds one body a line, POSTed to `--path`, or one query, with `--method GET`; in random order. Prints one JSON
object (`Measured`).
"""

import argparse
import asyncio
import random
import re
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import msgspec
import uvloop

WARM_SECONDS = 1.5  # not counted
END_OF_HEAD = b"\r\n\r\n"
REFUSAL = re.compile(rb'"(ok|valid)":false')


class Measured(msgspec.Struct, frozen=True):
    per_second: float
    p50_ms: float
    p99_ms: float
    answers: int
    refused: int
    """Answers that were not `200`, or said no."""


@dataclass
class Tally:
    counting: bool = False
    stopped: bool = False
    seconds: list[float] = field(default_factory=list[float])
    refused: int = 0
    example: bytes = b""


class Caller(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, requests: list[bytes], tally: Tally, chance: random.Random) -> None:
        self._requests = requests
        self._tally = tally
        self._chance = chance
        self._buffer = b""
        self._asked_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's does not derive from it
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(END_OF_HEAD)
        if head < 0:
            return
        start = self._buffer.lower().find(b"content-length: ", 0, head) + 16
        length = int(self._buffer[start : self._buffer.find(b"\r", start)])
        if len(self._buffer) < head + 4 + length:
            return
        tally = self._tally
        if tally.counting:
            tally.seconds.append(time.perf_counter() - self._asked_at)
            if not self._buffer.startswith(b"HTTP/1.1 200") or REFUSAL.search(self._buffer):
                tally.refused += 1
                tally.example = tally.example or self._buffer
        self._buffer = b""
        if not tally.stopped:
            self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._tally.stopped:
            self._tally.refused += 1
            self._tally.example = self._tally.example or b"the connection was closed"

    def _ask(self) -> None:
        assert self._transport is not None
        self._asked_at = time.perf_counter()
        self._transport.write(self._requests[self._chance.randrange(len(self._requests))])


async def measure(port: int, requests: list[bytes], connections: int, seconds: float) -> Measured:
    tally, chance = Tally(), random.Random(1)
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Caller(requests, tally, chance), "127.0.0.1", port)
    await asyncio.sleep(WARM_SECONDS)
    tally.counting, began = True, time.perf_counter()
    await asyncio.sleep(seconds)
    tally.counting, took = False, time.perf_counter() - began
    tally.stopped = True
    await asyncio.sleep(0.2)
    if tally.example:
        print(tally.example.decode(errors="replace")[:1000], file=sys.stderr)
    times = sorted(tally.seconds) or [0.0]
    return Measured(
        per_second=len(tally.seconds) / took,
        p50_ms=1000 * times[len(times) // 2],
        p99_ms=1000 * times[len(times) * 99 // 100],
        answers=len(tally.seconds),
        refused=tally.refused,
    )


def request(method: str, path: str, line: bytes) -> bytes:
    if method == "GET":
        return f"GET {path}?{line.decode()} HTTP/1.1\r\nhost: shop\r\n\r\n".encode()
    head = f"POST {path} HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(line)}\r\n\r\n".encode() + line


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--method", default="POST", choices=("GET", "POST"))
    parser.add_argument("--path", default="/v1/validate")
    parser.add_argument("--requests", type=Path, required=True)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10)
    given = parser.parse_args()
    requests = [request(given.method, given.path, line) for line in given.requests.read_bytes().splitlines()]
    found = uvloop.run(measure(given.port, requests, given.connections, given.seconds))
    print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
