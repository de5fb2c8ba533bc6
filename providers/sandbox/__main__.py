"""`python -m providers.sandbox --data-dir D --port P`: a wallet server of play money."""

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

import rich_click as click
import uvicorn
from click import option

from keysat.kit.clock import OFFSET_FILE, OffsetClock, SystemClock
from keysat.kit.ids import SystemChance
from providers.sandbox.app import Beside, create_app
from providers.sandbox.book import Book
from providers.sandbox.wallet import Wallet

DATABASE_FILE = "sandbox-wallet.db"
KEY_VARIABLE = "KEYSAT_SANDBOX_WALLET_KEY"  # unlike the option, it stands in no list of processes


class Server(uvicorn.Server):
    """Says when it really listens, and where: with `--port 0` nobody else could know."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            port = self.servers[0].sockets[0].getsockname()[1]
            sys.stdout.write(f"sandbox wallet ready at http://{self.config.host}:{port}\n")
            sys.stdout.flush()


@click.command(help=__doc__)
@option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help=f"Where {DATABASE_FILE} and {OFFSET_FILE} live.",
)
@option("--host", default="127.0.0.1", show_default=True)
@option("--port", type=click.IntRange(0, 65535), required=True, help="0: any free one, named in the ready line.")
@option("--api-key", envvar=KEY_VARIABLE, required=True, help="The bearer the shop must show.", show_envvar=True)
@option("--double-spend-seconds", type=int, default=5, show_default=True, help="How long a doomed payment is seen.")
@option("--end-with-stdin", is_flag=True, help="End when standard input is closed.")
def main(data_dir: Path, host: str, port: int, api_key: str, double_spend_seconds: int, end_with_stdin: bool) -> None:
    logging.basicConfig(level=logging.WARNING, format="sandbox wallet: %(message)s")
    if end_with_stdin:
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    os.umask(0o077)
    data_dir.mkdir(parents=True, exist_ok=True)
    _close_to_others(data_dir / DATABASE_FILE)
    book = Book(data_dir / DATABASE_FILE)
    chance = SystemChance()
    wallet = Wallet(book, OffsetClock(SystemClock(), (data_dir / OFFSET_FILE).read_text), chance, double_spend_seconds)
    app = create_app(wallet, api_key, Beside(wallet, chance))
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
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


def _close_to_others(database: Path) -> None:
    """Files of an earlier wallet that anybody could read."""
    for path in (database, *(database.with_name(f"{database.name}-{part}") for part in ("wal", "shm"))):
        with suppress(FileNotFoundError):
            path.chmod(0o600)


def _end_with_stdin() -> None:
    """Whoever started us holds the other end, and the kernel closes it however they died."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _already_handled(_number: int, _frame: FrameType | None) -> None: ...


if __name__ == "__main__":
    main(prog_name="python -m providers.sandbox")
