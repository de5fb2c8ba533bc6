"""Codes of an authenticator app: RFC 6238 with HMAC-SHA-1, six digits, thirty seconds, as all such apps know them."""

import base64
import hmac
from datetime import datetime
from urllib.parse import quote, urlencode

from keysat.kit.ids import Chance

SEED_BYTES = 20  # RFC 4226, 4: as long as the hash
STEP_SECONDS = 30
DIGITS = 6
WINDOW = 1
"""Steps before and after this one that count too: for clocks that differ, and people who type slowly."""

SEALED_AS = "totp-seed"


def new_seed(chance: Chance) -> bytes:
    return chance.bytes(SEED_BYTES)


def code(seed: bytes, step: int) -> str:
    """RFC 4226, 5.3."""
    mac = hmac.digest(seed, step.to_bytes(8, "big"), "sha1")
    offset = mac[-1] & 0xF
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFF_FFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def step_of(now: datetime) -> int:
    return int(now.timestamp()) // STEP_SECONDS


def fitting_step(seed: bytes, typed: str, now: datetime) -> int | None:
    """The step whose code this is. None: it fits none of the window's."""
    if not (typed.isascii() and typed.isdecimal() and len(typed) == DIGITS):
        return None
    steps = range(step_of(now) - WINDOW, step_of(now) + WINDOW + 1)
    fitting = [step for step in steps if hmac.compare_digest(code(seed, step), typed)]
    return max(fitting, default=None)


def text(seed: bytes) -> str:
    """For who cannot scan the picture: base32 in fours."""
    plain = base64.b32encode(seed).decode()
    return " ".join(plain[start : start + 4] for start in range(0, len(plain), 4))


def address(seed: bytes, shop: str, name: str) -> str:
    """What the picture holds: the `otpauth` address that authenticator apps read."""
    query = urlencode({"secret": base64.b32encode(seed).decode(), "issuer": shop}, quote_via=quote)
    return f"otpauth://totp/{quote(f'{shop}:{name}', safe='')}?{query}"
