"""How an error looks from outside: `application/problem+json` (RFC 9457) with the contract's `ok, error, message`.

The only file that knows which status goes with what. A browser that asked for a page gets one instead.
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, cast

import msgspec
from litestar import Litestar, Request, Response
from litestar.datastructures.headers import Accept
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import Receive, Scope, Send
from msgspec import Meta
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from keysat.kit import errors
from keysat.kit.errors import ErrorCode, KeysatError
from keysat.kit.states import IllegalStep
from keysat.web.html import page_text
from keysat.web.visit import visit_of
from keysat.web.wire import Outbound, WireRequest

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
SAYABLE = (
    errors.BadRequest,
    errors.Forbidden,
    errors.NotFound,
    errors.Conflict,
    errors.RateLimited,
    errors.UpstreamError,
    errors.Unavailable,
)
"""What a page with a form says itself, above the form. Anything else gets the page of an error."""

_BY_STATUS = {
    400: errors.BAD_REQUEST,
    401: errors.UNAUTHORIZED,
    403: errors.FORBIDDEN,
    404: errors.NOT_FOUND,
    405: errors.METHOD_NOT_ALLOWED,
    413: errors.TOO_LARGE,
    415: errors.UNSUPPORTED_MEDIA_TYPE,
}
_WORDS = {  # where the message of an error of the framework's own would not help, or says too much
    404: "There is nothing at this address.",
    405: "This address does not take this method.",
    413: "The body is larger than this address takes.",
}
_BLAND = "Something went wrong on our side. If it stays so, tell the seller the request id."
_BLAND_TO_OPERATORS = "Something went wrong. The shop's log says what: search it for the request id."
_PATH = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_QUOTES_VALUE = re.compile(r"^Invalid (enum )?value .*", re.DOTALL)
_MISSING = re.compile(r"^Missing required \w+ parameter '(\w+)'")
_MESSAGE_MAX = 300


class Problem(Outbound, frozen=True, kw_only=True):
    """An error. Further fields may follow, such as `upgrade_url` of a tier cap."""

    ok: bool = False
    error: Annotated[str, Meta(description="one of a fixed list of codes")]
    message: str
    type: str
    title: str
    status: int
    detail: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as it will be told."""

    code: ErrorCode
    message: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    extra: Mapping[str, str] = field(default_factory=dict[str, str])


def refusal_of(error: Exception) -> Refusal | None:
    """None: nobody foresaw this one."""
    match error:
        case KeysatError(code=errors.INTERNAL_ERROR):
            return None
        case KeysatError():
            return Refusal(error.code, error.message, _headers_of(error), error.extra)
        case IllegalStep():
            return Refusal(errors.CONFLICT, f"This is {error.state}, so that cannot be done with it.")
        case IntegrityError():
            return Refusal(errors.CONFLICT, "This was changed by someone else a moment ago. Look again and repeat.")
        case msgspec.ValidationError():
            return Refusal(errors.BAD_REQUEST, _field_message(str(error)))
        case msgspec.DecodeError():
            return Refusal(errors.BAD_REQUEST, "The body is not JSON.")
        case ValidationException():
            return Refusal(errors.BAD_REQUEST, _parameters_message(error))
        case HTTPException() if error.status_code < 500:
            code = _BY_STATUS.get(error.status_code, errors.BAD_REQUEST)
            words = _WORDS.get(error.status_code, "The request cannot be understood.")
            return Refusal(code, words, _allowing_head(error.headers or {}))
        case _:
            return None


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The handler of every exception. Logged here: what nobody foresaw, and what the database refused.

    With its traceback, under the request's id: a full disk is a 503 to the buyer, and must be told to the operator.
    """
    visit = visit_of(request)
    refusal = refusal_of(error)
    if refusal is None or isinstance(error.__cause__ or error, SQLAlchemyError):
        scope = cast("dict[str, str]", request.scope)
        route = scope.get("path_template", "?")  # never the path: it may hold an order's id
        log.error("%s %s failed (request %s)", request.method, route, visit.request_id, exc_info=error)
    for_operators = f"{request.scope['path']}/".startswith("/admin/")
    refusal = refusal or Refusal(errors.INTERNAL_ERROR, _BLAND_TO_OPERATORS if for_operators else _BLAND)
    status, headers = refusal.code.status, dict(refusal.headers)
    if wants_page(request.scope):
        template = "admin/problem.html" if for_operators else "problem.html"
        again = headers.get("Retry-After") if request.method == "GET" else None
        text = page_text(visit, template, refusal=refusal, request_id=visit.request_id, again_seconds=again)
        return Response(text, status_code=status, headers=headers, media_type="text/html")
    body = msgspec.to_builtins(_problem(refusal, visit.request_id)) | refusal.extra
    return Response(msgspec.json.encode(body), status_code=status, headers=headers, media_type=MEDIA_TYPE)


async def refuse(app: Litestar, scope: Scope, receive: Receive, send: Send, error: Exception) -> None:
    """The answer to a request that Litestar never saw."""
    scope["app"] = scope["litestar_app"] = app
    request = WireRequest(scope, receive, send)
    response: Any = answer(request, error)
    await response.to_asgi_response(app=None, request=request)(scope, receive, send)


HANDLERS: dict[int | type[Exception], Callable[[Request[Any, Any, Any], Exception], Response[Any]]] = {
    KeysatError: answer,
    IllegalStep: answer,
    HTTPException: answer,
    msgspec.DecodeError: answer,
    Exception: answer,
}


def wants_page(scope: Scope) -> bool:
    """A browser, not an API client: it prefers text/html, and asks for none of the API's paths."""
    if scope["path"].startswith("/v1/"):
        return False
    accepts = next((value for name, value in scope["headers"] if name == b"accept"), b"")
    return Accept(accepts.decode("latin-1")).best_match(["application/json", "text/html"]) == "text/html"


