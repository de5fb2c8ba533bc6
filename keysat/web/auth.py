"""Who asks, and whether he may: the bearer of the admin key or of a scoped one, a browser that signed in, or anybody.

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
from keysat.operators import tokens
from keysat.operators.api_keys import key_of, scopes_of
from keysat.operators.scopes import ALL, Scope
from keysat.operators.sessions import signed_in
from keysat.upkeep.admin_key import ADMIN_KEY_HASH
from keysat.upkeep.shop import Shop
from keysat.web.security import same_origin
from keysat.web.throttle import Rate
from keysat.web.visit import Connection, Visit, visit_of

ADMIN_PATH = "/v1/admin"
SESSION_COOKIE = "keysat_session"
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
    """Guard. Who asks shows the admin key, a scoped key, or the cookie of a session, sent by a page of ours.

    Raises Unauthorized without any, Forbidden with a wrong one or one that may not do this, RateLimited after too many
    wrong ones.
    """
    visit = visit_of(connection)
    presented = _bearer(connection)
    if presented is not None:
        if not await _recognise_key(visit, presented):
            visit.limit(Rate.WRONG_BEARER)
            raise Forbidden("This key is not known here, or not any more.")
    elif "authorization" not in connection.headers and await recognise_session(connection):
        await same_origin(connection, handler)
    else:
        raise Unauthorized("Send the admin key or one of yours: Authorization: Bearer <key>.")
    visit.need(scope_of(handler, cast("HTTPScope", connection.scope)["method"]))


async def recognise_session(connection: Connection) -> bool:
    """Whether the cookie is that of a session: who it is then stands in the visit."""
    visit = visit_of(connection)
    token = connection.cookies.get(SESSION_COOKIE)
    if token is None:
        return False
    async with visit.shop.read() as read:
        operator = await signed_in(read, token, visit.now)
    if operator is None:
        return False
    visit.shop.seen.session(operator.session_id, operator.seen_at, visit.now)
    visit.operator, visit.scopes, visit.actor = operator, operator.scopes, operator.actor(visit.address)
    return True


def _bearer(connection: Connection) -> str | None:
    scheme, _, presented = connection.headers.get("authorization", "").partition(" ")
    return presented.strip() or None if scheme.lower() == "bearer" else None


async def _recognise_key(visit: Visit, presented: str) -> bool:
    if await _is_admin_key(visit.shop, presented):
        visit.actor = Actor("admin_key", credential="admin_key", address=visit.address)
        visit.scopes = ALL
        return True
    async with visit.shop.read() as read:
        key = await key_of(read, presented, visit.now)
    if key is None:
        return False
    visit.shop.seen.key(key.id, key.used_at, visit.now)
    visit.actor = Actor("api_key", credential=str(key.id), address=visit.address)
    visit.scopes = scopes_of(key)
    return True


async def _is_admin_key(shop: Shop, presented: str) -> bool:
    """The key in the settings, where there is one, else the one Keysat made. Compared in constant time.

    Only the latter is stored, and has so many random bits that its hash may be a fast one.
    """
    own = shop.settings.admin_api_key
    if own is not None:
        expected = tokens.hashed(own.reveal())
    else:
        async with shop.read() as read:
            expected = await fact(read, ADMIN_KEY_HASH) or ""
    return hmac.compare_digest(tokens.hashed(presented), expected)
