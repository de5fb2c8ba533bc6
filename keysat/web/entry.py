"""The ASGI function around Litestar: what holds for every request and every answer, whatever the route.

It knows paths and headers, and no routes but the hot roads it is given. Its own refusals look like all others.
"""

from collections.abc import Mapping
from time import perf_counter
from typing import Any, cast

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, HTTPScope, Message, Receive, Scope, Send

from keysat.infra.events import Actor
from keysat.kit.errors import BadRequest, KeysatError, NotFound
from keysat.kit.ids import token
from keysat.upkeep.person import BUYER
from keysat.upkeep.shop import Shop
from keysat.web import throttle
from keysat.web.address import client_address, unnamed_proxy
from keysat.web.auth import ADMIN_PATH
from keysat.web.hot import HotRoad, with_hot_roads
from keysat.web.meter import NOWHERE, Meter
from keysat.web.problems import refuse
from keysat.web.security import ALWAYS, UNLESS_SAID, content_policy
from keysat.web.throttle import Throttle
from keysat.web.visit import Visit, enter

REQUEST_ID_BITS = 80
NOT_FOR_BUYERS = (ADMIN_PATH, "/admin", "/metrics", "/healthz", "/readyz")
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "*",
    "Access-Control-Allow-Headers": "*",
    "Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
}


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


_ALWAYS, _UNLESS_SAID = _raw(ALWAYS), _raw(UNLESS_SAID)


def entry(app: Litestar, shop: Shop, counts: Throttle, roads: Mapping[str, HotRoad]) -> ASGIApp:
    """`app`, with request ids, CORS, HEAD, security headers, and no tolerance for NUL and slashes too many."""
    answered = with_hot_roads(app, roads)
    meter: Meter = app.state.meter

    async def enter_and_ask(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await app(scope, receive, send)
            return
        visit = _visit(scope, shop, counts)
        if (proxy := unnamed_proxy(_peer(scope), scope["headers"], shop.settings.trusted_proxies)) is not None:
            shop.unnamed_proxy.met(proxy)
        enter(scope, visit)
        began, status = perf_counter(), None
        without_body = scope["method"] in ("HEAD", "OPTIONS")
        if scope["method"] == "HEAD":
            scope = scope.copy()  # the server goes by its own, and lets an answer to HEAD be shorter than it says
            scope["method"] = "GET"

        async def send_dressed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _dress(message, visit)
            elif message["type"] == "http.response.body" and without_body:
                message["body"] = b""
            await send(message)

        refused = _malformed(scope)
        try:
            if scope["method"] == "OPTIONS":
                await _preflight(send_dressed)
            elif refused is not None:
                await refuse(app, scope, receive, send_dressed, refused)
            else:
                await answered(scope, receive, send_dressed)
        finally:
            route = scope["path"] if scope["path"] in roads else _template(scope)
            meter.answered(visit, scope["method"], route, status, perf_counter() - began)

    return enter_and_ask


def _template(scope: HTTPScope) -> str:
    """Litestar writes it into the scope once it has found the route."""
    return str(cast("dict[str, Any]", scope).get("path_template", NOWHERE))


def _visit(scope: HTTPScope, shop: Shop, counts: Throttle) -> Visit:
    address = client_address(_peer(scope), scope["headers"], shop.settings.trusted_proxies)
    return Visit(
        shop=shop,
        throttle=counts,
        now=shop.now(),
        request_id=token(shop.chance, REQUEST_ID_BITS),
        address=address,
        actor=Actor("anonymous" if scope["path"].startswith(NOT_FOR_BUYERS) else BUYER, address=address),
    )


def _peer(scope: HTTPScope) -> str | None:
    peer = scope["client"]
    return peer[0] if peer else None


def _malformed(scope: HTTPScope) -> KeysatError | None:
    path = scope["path"]
    if "\0" in path or b"%00" in scope["query_string"]:
        return BadRequest("The address holds a character that stands for nothing (NUL).")
    if "//" in path or (path.endswith("/") and path != "/"):
        return NotFound("There is nothing at this address.")
    return None


def _dress(message: HTTPResponseStartEvent, visit: Visit) -> None:
    """On the raw list: Litestar's mapping looks through all of it for each name."""
    said = dict(message["headers"])
    added = [(b"x-request-id", visit.request_id.encode()), *_ALWAYS]
    added += [header for header in _UNLESS_SAID if header[0] not in said]
    if b"content-security-policy" not in said:
        policy = content_policy(visit, said.get(b"content-type", b"").decode("latin-1"))
        added.append((b"content-security-policy", policy.encode()))
    if visit.etag is not None and message["status"] in (200, 304):
        added.append((b"etag", visit.etag.encode()))
    if visit.rate is not None:
        added += [header for header in _raw(throttle.headers(*visit.rate)) if header[0] not in said]
    message["headers"] = [*message["headers"], *added]


async def _preflight(send: Send) -> None:
    headers = [*_raw(_PREFLIGHT), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
