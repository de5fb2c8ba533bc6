"""Who asks: the bearer of the admin key, or anybody."""

import hashlib
import hmac

from litestar.handlers.base import BaseRouteHandler

from keysat.infra.events import Actor
from keysat.infra.house import fact
from keysat.kit.errors import Forbidden, Unauthorized
from keysat.upkeep.shop import Shop
from keysat.web.throttle import Rate
from keysat.web.visit import Connection, visit_of

ADMIN_KEY_HASH = "admin_key_hash"  # the fact in `house`


def admin_key_hash(key: str) -> str:
    """What the house keeps of an admin key that Keysat made itself.

    Plain SHA-256: such a key has 256 random bits, which no one can try out. A key that the operator chose stands in
    the settings and is never stored, so nothing needs a slow hash.
    """
    return hashlib.sha256(key.encode()).hexdigest()


async def admin_only(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Guard. Raises Unauthorized without a bearer, Forbidden with a wrong one, RateLimited after too many of those."""
    visit = visit_of(connection)
    scheme, _, presented = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not presented.strip():
        raise Unauthorized("Send the admin key: Authorization: Bearer <key>.")
    if not await _is_admin_key(visit.shop, presented.strip()):
        visit.limit(Rate.WRONG_BEARER)
        raise Forbidden("This key is not known here.")
    visit.actor = Actor("admin_key", credential="admin_key", address=visit.address)


async def _is_admin_key(shop: Shop, presented: str) -> bool:
    """The key in the settings, where there is one, else the one Keysat made. Compared in constant time."""
    own = shop.settings.admin_api_key
    if own is not None:
        expected = admin_key_hash(own.reveal())
    else:
        async with shop.read() as read:
            expected = await fact(read, ADMIN_KEY_HASH) or ""
    return hmac.compare_digest(admin_key_hash(presented), expected)
