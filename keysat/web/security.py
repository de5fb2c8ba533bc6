"""What the browser is told to refuse, and which forms we refuse. No page ever asks a third party for anything."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlsplit

from litestar import Request, Response
from litestar.datastructures import Cookie
from litestar.handlers.base import BaseRouteHandler
from litestar.types import HTTPScope, Scope

from keysat.infra.settings import Settings
from keysat.kit.errors import Forbidden
from keysat.payments.provider import Connection as PaymentConnection
from keysat.web.visit import Connection, Visit, visit_of

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Access-Control-Allow-Origin": "*",  # never with credentials (contract 2.3)
    "Access-Control-Expose-Headers": (
        "ETag, Idempotent-Replayed, RateLimit, RateLimit-Policy, Retry-After, X-Request-Id"
    ),
}
# What a handler may say differently.
UNLESS_SAID = {"Cache-Control": "no-store", "Referrer-Policy": "same-origin"}

SECRET_PAGE = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
"""Headers of a page whose address holds an order's id. Without a referrer a browser on plain http sends `Origin: null`
with a form, so a form on such a page goes to a handler without `same_origin` and carries the secret id instead."""

JSON_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"


def content_policy(visit: Visit, content_type: str) -> str:
    if not content_type.startswith("text/html"):
        return JSON_POLICY
    nonce = f"'nonce-{visit.csp_nonce()}'"
    # Chromium applies form-action to redirects too, and the buy form redirects to the provider's checkout.
    selling = (till.connection for till in visit.shop.tills.all() if till.sells)
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {nonce}",
            f"style-src 'self' {nonce}",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            " ".join(("form-action 'self'", *checkout_origins(selling))),
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    )


def checkout_origins(connections: Iterable[PaymentConnection]) -> list[str]:
    """Where these connections send buyers to pay."""
    urls = [urlsplit(connection.public_url or connection.base_url) for connection in connections]
    return sorted({f"{url.scheme}://{url.netloc}" for url in urls if url.scheme in ("http", "https") and url.netloc})


async def same_origin(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Guard of forms that a browser sends with its cookies: raises Forbidden for one from another site.

    `Sec-Fetch-Site` where the browser sends it (not on plain http), else `Origin` against our own address. Who sends
    neither and no cookie is no browser, and has nothing that could be abused.
    """
    if cast("HTTPScope", connection.scope)["method"] in SAFE_METHODS:
        return
    site, origin = connection.headers.get("sec-fetch-site"), connection.headers.get("origin")
    if site is not None:
        ours = site in ("same-origin", "none")
    elif origin is not None:
        host = _host(origin)
        ours = host is not None and host in _own_hosts(visit_of(connection).shop.settings, connection.scope)
    else:
        ours = "cookie" not in connection.headers
    if not ours:
        raise Forbidden("This form was sent from another site. Open the page again and repeat.")


def give_cookie(
    request: Request[Any, Any, Any], response: Response[Any], key: str, value: str, *, life: timedelta, path: str
) -> None:
    """For our own pages alone, and out of reach of scripts. An empty value takes it away.

    Secure where our own address is https; whoever comes by another name, such as `keysat.local` on plain http, has no
    https there and would never bring it back (D-17).
    """
    own = urlsplit(visit_of(request).shop.settings.public_url)
    is_own_https = own.scheme == "https" and request.headers.get("host") == own.netloc
    response.set_cookie(
        Cookie(
            key=key,
            value=value,
            max_age=int(life.total_seconds()) if value else 0,
            path=path,
            httponly=True,
            samesite="lax",
            secure=request.url.scheme == "https" or is_own_https,
        )
    )


def _own_hosts(settings: Settings, scope: Scope) -> set[str | None]:
    return {_host(settings.public_url), _host("//" + _header(scope["headers"], b"host"))}


def _host(url: str) -> str | None:
    """Host and port, without the port that goes without saying: a proxy may have taken the TLS off. None: no URL with
    a host, such as the origin `null`."""
    try:
        return urlsplit(url).netloc.lower().removesuffix(":443").removesuffix(":80") or None
    except ValueError:
        return None


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    return next((value.decode("latin-1") for found, value in headers if found == name), "")
