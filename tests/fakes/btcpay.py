"""A stateful BTCPay Server for tests: everything it hears and says is held against BTCPay's own specification.

In process: `FakeBtcPay(...)`, give `fake.transport` to the HttpClient, drive it by its methods (`btcpay_server.py`).
As a process: `python -m tests.fakes.btcpay --port N`, drive it by `POST /_control/<method>` with its arguments as JSON.
"""

import argparse
import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import uvicorn

from keysat.kit.clock import SystemClock
from tests.fakes import btcpay_authorize as authorizing
from tests.fakes import btcpay_contract as contract
from tests.fakes.btcpay_routes import answer
from tests.fakes.btcpay_server import API_KEY, STORE, Server
from tests.fakes.served import Accident, Call, HandClock, Reply

__all__ = ["API_KEY", "STORE", "Accident", "FakeBtcPay", "HandClock"]

TICK_SECONDS = 0.05
RETRY_AFTER_SECONDS = 7
CONTROLS = frozenset({
    "pay", "confirm", "replace", "expire", "mark", "refund", "revoke_key", "make_key", "fail_next", "drop_next",
    "duplicate_next", "delay_next", "hold", "release", "restart", "redeliver", "advance", "state", "tick",
})  # fmt: skip

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Lost(Exception):
    """The connection breaks. `carried_out`: only the answer is lost."""

    def __init__(self, *, carried_out: bool) -> None:
        super().__init__(carried_out)
        self.carried_out = carried_out


class FakeBtcPay(Server):
    judge_every = 1
    """Of so many requests one is held against the specification: a storm is about other things, and judging is slow."""

    @property
    def fields(self) -> dict[str, str]:
        """What an operator types to connect."""
        return {"url": self.base_url, "api_key": API_KEY, "store": STORE}

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """Reaches this server and no other host."""
        return _Wire(self)

    def authorize(
        self, authorize_url: str, stores: Sequence[str] = (STORE,), *, grants: Sequence[str] | None = None
    ) -> tuple[str, list[tuple[str, str]]]:
        """The operator approves on this server's page. Where the browser posts to, and what: see `btcpay_authorize`."""
        query = authorizing.query_of(authorize_url)
        self.handle(Call("GET", authorizing.PATH, query, {}, b""))
        return authorizing.approved(self, query, stores, grants=grants)

    def handle(self, call: Call) -> Reply:
        """One request with its accident, judged by the specification. Raises Lost."""
        self.requests.append((call.method, call.path))
        accident = self._accident(call)
        if accident is Accident.LOST_BEFORE:
            raise Lost(carried_out=False)
        if accident is Accident.BUSY:
            return Reply(429, b"", (("retry-after", str(RETRY_AFTER_SECONDS)),))
        if accident is Accident.BROKEN:
            return Reply(500, b"<html>Internal Server Error</html>")
        if accident is Accident.LOCKED_OUT:
            return Reply(401, b'{"code": "unauthenticated", "message": "Authentication is required"}')
        reply = self._judged(call)
        if accident is Accident.LOST_AFTER:
            raise Lost(carried_out=True)
        return Reply(200, b"<html>Please wait</html>") if accident is Accident.GARBAGE else reply

    def _accident(self, call: Call) -> Accident | None:
        for mishap in self.mishaps:
            if mishap.method in ("", call.method) and mishap.path in call.path:
                self.mishaps.remove(mishap)
                return mishap.accident
        return None

    def _judged(self, call: Call) -> Reply:
        if call.path == authorizing.PATH:
            if contract.available() and call.method == "GET":
                asked = contract.Asked("GET", call.path, tuple(call.query), (), b"")
                self.violations += contract.faults_of_request(asked)
            return authorizing.page(self, call)
        if not call.path.startswith("/api/"):
            return authorizing.checkout(call)
        if not contract.available() or len(self.requests) % self.judge_every:
            return answer(self, call)
        asked = contract.Asked(call.method, call.path, tuple(call.query), tuple(call.headers.items()), call.body)
        faults = list(contract.faults_of_request(asked))
        if call.method == "POST" and call.path.endswith("/invoices") and not faults:
            faults += contract.faults_of_checkout(call.json().get("checkout", {}))
        before = len(self.violations)
        if not faults:
            reply = answer(self, call)
            faults += contract.faults_of_answer(asked, reply.status, reply.body)
            if not faults and len(self.violations) == before:
                return reply
        self.violations += [f"{call.method} {call.path}: {fault}" for fault in faults]
        return Reply(500, json.dumps(self.violations[before:]).encode())

    # As an ASGI application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        if message["type"] == "http.disconnect":  # the client died in the middle of its request
            return
        body += message.get("body", b"")
        path = str(scope["path"])
        if path.startswith("/_control/"):
            await _send(send, await self._control(path.removeprefix("/_control/"), body))
            return
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
        try:
            await _send(send, self.handle(Call(scope["method"], path, query, headers, body)))
        except Lost:
            while (await receive())["type"] != "http.disconnect":  # until the client gives up
                pass

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        ticking = asyncio.create_task(self._tick_for_ever())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
        await send({"type": "lifespan.shutdown.complete"})

    async def _tick_for_ever(self) -> None:
        while True:
            await self.tick()
            await asyncio.sleep(TICK_SECONDS)

    async def _control(self, verb: str, body: bytes) -> Reply:
        if verb not in CONTROLS:
            return Reply(404, b'{"error": "no such control"}')
        try:
            result = getattr(self, verb)(**json.loads(body or b"{}"))
            result = await result if inspect.isawaitable(result) else result
        except (LookupError, TypeError, ValueError) as error:
            return Reply(400, json.dumps({"error": repr(error)}).encode())
        return Reply(200, json.dumps({"result": result}).encode())

    async def advance(self, seconds: float) -> None:
        """By the control door: the process's clock runs by itself, and jumps here."""
        assert isinstance(self.clock, ShiftedClock)
        self.clock.ahead += timedelta(seconds=seconds)
        await self.tick()

    def state(self) -> dict[str, Any]:
        return {
            "now": self.now.isoformat(),
            "invoices": [found.json() for found in self.invoices.values()],
            "hooks": [
                {**hook.json(), "waiting": len(hook.queue), "statuses": [past.status for past in hook.past]}
                for hook in self.hooks
            ],
            "requests": self.requests,
            "violations": self.violations,
        }


