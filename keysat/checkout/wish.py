"""What a buyer asks for, and the checks that need nothing but its words."""

import hashlib
from dataclasses import dataclass
from urllib.parse import urlsplit

from keysat.kit.errors import BadRequest
from keysat.payments.provider import Rail

REDIRECT_MAX = 2000
RAIL_WORDS = {
    "lightning": Rail.LIGHTNING,
    "onchain": Rail.ONCHAIN,
    "on-chain": Rail.ONCHAIN,
    "on_chain": Rail.ONCHAIN,
    "card": Rail.CARD,
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a buyer asks for, as the doors have parsed it. Empty strings are absent ones."""

    product: str
    policy_slug: str | None = None
    offer: str | None = None
    code: str | None = None
    takes_featured: bool = True  # without a code, the tier's featured one; the buy page lets a buyer take it off
    buyer_email: str | None = None
    buyer_note: str | None = None
    redirect_url: str | None = None  # of `checked_redirect`
    rail: Rail | None = None
    buyer_token: str | None = None  # the buy page's cookie; API calls have none
    fingerprint: str | None = None  # of a device, for trials that are one for each
    takes_trial: bool = True  # where the tier has one
    only_free: bool = False  # it shall cost nothing, or not be opened at all

    @property
    def browser_hash(self) -> str | None:
        return hash_of(self.buyer_token) if self.buyer_token else None


def hash_of(buyer_token: str) -> str:
    return hashlib.sha256(buyer_token.encode()).hexdigest()


def rail_of(word: str | None) -> Rail | None:
    """An unknown word counts as absent (contract 3.7)."""
    return RAIL_WORDS.get(word.strip().lower()) if word else None


def checked_redirect(url: str | None) -> str | None:
    """Where the provider sends the buyer afterwards. Raises BadRequest unless it is an absolute http(s) address."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username
    except ValueError:
        sound = False
    if not sound or len(url) > REDIRECT_MAX or any(ord(char) <= 0x20 for char in url):
        raise BadRequest("redirect_url must be an absolute http or https address of at most 2000 characters.")
    return url
