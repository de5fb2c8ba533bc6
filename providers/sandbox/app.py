"""The wallet's ASGI application: the shop's API, the buyer's pages, and the one loop beside them."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass

import httpx
from litestar import Litestar, MediaType, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.types import Scope

from keysat.kit.errors import KeysatError
from keysat.kit.ids import Chance
from providers.sandbox.api import api
from providers.sandbox.deliver import Courier
from providers.sandbox.pages import pay_by_card, play, show_checkout
from providers.sandbox.wallet import Declined, Missing, Wallet

TICK_SECONDS = 1
BODY_BYTES_MAX = 64 * 1024

_log = logging.getLogger("keysat.sandbox")


Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


def create_app(wallet: Wallet, api_key: str, lifespan: Lifespan | None = None) -> Litestar:
    async def the_wallet() -> Wallet:
        return wallet

    return Litestar(
        route_handlers=[api(api_key), show_checkout, pay_by_card, play],
        dependencies={"wallet": the_wallet},
        lifespan=[lifespan] if lifespan else [],
        exception_handlers={Missing: _missing, Declined: _declined, KeysatError: _refused},
        after_exception=[_log_unexpected],
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=None,
        logging_config=None,
    )


@dataclass(frozen=True, slots=True)
class Beside:
    """What runs while the application does: it lets time work, and tells the shop."""

    wallet: Wallet
    chance: Chance

    @asynccontextmanager
    async def __call__(self, _app: Litestar) -> AsyncGenerator[None, None]:
        async with httpx.AsyncClient(follow_redirects=False, trust_env=False) as http, asyncio.TaskGroup() as group:
            loop = group.create_task(self._run(Courier(self.wallet, http, self.chance)))
            yield
            loop.cancel()

    async def _run(self, courier: Courier) -> None:
        while True:
            self.wallet.news.clear()
            try:
                self.wallet.tick()
                await courier.deliver_due()
            except Exception:
                _log.exception("the wallet's loop stumbled; it goes on")
            with suppress(TimeoutError):
                await asyncio.wait_for(self.wallet.news.wait(), TICK_SECONDS)


def _missing(_request: Request[object, object, State], _error: Missing) -> Response[str]:
    return Response(
        "There is no such invoice or card in this sandbox wallet.\n", status_code=404, media_type=MediaType.TEXT
    )


def _declined(_request: Request[object, object, State], error: Declined) -> Response[dict[str, str]]:
    return Response({"detail": str(error)}, status_code=402)


def _refused(_request: Request[object, object, State], error: KeysatError) -> Response[dict[str, str]]:
    return Response({"detail": error.message}, status_code=error.code.status)


async def _log_unexpected(error: Exception, _scope: Scope) -> None:
    if not isinstance(error, HTTPException | KeysatError | Missing | Declined):
        _log.error("a request failed", exc_info=error)
