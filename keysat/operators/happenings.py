"""What happens to accounts, sessions and keys, in the past tense: by id, never by name, label or what was typed."""

from datetime import datetime
from enum import StrEnum

from keysat.infra.events import Happening
from keysat.operators.scopes import Role, Scope
from keysat.operators.tables import AccountId, ApiKeyId, SessionId


class Wrong(StrEnum):
    """What a login failed for. Who tried is not told."""

    ACCOUNT = "account"
    PASSWORD = "password"  # noqa: S105  a word
    CODE = "code"


class AccountCreated(Happening, frozen=True, tag="account.created"):
    account_id: AccountId
    role: Role


class AccountRoleChanged(Happening, frozen=True, tag="account.role_changed"):
    account_id: AccountId
    role: Role


class AccountDisabled(Happening, frozen=True, tag="account.disabled"):
    account_id: AccountId


class AccountEnabled(Happening, frozen=True, tag="account.enabled"):
    account_id: AccountId


class AccountReset(Happening, frozen=True, tag="account.reset"):
    account_id: AccountId


class PasswordChanged(Happening, frozen=True, tag="account.password_changed"):
    account_id: AccountId


class TotpSwitchedOn(Happening, frozen=True, tag="account.totp_switched_on"):
    account_id: AccountId


class TotpSwitchedOff(Happening, frozen=True, tag="account.totp_switched_off"):
    account_id: AccountId


class RecoveryCodesRenewed(Happening, frozen=True, tag="account.recovery_codes_renewed"):
    account_id: AccountId


class RecoveryCodeUsed(Happening, frozen=True, tag="account.recovery_code_used"):
    account_id: AccountId


class LoginSucceeded(Happening, frozen=True, tag="login.succeeded"):
    account_id: AccountId
    session_id: SessionId


class LoginFailed(Happening, frozen=True, tag="login.failed"):
    account: AccountId | None
    wrong: Wrong


class SessionEnded(Happening, frozen=True, tag="session.ended"):
    session_id: SessionId
    account_id: AccountId


class ApiKeyCreated(Happening, frozen=True, tag="api_key.created"):
    key_id: ApiKeyId
    role: Role
    scopes: tuple[Scope, ...]
    expires_at: datetime | None


class ApiKeyRevoked(Happening, frozen=True, tag="api_key.revoked"):
    key_id: ApiKeyId
