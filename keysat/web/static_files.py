"""The files of the pages. One that is asked for by the address a page gives never changes, and is kept for a year."""

from functools import cache

from litestar import Router
from litestar.datastructures import CacheControlHeader
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.static_files import create_static_files_router  # pyright: ignore[reportUnknownVariableType]
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from keysat.web.html import STATIC_PATH, static, static_folder

DAY_SECONDS = 86_400
FOR_EVER = b"public, max-age=31536000, immutable"  # RFC 8246


def static_files() -> Router:
    return create_static_files_router(
        path=STATIC_PATH,
        directories=[static_folder()],
        cache_control=CacheControlHeader(max_age=DAY_SECONDS, public=True),
        middleware=[KeptForEver()],
    )


class KeptForEver(ASGIMiddleware):
    """Only with the hash of what is sent: while a new version is rolled out, its addresses may reach an old process."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        async def send_kept(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 200:
                others = [header for header in message["headers"] if header[0].lower() != b"cache-control"]
                message["headers"] = [*others, (b"cache-control", FOR_EVER)]
            await send(message)

        address = f"{scope['path']}?{scope['query_string'].decode('latin-1')}"
        await next_app(scope, receive, send_kept if address in _addresses() else send)


@cache
def _addresses() -> frozenset[str]:
    folder = static_folder()
    return frozenset(static(file.relative_to(folder).as_posix()) for file in folder.rglob("*") if file.is_file())
