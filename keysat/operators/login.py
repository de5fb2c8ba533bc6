"""Signing in: name and password, then a code where the account asks for one. Each failure is an event."""

from datetime import datetime, timedelta

import msgspec

from keysat.infra.errand import Errand
from keysat.infra.events import Actor
from keysat.infra.vault import Vault
from keysat.infra.work import Work
from keysat.kit.errors import Forbidden, Unauthorized
from keysat.operators import sessions
from keysat.operators.accounts import account_named
from keysat.operators.happenings import LoginFailed, LoginSucceeded, Wrong
from keysat.operators.passwords import HASHING
from keysat.operators.second_step import use_code
from keysat.operators.tables import Account, AccountId

WRONG_CODE = "That code does not fit, or was used already."
HALF_WAY = timedelta(minutes=5)
"""How long a right password is good for while the code is looked up."""


class Half(msgspec.Struct, frozen=True):
    """A right password was sent. Between the steps the browser keeps it, sealed. `name` as `accounts.normal` has it."""

    account_id: AccountId
    name: str
    password_at: datetime
    until: datetime
    needs_code: bool


async def first_step(errand: Errand, name: str, password: str) -> Half:
    """Raises Unauthorized, with the same words after the same time whether there is such an account or not."""
    async with errand.read() as read:
        account = await account_named(read, name)
    can = account is not None and account.disabled_at is None
    fits = await HASHING.fits(password, account.password_hash if account is not None and can else None)
    if account is None or not fits:
        async with errand.work() as work:
            if account is None:
                work.record(LoginFailed(None, Wrong.ACCOUNT))
            else:
                work.record(LoginFailed(account.id, Wrong.PASSWORD if can else Wrong.ACCOUNT))
        raise Unauthorized("Name or password is wrong.")
    until = errand.now + HALF_WAY
    return Half(account.id, account.name_normal, account.password_at, until, account.totp_sealed is not None)


async def confirm(errand: Errand, account_id: AccountId, password: str) -> None:
    """Before something weighty, of who is signed in: it is still the same person. Raises Forbidden."""
    async with errand.read() as read:
        account = await read.get(Account, account_id)
    if not await HASHING.fits(password, account.password_hash):
        async with errand.work() as work:
            work.record(LoginFailed(account_id, Wrong.PASSWORD))
        raise Forbidden("That is not your password.")


async def confirm_code(errand: Errand, vault: Vault, account_id: AccountId, code: str) -> None:
    """As `confirm`, and of who has the second step: it takes a code, that counts no more. Raises Forbidden."""
    async with errand.work() as work:
        account = await work.hold(Account, account_id)
        fits = account.totp_sealed is None or await use_code(work, vault, account, code)
        if not fits:
            work.record(LoginFailed(account_id, Wrong.CODE))
    if not fits:
        raise Forbidden(WRONG_CODE)


async def finish(work: Work, vault: Vault, half: Half, code: str, address: str, browser: str) -> str | None:
    """The token for the cookie. None: the code is wrong or was used, which is written down.

    Raises Unauthorized when the first step counts no longer.
    """
    account = await work.hold(Account, half.account_id)
    if work.now > half.until or account.disabled_at is not None or account.password_at != half.password_at:
        raise Unauthorized("That took too long, or the account has changed. Sign in again.")
    if account.totp_sealed is not None and not await use_code(work, vault, account, code):
        work.record(LoginFailed(account.id, Wrong.CODE))
        return None
    session_id, token = await sessions.begin(work, account.id, address, browser)
    work.record(LoginSucceeded(account.id, session_id))
    return token


def visitor(address: str) -> Actor:
    """Who is not known yet."""
    return Actor("login", address=address)
