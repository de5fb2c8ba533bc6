"""Browsers that signed in before. A stranger who fails with an account's name again and again locks none of them out.

Each is counted by itself, for the one name it is known for, as OWASP's device cookies are. The cookie opens nothing:
whoever steals it has five tries of his own, and none in the place of others.
"""

import base64
from datetime import timedelta

from litestar import Response
from litestar.datastructures import Cookie

from keysat.infra.vault import VaultError
from keysat.web.visit import Connection, Visit

KNOWN_COOKIE = "keysat_known"
KNOWN_FOR = timedelta(days=180)  # after its last login
SEALED_AS = "known-browser"


def counted_as(connection: Connection, visit: Visit, name: str) -> str:
    """By what a login is counted: by this browser where it is known for that name, else by the name. Names as
    `accounts.normal` has them."""
    try:
        sealed = base64.urlsafe_b64decode(connection.cookies.get(KNOWN_COOKIE, ""))
        known_for = visit.shop.vault.open(sealed, SEALED_AS).decode()
    except (VaultError, ValueError):
        return name
    return f"{name} {sealed.hex()}" if known_for == name else name


def make_known(visit: Visit, response: Response[object], name: str, *, secure: bool) -> None:
    value = base64.urlsafe_b64encode(visit.shop.vault.seal(name.encode(), SEALED_AS)).decode()
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
