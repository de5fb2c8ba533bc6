"""Keys of programs: `ks_` and 43 characters, shown once. A role and what is named besides; never keys or accounts."""

from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import select, update

from keysat.infra.filtered import paged
from keysat.infra.work import Read, Work
from keysat.kit.errors import BadRequest
from keysat.kit.paging import Page
from keysat.operators import tokens
from keysat.operators.happenings import ApiKeyCreated, ApiKeyRevoked
from keysat.operators.scopes import A_LA_CARTE, SCOPES, Role, Scope
from keysat.operators.tables import ApiKey, ApiKeyId

LABEL_MAX = 80

KeyRole = Literal["read-only", "license-issuer", "support", "merchant-onboard", "full-admin"]


class ApiKeyView(msgspec.Struct, frozen=True, kw_only=True):
    """`last_used_at` is exact to five minutes."""

    id: ApiKeyId
    label: str
    role: Role
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


def view(key: ApiKey) -> ApiKeyView:
    return ApiKeyView(
        id=key.id,
        label=key.label,
        role=key.role,
        scopes=tuple(map(Scope, key.scopes)),
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_used_at=key.used_at,
        revoked_at=key.revoked_at,
    )


async def create(
    work: Work, label: str, role: Role, scopes: frozenset[Scope], expires_at: datetime | None
) -> tuple[ApiKeyView, str]:
    """The key's text is shown now and never again. Raises BadRequest."""
    label = " ".join(label.split())
    if not label or not label.isprintable() or len(label) > LABEL_MAX:
        raise BadRequest(f"A label has 1 to {LABEL_MAX} characters that can be read.")
    if role == Role.OWNER:
        raise BadRequest("No key can be an owner: sign in with an account, or use the admin key.")
    if not scopes <= A_LA_CARTE:
        raise BadRequest(f"Only these are granted one by one: {', '.join(sorted(A_LA_CARTE))}.")
    if expires_at is not None and expires_at <= work.now:
        raise BadRequest("expires_at: that moment is over.")
    text = tokens.KEY_PREFIX + tokens.make(work.chance)
    key = ApiKey(
        id=ApiKeyId(work.new_id()),
        label=label,
        role=role,
        scopes=sorted(scopes),
        hash=tokens.hashed(text),
        created_at=work.now,
        expires_at=expires_at,
    )
    work.session.add(key)
    await work.session.flush()
    work.record(ApiKeyCreated(key_id=key.id, role=role, scopes=tuple(sorted(scopes)), expires_at=expires_at))
    return view(key), text


async def revoke(work: Work, key_id: ApiKeyId) -> tuple[ApiKeyView, bool]:
    """At once and for ever. False: it was revoked before, and stays as it is. Raises NotFound."""
    done = await work.session.execute(
        update(ApiKey)
        .where(ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=work.now)
        .returning(ApiKey.id)
        .execution_options(synchronize_session=False)
    )
    revoked = done.first() is not None
    if revoked:
        work.record(ApiKeyRevoked(key_id))
    return view(await work.get(ApiKey, key_id)), revoked


async def key_of(read: Read, text: str, now: datetime) -> ApiKey | None:
    """None: no such key, or it was revoked, or has expired."""
    if not text.startswith(tokens.KEY_PREFIX) or len(text) != len(tokens.KEY_PREFIX) + tokens.TOKEN_CHARACTERS:
        return None
    key = await read.session.scalar(select(ApiKey).where(ApiKey.hash == tokens.hashed(text)))
    return key if key is not None and _opens(key, now) else None


async def key_by_id(read: Read, key_id: UUID, now: datetime) -> ApiKey | None:
    """None: as `key_of`."""
    key = await read.session.get(ApiKey, key_id)
    return key if key is not None and _opens(key, now) else None


def scopes_of(key: ApiKey) -> frozenset[Scope]:
    return (SCOPES[key.role] | {Scope(scope) for scope in key.scopes} & A_LA_CARTE) - {Scope.OWNER}


async def api_keys(read: Read, limit: int, cursor: str | None = None) -> Page[ApiKeyView]:
    """The newest first, revoked ones too."""
    order = (ApiKey.created_at, ApiKey.id)
    return (await paged(read, select(ApiKey), order, limit, cursor, of="api_keys", latest_first=True)).map(view)


def _opens(key: ApiKey, now: datetime) -> bool:
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)
