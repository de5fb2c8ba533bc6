"""What must always hold of accounts and keys. `upkeep.doctor` asks; nothing here repairs."""

from datetime import datetime

from sqlalchemy import exists, select

from keysat.infra.work import Read
from keysat.operators.scopes import A_LA_CARTE, Role
from keysat.operators.tables import Account, ApiKey, RecoveryCode


async def broken(read: Read, _now: datetime) -> list[str]:
    """One sentence for each thing that does not hold; by id, never by name."""
    return [*await _keys_that_may_too_much(read), *await _codes_of_nothing(read)]


async def _keys_that_may_too_much(read: Read) -> list[str]:
    rows = await read.session.execute(select(ApiKey.id, ApiKey.role, ApiKey.scopes))
    return [
        f"API key {key_id} holds what no key may."
        for key_id, role, scopes in rows
        if role == Role.OWNER or not set(scopes) <= A_LA_CARTE
    ]


async def _codes_of_nothing(read: Read) -> list[str]:
    rows = await read.session.scalars(
        select(Account.id).where(Account.totp_sealed.is_(None), exists().where(RecoveryCode.account_id == Account.id))
    )
    return [f"Account {account_id} has recovery codes, but no second step." for account_id in rows]
