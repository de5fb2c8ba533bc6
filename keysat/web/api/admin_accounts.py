"""Accounts of those who operate the shop: what an owner makes and changes. Their own affairs are on /admin/account."""

from typing import Annotated
from uuid import UUID

from litestar import get, patch, post
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, Meta, UnsetType

from keysat.kit.paging import LIMIT_DEFAULT
from keysat.operators import accounts
from keysat.operators.accounts import NAME_MAX, AccountView
from keysat.operators.passwords import CHARACTERS_MAX, CHARACTERS_MIN, HASHING
from keysat.operators.scopes import Role
from keysat.operators.tables import Account, AccountId
from keysat.web.etag import TAGGED, edits
from keysat.web.filters import Cursor, Limit
from keysat.web.idempotency import CREATES
from keysat.web.known import unlock
from keysat.web.problems import refusals
from keysat.web.provide import WithRead, WithVisit, WithWork
from keysat.web.wire import NO_NUL, Outbound, StrictInbound

Password = Annotated[str, Meta(min_length=CHARACTERS_MIN, max_length=CHARACTERS_MAX, pattern=NO_NUL)]


class NewAccount(StrictInbound, frozen=True, kw_only=True):
    """Without `password` one is made."""

    name: Annotated[str, Meta(min_length=1, max_length=NAME_MAX, examples=["Ada"])]
    role: Annotated[Role, Meta(examples=["support"])]
    password: Password | None = None


class AccountEdit(StrictInbound, frozen=True, kw_only=True):
    """An absent field stays."""

    role: Role | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


class ResetBody(StrictInbound, frozen=True, kw_only=True):
    """Without `password` one is made."""

    password: Password | None = None


class MadeAccount(Outbound, frozen=True, kw_only=True):
    """`password` where one was made: it is told now and never again."""

    account: AccountView
    password: str | None


class Accounts(Outbound, frozen=True, kw_only=True):
    accounts: list[AccountView]
    next_cursor: str | None


@post("/accounts", operation_id="createAccount", status_code=200, opt=CREATES)
async def create_account(data: JSONBody[NewAccount], visit: WithVisit) -> MadeAccount:
    """Who signs in with it may do what its role allows; an `owner` may do all."""
    password, hashed = await HASHING.given_or_made(data.password, visit.shop.chance)
    async with visit.work() as work:
        made = await accounts.create(work, data.name, data.role, hashed)
    return MadeAccount(account=made, password=password)


@get("/accounts", operation_id="listAccounts")
async def list_accounts(read: WithRead, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None) -> Accounts:
    """By name, disabled ones too."""
    page = await accounts.accounts(read, limit, cursor)
    return Accounts(accounts=page.items, next_cursor=page.next_cursor)


@get("/accounts/{account_id:uuid}", operation_id="getAccount", opt=TAGGED, responses=refusals(404))
async def get_account(read: WithRead, account_id: FromPath[UUID]) -> AccountView:
    """One account."""
    return accounts.view(await read.get(Account, account_id))


@patch("/accounts/{account_id:uuid}", operation_id="editAccount", opt=edits(get_account), responses=refusals(404, 409))
async def edit_account(work: WithWork, account_id: FromPath[UUID], data: JSONBody[AccountEdit]) -> AccountView:
    """Another role, or disabled: every browser of the account is signed out. The last owner stays one."""
    return await accounts.edit(work, AccountId(account_id), data.role, data.disabled)


@post("/accounts/{account_id:uuid}/reset", operation_id="resetAccount", status_code=200, responses=refusals(404))
async def reset_account(account_id: FromPath[UUID], data: JSONBody[ResetBody], visit: WithVisit) -> MadeAccount:
    """For who lost password or phone: a new password, no second step, and every browser is signed out."""
    password, hashed = await HASHING.given_or_made(data.password, visit.shop.chance)
    async with visit.work() as work:
        account = await accounts.reset(work, AccountId(account_id), hashed)
        await unlock(work, visit.shop.vault, await work.get(Account, account_id))
    return MadeAccount(account=account, password=password)


ROUTES = (create_account, list_accounts, get_account, edit_account, reset_account)
