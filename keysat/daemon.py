"""The daemon: a shop, its doors and its jobs in one process, behind uvicorn."""

import asyncio
import gc
import signal
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType

import uvicorn
from litestar import Litestar

from keysat import schema as schema  # all tables, as in cli/opened.py
from keysat.infra import log
from keysat.infra.house import Mode
from keysat.infra.private import keep_new_files_private
from keysat.infra.seals import seal
from keysat.infra.settings import Settings
from keysat.jobs.runner import Runner
from keysat.jobs.schedule import jobs
from keysat.kit.clock import SystemClock
from keysat.kit.ids import SystemChance
from keysat.upkeep.occupy import occupied
from keysat.upkeep.opening import CannotOpen, Founding, open_shop
from keysat.upkeep.retention import Kept
from keysat.upkeep.shop import Shop
from keysat.web.app import create_app
from keysat.web.tables import IdempotentAnswer, LimitBucket

KEPT = (  # what the doors store
    Kept(IdempotentAnswer, "begun_at", timedelta(hours=24)),
    Kept(LimitBucket, "full_at", timedelta()),
)

_log = log.get(__name__)

Ready = Callable[[Shop], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ServerLimits:
    backlog: int = 2048  # connections the kernel keeps waiting
    keep_alive_seconds: int = 15  # longer than most proxies reuse theirs
    drain_seconds: int = 15  # for the requests under way when the daemon is told to stop
    header_bytes_max: int = 32 * 1024


LIMITS = ServerLimits()
COLLECTIONS = (10_000, 20, 20)
"""Objects between two garbage collections, and how many of the small ones there are before a larger one."""


async def nothing_more(_shop: Shop) -> None: ...


def serve(settings: Settings, show_admin_key: Callable[[str], None]) -> None:
    """Until SIGTERM or Ctrl-C. A first start sets up a live shop. Raises CannotOpen."""
    log.configure(settings.log_level, settings.log_format)
    keep_new_files_private()
    founding = Founding(Mode.LIVE, show_admin_key)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(settings, founding))


async def _serve(settings: Settings, founding: Founding) -> None:
    with listening(settings) as door, occupied(settings):
        async with open_shop(settings, clock=SystemClock(), chance=SystemChance(), founding=founding) as shop:
            await answer(shop, door)


def listening(settings: Settings) -> socket.socket:
    """The port, taken before anything else is done. Raises CannotOpen."""
    host, port = settings.bind_host, settings.bind_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=LIMITS.backlog)
    except OSError as error:
        raise CannotOpen(
            f"Port {port} on {host} cannot be used ({error.strerror}): choose another one with --port or KEYSAT_BIND."
        ) from error


async def answer(shop: Shop, door: socket.socket, ready: Ready = nothing_more) -> None:
    """Doors and jobs of an open shop, until the process is told to stop. `ready` runs once it really answers."""
    for warning in warnings(shop.settings, shop.mode, has_vendor=shop.vendor is not None):
        _log.warning("settings.warning", text=warning)
    runner = Runner(shop, jobs(KEPT))

    @asynccontextmanager
    async def working(_app: Litestar) -> AsyncGenerator[None, None]:
        async with runner.running():
            yield

    app = create_app(shop, lifespan=[working], jobs=runner)
    server = _Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            proxy_headers=False,  # the doors read them, from trusted proxies only
            server_header=False,
            lifespan="on",
            ws="none",
            backlog=LIMITS.backlog,
            timeout_keep_alive=LIMITS.keep_alive_seconds,
            timeout_graceful_shutdown=LIMITS.drain_seconds,
            h11_max_incomplete_event_size=LIMITS.header_bytes_max,
        ),
        shop,
        ready,
    )
    # uvicorn raises the signal once more after its clean end; by default that would kill us before the shop is closed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _already_handled)
    await server.serve(sockets=[door])
    await seal(shop.store, shop.now())  # what the last requests recorded
    _log.info("daemon.stopped")


def warnings(settings: Settings, mode: Mode, *, has_vendor: bool = False) -> tuple[str, ...]:
    """What the operator should read at the start; a line each."""
    found = [*settings.warnings]
    if mode == Mode.LIVE and settings.operator_contact is None:
        found.append("KEYSAT_OPERATOR_CONTACT is not set: the pages cannot say where buyers write to you.")
    if settings.license is not None and not has_vendor:
        found.append("KEYSAT_LICENSE has no effect: this Keysat needs no license, every shop has all that there is.")
    return tuple(found)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed."""
    return uvicorn.Config(app="", log_config=None).get_loop_factory()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, shop: Shop, ready: Ready) -> None:
        super().__init__(config)
        self._shop = shop
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            gc.freeze()  # what start-up made stays for good: no collection need walk it while somebody waits
            gc.set_threshold(*COLLECTIONS)
            gc.enable()
            _log.info("daemon.ready", url=self._shop.settings.public_url, mode=self._shop.mode)
            await self._ready(self._shop)


def _already_handled(_number: int, _frame: FrameType | None) -> None: ...
