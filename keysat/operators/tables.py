"""Operators' accounts with their sessions and recovery codes, and the keys of programs. Credentials are hashes here."""

from datetime import datetime
from typing import NewType
from uuid import UUID

from sqlalchemy import JSON, BigInteger, ForeignKey, LargeBinary, String
from sqlalchemy import Uuid as UuidType
from sqlalchemy.orm import Mapped, mapped_column

from keysat.infra.tables import Base
from keysat.operators.scopes import Role, Scope

AccountId = NewType("AccountId", UUID)
SessionId = NewType("SessionId", UUID)
ApiKeyId = NewType("ApiKeyId", UUID)


class Account(Base):
    """A person who may sign in. Never removed, since events name it: who shall not any more is disabled.

    `name_normal` is what names are compared by. `totp_step` is the last time step whose code was used.
    """

    __tablename__ = "accounts"

    id: Mapped[AccountId] = mapped_column(UuidType(), primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
    name_normal: Mapped[str] = mapped_column(String(80), unique=True)
    role: Mapped[Role]
    password_hash: Mapped[str] = mapped_column(String(128))
    totp_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    totp_step: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    password_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class RecoveryCode(Base):
    """Stands in for a code of the authenticator, once. `hash` is SHA-256 of the code."""

    __tablename__ = "recovery_codes"

    account_id: Mapped[AccountId] = mapped_column(UuidType(), ForeignKey("accounts.id"), primary_key=True)
    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    used_at: Mapped[datetime | None]


class Session(Base):
    """A browser that signed in. `hash` is SHA-256 of the token in its cookie; where it ended, there is no row.

    `seen_at` is coarse: it is written when it is older than five minutes.
    """

    __tablename__ = "sessions"

    id: Mapped[SessionId] = mapped_column(UuidType(), primary_key=True)
    account_id: Mapped[AccountId] = mapped_column(UuidType(), ForeignKey("accounts.id"), index=True)
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    address: Mapped[str | None] = mapped_column(String(64))
    browser: Mapped[str] = mapped_column(String(255))


class ApiKey(Base):
    """Of a program. `hash` is SHA-256 of the key, which was shown once; `used_at` is as coarse as a session's."""

    __tablename__ = "api_keys"

    id: Mapped[ApiKeyId] = mapped_column(UuidType(), primary_key=True)
    label: Mapped[str] = mapped_column(String(80))
    role: Mapped[Role]
    scopes: Mapped[list[Scope]] = mapped_column(JSON)
    hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