def refusals(*statuses: int) -> dict[int, ResponseSpec]:
    """`responses=` of a handler, for the OpenAPI document: `refusals(400, 404, 429)`."""
    titles = {status: " / ".join(code.title for code in errors.CODES if code.status == status) for status in statuses}
    return {
        status: ResponseSpec(Problem, description=title, media_type=MEDIA_TYPE, generate_examples=False)
        for status, title in titles.items()
    }


def _problem(refusal: Refusal, request_id: str) -> Problem:
    code = refusal.code
    return Problem(
        error=code.code,
        message=refusal.message,
        type=f"urn:keysat:error:{code.code}",
        title=code.title,
        status=code.status,
        detail=refusal.message,
        request_id=request_id,
    )


def _headers_of(error: KeysatError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if error.retry_after_seconds is not None:
        headers["Retry-After"] = str(error.retry_after_seconds)
    if error.code is errors.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return headers


def _allowing_head(headers: Mapping[str, str]) -> dict[str, str]:
    """HEAD is taken wherever GET is, in front of the router, which does not know."""
    allowed = next((value for name, value in headers.items() if name.lower() == "allow"), None)
    if allowed is None:
        return {}
    methods = set(allowed.split(", ")) | {"OPTIONS"}
    return {"Allow": ", ".join(sorted(methods | {"HEAD"} if "GET" in methods else methods))}


def _field_message(text: str) -> str:
    """msgspec's words, with the field's name in front and no value of the caller's in it."""
    found = _PATH.search(text)
    name = found.group(1) if found else ""
    words = _QUOTES_VALUE.sub("Not one of the allowed values", text[: found.start()] if found else text)
    words = words.partition(" matching regex")[0]
    return f"{name}: {words}"[:_MESSAGE_MAX] if name else words[:_MESSAGE_MAX]


def _parameters_message(error: ValidationException) -> str:
    """Litestar's own text repeats the URL; its `extra` names each parameter."""
    extra: Any = error.extra
    found = cast("list[Mapping[str, str]]", extra) if isinstance(extra, list) else []
    lines = [f"{each.get('key', '?')}: {_field_message(each.get('message', ''))}" for each in found]
    if missing := _MISSING.search(error.detail):
        lines.append(f"{missing.group(1)}: missing")
    if lines == ["data: 'data'"]:
        return "The body is missing."
    return "; ".join(lines)[:_MESSAGE_MAX] or "A parameter is missing or wrong."
