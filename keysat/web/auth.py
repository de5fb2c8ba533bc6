"""Who asks: the bearer of the admin key, or anybody."""

import hmac

from litestar.handlers.base import BaseRouteHandler

from keysat.infra.events import Actor
from keysat.infra.house import fact
from keysat.kit.errors import Forbidden, Unauthorized
from keysat.upkeep.admin_key import ADMIN_KEY_HASH, admin_key_hash
from keysat.upkeep.shop import Shop
from keysat.web.throttle import Rate
from keysat.web.visit import Connection, visit_of

ADMIN_PATH = "/v1/admin"


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
