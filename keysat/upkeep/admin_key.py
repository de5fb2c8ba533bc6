"""The admin key that Keysat makes itself: shown once, kept as a hash."""

from keysat.infra.house import fact, write_once
from keysat.infra.work import Work
from keysat.kit.ids import token
from keysat.operators import tokens

ADMIN_KEY_HASH = "admin_key_hash"  # the fact in `house`
BITS = 255


async def make_admin_key(work: Work) -> str | None:
    """The key, for the one time it is shown. None: there is one already."""
    if await fact(work, ADMIN_KEY_HASH) is not None:
        return None
    key = tokens.KEY_PREFIX + token(work.chance, BITS)
    await write_once(work, ADMIN_KEY_HASH, tokens.hashed(key))
    return key
