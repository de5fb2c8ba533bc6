"""`python -m providers.sandbox --data-dir D --port P --api-key K`: a wallet server of play money."""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType

import uvicorn

from keysat.kit.clock import SystemClock
from keysat.kit.ids import SystemChance
from providers.sandbox.app import Beside, create_app
from providers.sandbox.book import Book
from providers.sandbox.wallet import OffsetClock, Wallet

DATABASE_FILE = "sandbox-wallet.db"


class Server(uvicorn.Server):
    """Says when it really listens, and where: with `--port 0` nobody else could know."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            sys.stdout.write(f"sandbox wallet ready at http://{self.config.host}:{port}\n")
            sys.stdout.flush()


def main() -> int:
    options = _options()
    logging.basicConfig(level=logging.WARNING, format="sandbox wallet: %(message)s")
    if options.end_with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    options.data_dir.mkdir(parents=True, exist_ok=True)
    book = Book(options.data_dir / DATABASE_FILE)
    chance = SystemChance()
    wallet = Wallet(book, OffsetClock(SystemClock(), options.data_dir), chance, options.double_spend_seconds)
    app = create_app(wallet, options.api_key, Beside(wallet, chance))
    config = uvicorn.Config(
        app,
        host=options.host,
        port=options.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
        server_header=False,
    )
    # uvicorn raises the signal once more after its clean end; by default that would kill us with status -15.
    signal.signal(signal.SIGTERM, _already_handled)
    try:
        with suppress(KeyboardInterrupt):
            asyncio.run(Server(config).serve())
    finally:
        book.close()
    return 0


def _end_with_stdin() -> None:
    """Whoever started us holds the other end, and the kernel closes it however they died."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _already_handled(_number: int, _frame: FrameType | None) -> None: ...


class _Options(argparse.Namespace):
    data_dir: Path
    host: str
    port: int
    api_key: str
    double_spend_seconds: int
    end_with_stdin: bool


def _options() -> _Options:
    parser = argparse.ArgumentParser(prog="python -m providers.sandbox", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help=f"where {DATABASE_FILE} and clock-offset live")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0: any free one, named in the ready line")
    parser.add_argument("--api-key", required=True, help="the bearer the shop must show")
    parser.add_argument("--double-spend-seconds", type=int, default=5, help="how long a doomed payment is seen")
    parser.add_argument("--end-with-stdin", action="store_true", help="end when standard input is closed")
    return parser.parse_args(namespace=_Options())


if __name__ == "__main__":
    sys.exit(main())
