"""The daemon's ASGI app: Litestar with our errors, our limits and our routes, behind `entry`."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.openapi.spec import Tag
from litestar.types import ASGIApp

from keysat.infra.house import Mode
from keysat.upkeep.shop import Shop
from keysat.web.admin.door import recognise_who_is_lost, told_in_the_frame
from keysat.web.api.watching import NO_JOBS, Jobs
from keysat.web.auth import ADMIN_PATH, admin_only
from keysat.web.entry import entry
from keysat.web.etag import Tags
from keysat.web.filters import plain_query
from keysat.web.idempotency import Idempotency
from keysat.web.meter import Meter
from keysat.web.openapi import openapi_config
from keysat.web.problems import HANDLERS
from keysat.web.provide import DEPENDENCIES
from keysat.web.routes import ADMIN_API, API, HOT_ROADS, PAGES
from keysat.web.static_files import static_files
from keysat.web.throttle import Throttle
from keysat.web.wire import WireRequest

PUBLIC_BODY_MAX = 64 * 1024
ADMIN_BODY_MAX = 1024 * 1024

_ADMIN: Mapping[str, Any] = {
    "path": ADMIN_PATH,
    "guards": [admin_only, plain_query],
    "middleware": [Tags()],
    "request_max_body_size": ADMIN_BODY_MAX,
}
"""Of each chapter's router: one router around them all would copy every handler once more at each start."""

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]


def create_app(shop: Shop, lifespan: Sequence[Lifespan] = (), jobs: Jobs = NO_JOBS) -> ASGIApp:
    """`lifespan`: what runs as long as the server. `jobs`: how those do, for /readyz and /metrics."""
    counts = Throttle(off=shop.settings.limits_off and shop.mode == Mode.SANDBOX)
    return entry(litestar(lifespan, jobs), shop, counts, HOT_ROADS)


def litestar(lifespan: Sequence[Lifespan] = (), jobs: Jobs = NO_JOBS) -> Litestar:
    admin_api = [chapter.router(**_ADMIN) for chapter in ADMIN_API]
    return Litestar(
        route_handlers=[*(chapter.router() for chapter in API), *PAGES, *admin_api, static_files()],
        request_class=WireRequest,
        dependencies=dict(DEPENDENCIES),
        middleware=[Idempotency()],
        exception_handlers={**HANDLERS, HTTPException: told_in_the_frame},  # where no page is, no router is asked
        after_exception=[recognise_who_is_lost],
        request_max_body_size=PUBLIC_BODY_MAX,
        lifespan=list(lifespan),
        state=State({"jobs": jobs, "meter": Meter()}),
        openapi_config=openapi_config([Tag(chapter.name, chapter.words) for chapter in (*API, *ADMIN_API)]),
        logging_config=None,
    )
