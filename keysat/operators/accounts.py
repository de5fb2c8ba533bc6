"""Accounts: made, given another role, disabled, reset. There is always one owner who can sign in."""

import unicodedata
from datetime import datetime
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import select

from keysat.infra.filtered import paged
from keysat.infra.work import Read, Work, flushed
from keysat.kit.errors import BadRequest, Conflict, NotFound
from keysat.kit.paging import Page
from keysat.operators import second_step, sessions
from keysat.operators.happenings import (
    AccountCreated,
    AccountDisabled,
    AccountEnabled,
    AccountReset,
    AccountRoleChanged,
    PasswordChanged,
)
from keysat.operators.scopes import Role
from keysat.operators.tables import Account, AccountId, SessionId

NAME_MAX = 80

State = Literal["active", "disabled"]


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """`totp`: a code of an authenticator app is asked for."""

    id: AccountId
    name: str
    role: Role
    totp: bool
    created_at: datetime
    password_at: datetime
    disabled_at: datetime | None


def view(account: Account) -> AccountView:
    return AccountView(
        id=account.id,
        name=account.name,
        role=account.role,
        totp=account.totp_sealed is not None,
        created_at=account.created_at,
        password_at=account.password_at,
        disabled_at=account.disabled_at,
    )


def normal(name: str) -> str:
    """What names are compared by: Unicode NFKC, without case, one space between words."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


async def create(work: Work, name: str, role: Role, password_hash: str) -> AccountView:
    """Raises BadRequest, Conflict for a name that is taken."""
    shown, compared = " ".join(name.split()), normal(name)
    if not shown or not shown.isprintable() or len(shown) > NAME_MAX or len(compared) > NAME_MAX:
        raise BadRequest(f"A name has 1 to {NAME_MAX} characters that can be read.")
    account = Account(
        id=AccountId(work.new_id()),
        name=shown,
        name_normal=compared,
        role=role,
        password_hash=password_hash,
        created_at=work.now,
        password_at=work.now,
    )
    async with flushed(work, "There is an account of this name already."):
        work.session.add(account)
    work.record(AccountCreated(account.id, role))
    return view(account)


async def edit(
    work: Work, account_id: AccountId, role: Role | UnsetType = UNSET, disabled: bool | UnsetType = UNSET
) -> AccountView:
    """Who has another role from now on signs in again. Raises NotFound, Conflict for the last owner."""
    owners = await _hold_owners(work)
    account = await work.hold(Account, account_id)
    stays_owner = (role is UNSET or role == Role.OWNER) and disabled is not True
    if owners == [account_id] and not stays_owner:
        raise Conflict("This is the last owner who can sign in: make another one first.")
    if role is not UNSET and role != account.role:
        account.role = role
        work.record(AccountRoleChanged(account_id, role))
        await sessions.end(work, account_id)
    if disabled is not UNSET and disabled != (account.disabled_at is not None):
        account.disabled_at = work.now if disabled else None
        work.record(AccountDisabled(account_id) if disabled else AccountEnabled(account_id))
        await sessions.end(work, account_id)
    return view(account)


async def reset(work: Work, account_id: AccountId, password_hash: str) -> AccountView:
    """For who lost password or authenticator: a new password, no second step, and every browser signed out."""
    account = await work.hold(Account, account_id)
    _set_password(work, account, password_hash)
    await second_step.forget(work, account)
    await sessions.end(work, account_id)
    work.record(AccountReset(account_id))
    return view(account)


async def change_password(work: Work, account_id: AccountId, password_hash: str, session_id: SessionId) -> str:
    """Signs every other browser out. Returns the token that this one goes on with."""
    _set_password(work, await work.hold(Account, account_id), password_hash)
    work.record(PasswordChanged(account_id))
    return await sessions.go_on_alone(work, account_id, session_id)


async def account_named(read: Read, name: str) -> Account | None:
    return await read.session.scalar(select(Account).where(Account.name_normal == normal(name)[:NAME_MAX]))


async def one_named(read: Read, name: str) -> Account:
    """Raises NotFound."""
    account = await account_named(read, name)
    if account is None:
        raise NotFound(f"There is no account {name!r}.")
    return account


async def accounts(read: Read, limit: int, cursor: str | None = None) -> Page[AccountView]:
    """By name."""
    page = await paged(read, select(Account), [Account.name_normal], limit, cursor, of="accounts")
    return page.map(view)


async def has_accounts(read: Read) -> bool:
    return await read.session.scalar(select(Account.id).limit(1)) is not None


async def _hold_owners(work: Work) -> list[AccountId]:
    """Owners who can sign in, held against others who would take the last but one away at the same time."""
    rows = await work.session.scalars(
        select(Account.id)
        .where(Account.role == Role.OWNER, Account.disabled_at.is_(None))
        .order_by(Account.id)
        .with_for_update()
    )
    return list(rows)


def _set_password(work: Work, account: Account, password_hash: str) -> None:
    account.password_hash = password_hash
    account.password_at = work.now
