"""The second step of a login: codes of an authenticator app, and ten recovery codes for who lost it.

Each code counts once (ASVS 6.5.1), by one guarded statement, so that of two browsers that send it one gets in.
"""

from sqlalchemy import delete, func, or_, select, update

from keysat.infra.vault import Vault
from keysat.infra.work import Read, Work
from keysat.kit.errors import BadRequest, Conflict
from keysat.operators import sessions, tokens, totp
from keysat.operators.happenings import RecoveryCodesRenewed, RecoveryCodeUsed, TotpSwitchedOff, TotpSwitchedOn
from keysat.operators.tables import Account, AccountId, RecoveryCode, SessionId

CODES = 10
CODE_BITS = 130  # so many that a plain hash will do (ASVS 6.5.2, 11.5.1)
CODE_GROUP = 7


async def switch_on(
    work: Work, vault: Vault, account_id: AccountId, session_id: SessionId, seed: bytes, typed: str
) -> tuple[str, list[str]]:
    """When the code shows that the app has the seed. Every other browser is signed out.

    Returns the token that this one goes on with, and the recovery codes for the one time they are shown. Raises
    BadRequest for a code that does not fit, Conflict where it is on already.
    """
    account = await work.hold(Account, account_id)
    if account.totp_sealed is not None:
        raise Conflict("The second step is switched on already.")
    step = totp.fitting_step(seed, _plain(typed), work.now)
    if step is None:
        raise BadRequest("That code does not fit. Type the one that the app shows now; is the phone's clock right?")
    account.totp_sealed, account.totp_step = vault.seal(seed, totp.SEALED_AS), step
    work.record(TotpSwitchedOn(account_id))
    codes = await _new_codes(work, account_id)
    return await sessions.go_on_alone(work, account_id, session_id), codes


async def renew_codes(work: Work, account_id: AccountId, session_id: SessionId) -> tuple[str, list[str]]:
    """As `switch_on`: ten new ones, and those of before open nothing. Raises Conflict where the step is off."""
    _on(await work.hold(Account, account_id))
    work.record(RecoveryCodesRenewed(account_id))
    codes = await _new_codes(work, account_id)
    return await sessions.go_on_alone(work, account_id, session_id), codes


async def switch_off(work: Work, account_id: AccountId, session_id: SessionId) -> str:
    """Returns the token that this browser goes on with; every other one is signed out. Raises Conflict."""
    await forget(work, _on(await work.hold(Account, account_id)))
    work.record(TotpSwitchedOff(account_id))
    return await sessions.go_on_alone(work, account_id, session_id)


async def forget(work: Work, account: Account) -> None:
    """Seed and recovery codes: the password alone will do."""
    account.totp_sealed = account.totp_step = None
    await work.session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account.id))


async def use_code(work: Work, vault: Vault, account: Account, typed: str) -> bool:
    """One of the app's codes, or a recovery code. False: it does not fit, or was used."""
    if account.totp_sealed is None:
        return False
    typed = _plain(typed)
    step = totp.fitting_step(vault.open(account.totp_sealed, totp.SEALED_AS), typed, work.now)
    if step is not None:
        used = (
            update(Account)
            .where(Account.id == account.id, or_(Account.totp_step.is_(None), Account.totp_step < step))
            .values(totp_step=step)
            .returning(Account.id)
        )
        return (await work.session.execute(used.execution_options(synchronize_session=False))).first() is not None
    row = RecoveryCode
    used = (
        update(row)
        .where(row.account_id == account.id, row.hash == tokens.hashed(typed), row.used_at.is_(None))
        .values(used_at=work.now)
        .returning(row.hash)
    )
    if (await work.session.execute(used.execution_options(synchronize_session=False))).first() is None:
        return False
    work.record(RecoveryCodeUsed(account.id))
    return True


async def codes_left(read: Read, account_id: AccountId) -> int:
    row = RecoveryCode
    unused = select(func.count()).where(row.account_id == account_id, row.used_at.is_(None))
    return (await read.session.scalars(unused)).one()


def _on(account: Account) -> Account:
    if account.totp_sealed is None:
        raise Conflict("The second step is switched off already.")
    return account


async def _new_codes(work: Work, account_id: AccountId) -> list[str]:
    codes = [work.token(CODE_BITS) for _ in range(CODES)]
    await work.session.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))
    work.session.add_all(RecoveryCode(account_id=account_id, hash=tokens.hashed(code)) for code in codes)
    return [_in_groups(code) for code in codes]


def _plain(typed: str) -> str:
    return "".join(typed.split()).replace("-", "").lower()


def _in_groups(code: str) -> str:
    return "-".join(code[start : start + CODE_GROUP] for start in range(0, len(code), CODE_GROUP))
