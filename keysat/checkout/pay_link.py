"""The address where a subscriber pays: `/pay/{token}`, one for each subscription, as long as it lives.

The token is the subscription's id and a mark that only the holder of the vault key can make. So nothing is stored, the
row is found by its key, and a letter that is written again holds the same address. It opens the page to pay and nothing
else: neither the key nor who bought it.
"""

import base64
from hmac import compare_digest
from uuid import UUID

from keysat.infra import links
from keysat.infra.vault import Vault
from keysat.infra.work import Read
from keysat.kit.errors import NotFound
from keysat.subscriptions.tables import Subscription

DERIVED_AS = "pay-link"
ID_LETTERS = 26  # 128 bits of base32 (RFC 4648, 6), without its padding
PADDING = "======"
GONE = "There is no such page to pay. Check that the whole link was copied, or ask the seller."


def pay_token(vault: Vault, subscription_id: UUID) -> str:
    """52 characters of lower-case base32."""
    return (_text(subscription_id) + links.derived_text(vault, DERIVED_AS, subscription_id)).lower()


async def subscription_to_pay(read: Read, vault: Vault, token: str) -> Subscription:
    """Raises NotFound, with one text for all that does not fit."""
    try:
        subscription_id = UUID(bytes=base64.b32decode(token[:ID_LETTERS].upper() + PADDING))
    except ValueError:
        raise NotFound(GONE) from None
    is_ours = compare_digest(token.lower().encode(), pay_token(vault, subscription_id).encode())
    found = await read.session.get(Subscription, subscription_id) if is_ours else None
    if found is None:
        raise NotFound(GONE)
    return found


def _text(subscription_id: UUID) -> str:
    return base64.b32encode(subscription_id.bytes).decode().removesuffix(PADDING)
