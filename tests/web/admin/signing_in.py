"""Somebody who is signed in, without a login: `async with signed_in(shop) as client`."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
from nacl.pwhash import argon2id

from keysat.operators import accounts, sessions
from keysat.operators.scopes import Role
from keysat.upkeep.shop import Shop
from keysat.web.auth import SESSION_COOKIE
from tests.conftest import TESTER
from tests.web.conftest import BROWSER, browse, doors_of

PASSWORD = "a password for the tests"
CHEAP = argon2id.str(PASSWORD.encode(), argon2id.OPSLIMIT_MIN, argon2id.MEMLIMIT_MIN).decode()
"""Its hash, at a cost that a test can pay twenty times."""


async def token_for(shop: Shop, role: Role = Role.OWNER, name: str = "") -> str:
    """A new session's token, of a new account whose password is PASSWORD."""
    async with shop.work(TESTER) as work:
        account = await accounts.create(work, name or f"{role} {work.token(20)}", role, CHEAP)
        _, token = await sessions.begin(work, account.id, "203.0.113.7", "Tests")
    return token


@asynccontextmanager
async def signed_in(shop: Shop, role: Role = Role.OWNER) -> AsyncGenerator[httpx.AsyncClient, None]:
    """A browser on our own pages: what it posts comes from there."""
    async with browse(doors_of(shop)) as client:
        client.base_url = httpx.URL(shop.settings.public_url)
        client.headers.update(BROWSER | {"Origin": shop.settings.public_url})
        client.cookies.set(SESSION_COOKIE, await token_for(shop, role), domain=client.base_url.host)
        yield client
