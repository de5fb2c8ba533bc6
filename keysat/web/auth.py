"""Who asks, and whether he may: the bearer of the admin key, or anybody.

What an operation needs is data: the `subject` of its chapter (`routes.py`), or `opt=needs(scope)` on its handler.
"""

import hmac
from collections.abc import Mapping
from typing import Any, cast

from litestar.handlers.base import BaseRouteHandler
from litestar.types import HTTPScope

from keysat.infra.events import Actor
from keysat.infra.house import fact
from keysat.kit.errors import Forbidden, Unauthorized
from keysat.operators.scopes import ALL, Scope
from keysat.upkeep.admin_key import ADMIN_KEY_HASH, admin_key_hash
from keysat.upkeep.shop import Shop
from keysat.web.throttle import Rate
from keysat.web.visit import Connection, visit_of

ADMIN_PATH = "/v1/admin"
_SCOPE, _SUBJECT = "scope", "subject"


def about(subject: str) -> Mapping[str, Any]:
    """`opt=` of a router: its operations need `<subject>:read` to look and `<subject>:write` to change."""
    return {_SUBJECT: subject}


def needs(scope: Scope) -> Mapping[str, Any]:
    """`opt=` of a handler that needs another scope than its chapter's: `opt={**CREATES, **needs(Scope.OWNER)}`."""
    return {_SCOPE: scope}


def scope_of(handler: BaseRouteHandler, method: str) -> Scope:
    """What this operation needs. One that does not say is the owner's alone."""
    if _SCOPE in handler.opt:
        return Scope(handler.opt[_SCOPE])
    if _SUBJECT not in handler.opt:
        return Scope.OWNER
    return Scope(f"{handler.opt[_SUBJECT]}:{'read' if method in ('GET', 'HEAD') else 'write'}")


async def admin_only(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard. Raises Unauthorized without a bearer, Forbidden with a wrong one or one that may not do this,
    RateLimited after too many wrong ones.
    """
    visit = visit_of(connection)
    scheme, _, presented = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not presented.strip():
        raise Unauthorized("Send the admin key: Authorization: Bearer <key>.")
    if not await _is_admin_key(visit.shop, presented.strip()):
        visit.limit(Rate.WRONG_BEARER)
        raise Forbidden("This key is not known here.")
    visit.actor = Actor("admin_key", credential="admin_key", address=visit.address)
    visit.scopes = ALL
    needed = scope_of(handler, cast("HTTPScope", connection.scope)["method"])
    if needed not in visit.scopes:
        raise Forbidden(f"This needs the scope {needed}.")


async def _is_admin_key(shop: Shop, presented: str) -> bool:
    """The key in the settings, where there is one, else the one Keysat made. Compared in constant time.

    Only the latter is stored, and has so many random bits that its hash may be a fast one.
    """
    own = shop.settings.admin_api_key
    if own is not None:
        expected = admin_key_hash(own.reveal())
    else:
        async with shop.read() as read:
            expected = await fact(read, ADMIN_KEY_HASH) or ""
    return hmac.compare_digest(admin_key_hash(presented), expected)
