"""What opens a door: 256 random bits, of which a table holds the SHA-256 alone.

So many bits can be tried out by nobody, so that a fast hash will do (ASVS 6.5.2, 7.2.3, 11.5.1).
"""

import base64
import hashlib

from keysat.kit.ids import Chance

TOKEN_BYTES = 32
TOKEN_CHARACTERS = 43
KEY_PREFIX = "ks_"


def make(chance: Chance) -> str:
    """43 characters of base64url (RFC 4648, 5)."""
    return base64.urlsafe_b64encode(chance.bytes(TOKEN_BYTES)).decode().rstrip("=")


def hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
