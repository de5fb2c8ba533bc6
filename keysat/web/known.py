"""Browsers that signed in before. A stranger who fails with an account's name again and again locks none of them out.

Each is counted by itself, for the one name it is known for, as OWASP's device cookies are. The cookie opens nothing:
whoever steals it has five tries of his own, and none in the place of others.
"""

import base64
from datetime import timedelta
from typing import Any

from litestar import Request, Response

from keysat.infra.vault import Vault, VaultError
from keysat.infra.work import Work
from keysat.operators.tables import Account
from keysat.web.security import give_cookie
from keysat.web.shared_limits import empty
from keysat.web.throttle import Rate
from keysat.web.visit import Connection, Visit, visit_of

KNOWN_COOKIE = "keysat_known"
KNOWN_FOR = timedelta(days=180)  # after its last login
SEALED_AS = "known-browser"


def counted_as(connection: Connection, visit: Visit, name: str) -> str:
    """By what a login is counted: by this browser where it is known for that name, else by the name. Names as
    `accounts.normal` has them."""
    sealed, known_for = _opened(visit.shop.vault, connection.cookies.get(KNOWN_COOKIE, ""))
    return f"{name} {sealed.hex()}" if known_for == name else name


def make_known(request: Request[Any, Any, Any], response: Response[Any], name: str) -> None:
    take_pass(request, response, pass_for(visit_of(request).shop.vault, name))


def pass_for(vault: Vault, name: str) -> str:
    """What makes a browser a known one. `name` as `accounts.normal` has it."""
    return base64.urlsafe_b64encode(vault.seal(name.encode(), SEALED_AS)).decode()


def take_pass(request: Request[Any, Any, Any], response: Response[Any], value: str) -> None:
    """The cookie, where we gave that pass: at a login, or to whoever has the shop's machine."""
    if _opened(visit_of(request).shop.vault, value)[1] is not None:
        give_cookie(request, response, KNOWN_COOKIE, value, life=KNOWN_FOR, path="/admin/login")


async def unlock(work: Work, vault: Vault, account: Account) -> None:
    """Nobody has tried to sign in with this account, as far as the limits know."""
    for rate, key in (
        (Rate.LOGIN_ACCOUNT, account.name_normal),
        (Rate.LOGIN_ACCOUNT, account.id),
        (Rate.LOGIN_CODE, account.id),
    ):
        await empty(work, vault, rate, key)


def _opened(vault: Vault, value: str) -> tuple[bytes, str | None]:
    """The pass, which base64 has several spellings for, and the name that it is for. None: we never gave it."""
    try:
        sealed = base64.urlsafe_b64decode(value)
        return sealed, vault.open(sealed, SEALED_AS).decode()
    except (VaultError, ValueError):
        return b"", None
