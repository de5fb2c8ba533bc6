"""Keys for programs: what an owner makes, sees and revokes. The text of one is told once."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta
from msgspec.structs import asdict

from keysat.kit.paging import LIMIT_DEFAULT
from keysat.operators import api_keys
from keysat.operators.api_keys import LABEL_MAX, ApiKeyView, KeyRole
from keysat.operators.scopes import Role, Scope
from keysat.operators.tables import ApiKeyId
from keysat.web.filters import Cursor, Limit
from keysat.web.idempotency import CREATES
from keysat.web.problems import refusals
from keysat.web.provide import WithRead, WithWork
from keysat.web.wire import Instant, Outbound, StrictInbound


class NewKey(StrictInbound, frozen=True, kw_only=True):
    """`scopes`: what no role has and is granted by name. Without `expires_at` it is good until it is revoked."""

    label: Annotated[str, Meta(min_length=1, max_length=LABEL_MAX, examples=["CI of the website"])]
    role: Annotated[KeyRole, Meta(examples=["license-issuer"])]
    scopes: Annotated[tuple[Scope, ...], Meta(max_length=len(Scope))] = ()
    expires_at: Instant | None = None


class MadeKey(ApiKeyView, frozen=True, kw_only=True):
    """`token` is what the program sends as its bearer: it is told now and never again."""

    token: str


class Keys(Outbound, frozen=True, kw_only=True):
    api_keys: list[ApiKeyView]
    next_cursor: str | None


class Revoked(Outbound, frozen=True, kw_only=True):
    ok: bool = True
    revoked_at: datetime | None
    already_revoked: bool


@post("/api-keys", operation_id="createApiKey", status_code=200, opt=CREATES)
async def create_key(work: WithWork, data: JSONBody[NewKey]) -> MadeKey:
    """No role of a key makes keys or accounts, or does what else is the owner's."""
    made, token = await api_keys.create(work, data.label, Role(data.role), frozenset(data.scopes), data.expires_at)
    return MadeKey(**asdict(made), token=token)


@get("/api-keys", operation_id="listApiKeys")
async def list_keys(read: WithRead, limit: Limit = LIMIT_DEFAULT, cursor: Cursor = None) -> Keys:
    """The newest first, revoked and expired ones too."""
    page = await api_keys.api_keys(read, limit, cursor)
    return Keys(api_keys=page.items, next_cursor=page.next_cursor)


@delete("/api-keys/{key_id:uuid}", operation_id="revokeApiKey", status_code=200, responses=refusals(404))
async def revoke_key(work: WithWork, key_id: FromPath[UUID]) -> Revoked:
    """It opens nothing from this moment on. There is no way back."""
    view, revoked = await api_keys.revoke(work, ApiKeyId(key_id))
    return Revoked(revoked_at=view.revoked_at, already_revoked=not revoked)


ROUTES = (create_key, list_keys, revoke_key)
