"""Passwords: Argon2id by libsodium, in threads of its own, so that nobody waits for the hash of another.

libsodium draws the salt itself, from the system's random numbers (ASVS 11.5.1).
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from nacl.exceptions import InvalidkeyError
from nacl.pwhash import argon2id

from keysat.kit.errors import BadRequest, Unavailable
from keysat.kit.ids import Chance, token

CHARACTERS_MIN, CHARACTERS_MAX = 12, 256
MADE_BITS = 130
PASSES, MEMORY_BYTES = argon2id.OPSLIMIT_INTERACTIVE, argon2id.MEMLIMIT_INTERACTIVE  # 2 and 64 MiB: about 0.1 s
AT_ONCE, WAITING_MAX = 2, 20

NOBODYS = "$argon2id$v=19$m=65536,t=2,p=1$+PX0nJK4elLDlP/5fEAzeQ$bpkyQok/aTICtrg5Gn/dPGVKIBrnu5WL2RHoVGvjhuM"
"""Compared with where there is no account: it takes as long, and whatever fits it opens nothing."""

T = TypeVar("T")


def check(password: str) -> None:
    """Raises BadRequest. What a password is made of is its owner's business (ASVS 6.2.5)."""
    if not CHARACTERS_MIN <= len(password) <= CHARACTERS_MAX:
        raise BadRequest(f"A password has {CHARACTERS_MIN} to {CHARACTERS_MAX} characters.")


class Hashing:
    """At most two at once, and a queue with an end: each takes 64 MiB."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="argon2id")
        self._waiting = 0

    async def hashed(self, password: str) -> str:
        """Raises BadRequest for a password that is too short or too long, Unavailable when too many wait."""
        check(password)
        return await self._in_thread(lambda: argon2id.str(password.encode(), PASSES, MEMORY_BYTES).decode())

    async def given_or_made(self, given: str | None, chance: Chance) -> tuple[str | None, str]:
        """The password that was made, where none was given, and the hash. Raises as `hashed`."""
        if given is not None:
            return None, await self.hashed(given)
        made = token(chance, MADE_BITS)
        return made, await self.hashed(made)

    async def fits(self, password: str, hash: str | None) -> bool:
        """None is nobody's hash: False, after the same time. Raises Unavailable when too many wait."""
        if len(password) > CHARACTERS_MAX:
            password, hash = "", None
        fits = await self._in_thread(lambda: _fits(password, hash or NOBODYS))
        return fits and hash is not None

    async def _in_thread(self, act: Callable[[], T]) -> T:
        if self._waiting >= WAITING_MAX:
            raise Unavailable("Too many people sign in at once. Try again in a moment.", retry_after_seconds=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, act)
        finally:
            self._waiting -= 1


HASHING = Hashing()
"""Of this process: the limit is its memory."""


def _fits(password: str, hash: str) -> bool:
    try:
        return argon2id.verify(hash.encode(), password.encode())
    except InvalidkeyError:
        return False
