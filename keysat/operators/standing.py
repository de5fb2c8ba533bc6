"""What a credential may do at this moment, known by its id alone: for what was begun with it and ends without it."""

from datetime import datetime
from uuid import UUID

from keysat.infra.events import Actor
from keysat.infra.work import Read
from keysat.operators.api_keys import key_by_id, scopes_of
from keysat.operators.scopes import ALL, SCOPES, Scope
from keysat.operators.sessions import role_in
from keysat.operators.tables import SessionId


async def scopes_now(read: Read, actor: Actor, now: datetime) -> frozenset[Scope]:
    """None at all where the key was revoked, the session has ended, or its account was disabled."""
    if actor.kind == "admin_key":
        return ALL
    if actor.kind == "api_key" and actor.credential:
        key = await key_by_id(read, UUID(actor.credential), now)
        return scopes_of(key) if key is not None else frozenset()
    if actor.kind == "account" and actor.credential:
        role = await role_in(read, SessionId(UUID(actor.credential.partition("/")[2])), now)
        return SCOPES[role] if role is not None else frozenset()
    return frozenset()
