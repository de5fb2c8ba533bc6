"""The admin key that Keysat makes itself: shown once, kept as a hash."""

import hashlib

from keysat.infra.house import fact, write_once
from keysat.infra.work import Work
from keysat.kit.ids import token

ADMIN_KEY_HASH = "admin_key_hash"  # the fact in `house`
BITS = 255


def admin_key_hash(key: str) -> str:
    """Plain SHA-256: such a key has 255 random bits, which no one can try out."""
    return hashlib.sha256(key.encode()).hexdigest()


async def make_admin_key(work: Work) -> str | None:
    """The key, for the one time it is shown. None: there is one already."""
    if await fact(work, ADMIN_KEY_HASH) is not None:
        return None
    key = f"ks_{token(work.chance, BITS)}"
    await write_once(work, ADMIN_KEY_HASH, admin_key_hash(key))
    return key
