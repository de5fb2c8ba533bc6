"""A receiver as integrators write them, on the loopback: it keeps what it was sent, and answers as a test tells it."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import msgspec

HANGS = 0
"""The status of a receiver that takes the request and never answers."""


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def event_type(self) -> str:
        return self.json["event_type"]


@dataclass
class Receiver:
    port: int = 0
    status: int = 200
    answer: Callable[[Request], int] | None = None
    """Wins over `status`."""
    extra: dict[str, str] = field(default_factory=dict[str, str])
    words: str = "thanks"
    seconds: float = 0
    requests: list[Request] = field(default_factory=list[Request])
    taken: list[Request] = field(default_factory=list[Request])
    """Those that were answered with 2xx."""
    under_way: int = 0
    under_way_most: int = 0
    _came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def has_taken(self, count: int) -> None:
        while len(self.taken) < count:
            self._came.clear()
            await self._came.wait()

    def told(self, subject: str | None = None) -> list[tuple[str, str]]:
        """(event, id) of what it took, in order."""
        return [
            (one.event_type, one.id) for one in self.taken if subject is None or subject in one.json["data"].values()
        ]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    await self._answer(await _read(reader), writer)
        finally:
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.requests.append(request)
        self.under_way += 1
        self.under_way_most = max(self.under_way_most, self.under_way)
        try:
            status = self.answer(request) if self.answer else self.status
            await asyncio.sleep(3600 if status == HANGS else self.seconds)
        finally:
            self.under_way -= 1
        if 200 <= status < 300:
            self.taken.append(request)
            self._came.set()
        given = {"Content-Length": str(len(self.words.encode())), **self.extra}
        head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        writer.write(f"HTTP/1.1 {status} Said\r\n{head}\r\n{self.words}".encode())
        await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Request:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(first.split()[1], headers, await reader.readexactly(int(headers.get("content-length", 0))))


@asynccontextmanager
async def receiving(**told: Any) -> AsyncGenerator[Receiver, None]:
    receiver = Receiver(**told)
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        with suppress(asyncio.CancelledError):
            await receiver._serve(reader, writer)  # pyright: ignore[reportPrivateUsage]

    server = await asyncio.start_server(serve, "127.0.0.1", receiver.port)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