class ShiftedClock:
    """Real time, plus what it was told to jump."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return SystemClock().now().astimezone(UTC) + self.ahead


class _Wire(httpx.AsyncBaseTransport):
    def __init__(self, fake: FakeBtcPay) -> None:
        self._fake = fake

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        here = urlsplit(self._fake.base_url)
        if request.url.host != here.hostname:
            raise httpx.ConnectError(f"no such host: {request.url.host}", request=request)
        body = await request.aread()
        query = parse_qsl(request.url.query.decode(), keep_blank_values=True)
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            reply = self._fake.handle(Call(request.method, request.url.path, query, headers, body))
        except Lost as lost:
            if lost.carried_out:
                raise httpx.ReadTimeout("no answer", request=request) from lost
            raise httpx.ConnectError("connection refused", request=request) from lost
        headers = {"content-type": "application/json", **dict(reply.headers)}
        return httpx.Response(reply.status, headers=headers, content=reply.body, request=request)


async def _send(send: Send, reply: Reply) -> None:
    said = {"content-type": "application/json", "content-length": str(len(reply.body)), **dict(reply.headers)}
    headers = [(name.encode(), value.encode()) for name, value in said.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.btcpay")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--network", default="mainnet", choices=["mainnet", "testnet", "signet", "regtest"])
    parser.add_argument("--judge-every", type=int, default=1)
    arguments = parser.parse_args()
    base_url = f"http://127.0.0.1:{arguments.port}"
    fake = FakeBtcPay(clock=ShiftedClock(), network=arguments.network, base_url=base_url)
    fake.judge_every = arguments.judge_every
    print(json.dumps(fake.fields), flush=True)
    uvicorn.run(fake, host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
