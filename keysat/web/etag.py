"""ETags: whoever edits what he has read is told when it is another thing by now (RFC 9110, 8.8.3 and 13.1).

`opt=TAGGED` on the GET of one object, `opt=edits(get_thing)` on what changes it, and nothing else: the tag is a hash of
what that GET answers, byte by byte, so that it is a strong one. `If-Match` is compared inside the transaction that
edits, against what the GET would answer in it. On PostgreSQL those who edit one object so wait for each other.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any

from litestar import Request
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.serialization import encode_json
from litestar.types import ASGIApp, Receive, Scope, Send
from sqlalchemy import text

from keysat.infra.work import Work
from keysat.kit.errors import BadRequest, PreconditionFailed
from keysat.web.held import Answer, answer_of, say
from keysat.web.problems import refuse
from keysat.web.visit import visit_of

TAGGED: Mapping[str, Any] = {"tagged": True}
"""`opt=` of the GET of one object that can be edited. It takes `read`, `now` and what its path names."""

_EDITS = "edits"
_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"')
_OF_THE_BODY = frozenset({b"content-type", b"content-length"})
_CHANGED = "This has changed since you read it. Read it again, and repeat what still holds."
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended(:object, 0))")


def edits(shown: HTTPRouteHandler) -> Mapping[str, Any]:
    """`opt=` of a handler that takes `work` and changes what `shown` answers to the same names in its path."""
    return {_EDITS: shown.fn}


def is_tagged(opt: Mapping[str, Any]) -> bool:
    return bool(opt.get("tagged"))


def is_edit(opt: Mapping[str, Any]) -> bool:
    return _EDITS in opt


class Tags(ASGIMiddleware):
    """Of GET: the tag goes out, and 304 instead of what the caller has already."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        if not is_tagged(scope["route_handler"].opt):
            await next_app(scope, receive, send)
            return
        answer = await answer_of(next_app, scope, receive, send)
        if answer.status == 200:  # who may not look is told so before anything else
            wanted = Conditions.of(Headers.from_scope(scope))
            tag = tag_of(answer.body)
            if not wanted.match(tag):
                await refuse(scope["litestar_app"], scope, receive, send, PreconditionFailed(_CHANGED))
                return
            visit_of(scope).etag = tag
            if wanted.know(tag):
                kept = [header for header in answer.headers if header[0].lower() not in _OF_THE_BODY]
                answer = Answer(304, kept, b"")
        await say(answer, send)


@dataclass(frozen=True, slots=True)
class Conditions:
    """Of a request. None: it has no such field."""

    if_match: frozenset[str] | None = None
    if_none_match: frozenset[str] | None = None

    @classmethod
    def of(cls, headers: Headers) -> "Conditions":
        """Raises BadRequest for what is no list of entity tags."""
        return cls(_named(headers, "If-Match"), _named(headers, "If-None-Match"))

    def match(self, tag: str) -> bool:
        """RFC 9110, 13.1.1: a strong comparison."""
        return self.if_match is None or not self.if_match.isdisjoint({"*", tag})

    def know(self, tag: str) -> bool:
        """RFC 9110, 13.1.2: a weak one."""
        named = self.if_none_match or frozenset()
        return not {name.removeprefix("W/") for name in named}.isdisjoint({"*", tag})


async def expect(request: Request[Any, Any, Any], work: Work) -> None:
    """Before a handler edits. Raises PreconditionFailed when the object is not the one that the caller has read."""
    shown = request.route_handler.opt.get(_EDITS)
    if shown is None:
        return
    if work.dialect == "postgresql":
        await work.session.execute(_LOCK, {"object": f"{shown.__name__} {request.path_params}"})
    wanted = Conditions.of(request.headers)
    if wanted == Conditions():
        return
    tag = await _tag_of_what_is_shown(request, work)
    if not wanted.match(tag) or wanted.know(tag):
        raise PreconditionFailed(_CHANGED)
    work.session.expunge_all()  # the verb shall read anew, under its own locks


async def afterwards(request: Request[Any, Any, Any], work: Work) -> str | None:
    """The tag of what a handler has edited; None when it is gone, or nothing was edited."""
    if not is_edit(request.route_handler.opt) or request.method == "DELETE":
        return None
    await work.session.flush()
    work.session.expunge_all()
    return await _tag_of_what_is_shown(request, work)


async def _tag_of_what_is_shown(request: Request[Any, Any, Any], work: Work) -> str:
    """By the GET, in this transaction. Raises what the GET raises."""
    shown = request.route_handler.opt[_EDITS]
    given = {"read": work, "now": work.now, **request.path_params}
    named = {name: given[name] for name in signature(shown).parameters if name in given}
    return tag_of(encode_json(await shown(**named)))


def tag_of(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


def _named(headers: Headers, field: str) -> frozenset[str] | None:
    value = ", ".join(headers.getall(field.lower(), [])).strip()
    if not value:
        return None
    if value == "*":
        return frozenset({"*"})
    if _TAG.sub("", value).strip(" \t,"):
        raise BadRequest(f"{field}: send the ETag as it came, with its quotes.")
    return frozenset(_TAG.findall(value))
