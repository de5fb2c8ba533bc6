"""Browsers that signed in before. A stranger who fails with an account's name again and again locks none of them out.

Each is counted by itself, for the one name it is known for, as OWASP's device cookies are. The cookie opens nothing:
whoever steals it has five tries of his own, and none in the place of others.
"""

import base64
from datetime import timedelta

from litestar import Response
from litestar.datastructures import Cookie

from keysat.infra.vault import Vault, VaultError
from keysat.infra.work import Work
from keysat.operators.tables import Account
from keysat.web.shared_limits import empty
from keysat.web.throttle import Rate
from keysat.web.visit import Connection, Visit

KNOWN_COOKIE = "keysat_known"
KNOWN_FOR = timedelta(days=180)  # after its last login
SEALED_AS = "known-browser"


def counted_as(connection: Connection, visit: Visit, name: str) -> str:
    """By what a login is counted: by this browser where it is known for that name, else by the name. Names as
    `accounts.normal` has them."""
    sealed, known_for = _opened(visit.shop.vault, connection.cookies.get(KNOWN_COOKIE, ""))
    return f"{name} {sealed.hex()}" if known_for == name else name


def make_known(visit: Visit, response: Response[object], name: str, *, secure: bool) -> None:
    take_pass(visit, response, pass_for(visit.shop.vault, name), secure=secure)


def pass_for(vault: Vault, name: str) -> str:
    """What makes a browser a known one. `name` as `accounts.normal` has it."""
    return base64.urlsafe_b64encode(vault.seal(name.encode(), SEALED_AS)).decode()


def take_pass(visit: Visit, response: Response[object], value: str, *, secure: bool) -> None:
    """The cookie, where we gave that pass: at a login, or to whoever has the shop's machine."""
    if _opened(visit.shop.vault, value)[1] is None:
        return
    life = int(KNOWN_FOR.total_seconds())
    response.set_cookie(
        Cookie(
            key=KNOWN_COOKIE,
            value=value,
            max_age=life,
            path="/admin/login",
            httponly=True,
            samesite="lax",
            secure=secure,
        )
    )


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
