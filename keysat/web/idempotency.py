"""`Idempotency-Key`: a creating request that is sent twice creates once, and gets the first answer again.

`opt=CREATES` on a handler is all there is to do. The row is written before the handler runs, in a transaction of its
own; the answer is sealed into it afterwards (`decisions.md`, Idempotency and buyers). A process that dies in between
leaves a row in flight, which another request may take over after a minute: an errand then resumes from its own rows.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from sqlalchemy import delete, or_, select, update

from keysat.infra.events import digest
from keysat.infra.work import Work
from keysat.kit.errors import BadRequest, IdempotencyMismatch, RequestInFlight
from keysat.web.auth import ADMIN_PATH, admin_only
from keysat.web.held import Answer, answer_of, say
from keysat.web.tables import IdempotentAnswer
from keysat.web.visit import Visit, visit_of

CREATES: Mapping[str, Any] = {"creates": True}
"""`opt=` of every handler of a POST that creates something."""

KEPT = timedelta(hours=24)
GIVEN_UP_AFTER = timedelta(seconds=60)
SWEPT_AT_ONCE = 100
SEALED_AS = "idempotent-answer"
REPLAYED = (b"idempotent-replayed", b"true")
# The answer to these depends on who asks or when, not on what was asked: a repetition shall be tried again.
NOT_KEPT = frozenset({401, 403, 429})


@dataclass(frozen=True, slots=True)
class Asked:
    """One presentation of a key."""

    id: str
    body_hash: str
    claim: UUID


class Idempotency(ASGIMiddleware):
    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        handler = scope["route_handler"]
        if not handler.opt.get("creates"):
            await next_app(scope, receive, send)
            return
        request: Request[Any, Any, Any] = Request(scope, receive, send)
        key = request.headers.get("idempotency-key")
        if key is None:
            await next_app(scope, receive, send)
            return
        if scope["path"].startswith(ADMIN_PATH):  # before a row is written for whoever asks
            await admin_only(request, handler)
        if not (1 <= len(key) <= 255 and all("!" <= letter <= "~" for letter in key)):
            raise BadRequest("Idempotency-Key: send 1 to 255 visible ASCII characters.")
        visit = visit_of(scope)
        body = await request.body()  # kept by the request: the handler reads the same bytes again
        found = await _begin(visit, _row_id(request, visit, key), hashlib.sha256(body).hexdigest())
        if isinstance(found, Answer):
            await say(msgspec.structs.replace(found, headers=[*found.headers, REPLAYED]), send)
        else:
            await _ask(visit, found, next_app, scope, receive, send)


async def _begin(visit: Visit, row_id: str, body_hash: str) -> Asked | Answer:
    """Raises RequestInFlight and IdempotencyMismatch."""
    async with visit.work() as work:
        asked = Asked(row_id, body_hash, work.secret_id())
        await _sweep(work)
        if await _claim(work, asked):
            return asked
        row = await work.get(IdempotentAnswer, row_id)
        if row.body_hash != body_hash:
            raise IdempotencyMismatch("This Idempotency-Key came with another body before. Use a new one.")
        if row.answer_sealed is None:
            left = GIVEN_UP_AFTER - (work.now - row.begun_at)
            seconds = max(1, min(5, int(left.total_seconds())))
            raise RequestInFlight("The first request with this key is still running.", retry_after_seconds=seconds)
    return msgspec.msgpack.decode(visit.shop.vault.open(row.answer_sealed, SEALED_AS), type=Answer)


async def _claim(work: Work, asked: Asked) -> bool:
    """True: the request is ours to answer. A row that is in flight for too long, or too old, is taken over."""
    row = IdempotentAnswer
    values = {"body_hash": asked.body_hash, "claim": asked.claim, "begun_at": work.now, "answer_sealed": None}
    given_up = row.answer_sealed.is_(None) & (row.begun_at <= work.now - GIVEN_UP_AFTER)
    done = await work.session.execute(
        work.insert(row)
        .values(id=asked.id, **values)
        .on_conflict_do_update(index_elements=["id"], set_=values, where=or_(given_up, row.begun_at <= work.now - KEPT))
        .returning(row.id)
    )
    return done.first() is not None


async def _ask(visit: Visit, asked: Asked, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """The answer is kept before it is sent, so that whoever has seen it will see it again."""
    answer = await answer_of(app, scope, receive, send)
    await _finish(visit, asked, answer)
    await say(answer, send)


async def _finish(visit: Visit, asked: Asked, answer: Answer) -> None:
    row = IdempotentAnswer
    ours = (row.id == asked.id) & (row.claim == asked.claim)
    async with visit.work() as work:
        if answer.status >= 500 or answer.status in NOT_KEPT:
            await work.session.execute(delete(row).where(ours))
        else:
            sealed = visit.shop.vault.seal(msgspec.msgpack.encode(answer), SEALED_AS)
            await work.session.execute(update(row).where(ours).values(answer_sealed=sealed))


async def _sweep(work: Work) -> None:
    """A few of the old ones, each time a new one comes."""
    row = IdempotentAnswer
    old = select(row.id).where(row.begun_at <= work.now - KEPT).limit(SWEPT_AT_ONCE)
    await work.session.execute(delete(row).where(row.id.in_(old)).execution_options(synchronize_session=False))


def _row_id(request: Request[Any, Any, Any], visit: Visit, key: str) -> str:
    """One key of one caller on one route. The caller is the credential he shows, else his address."""
    caller = request.headers.get("authorization") or visit.actor.credential or visit.address
    return digest(visit.shop.vault.derive(SEALED_AS, caller.encode()).hex(), request.method, request.scope["path"], key)
