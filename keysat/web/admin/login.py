"""Signing in and out: name and password, then a code where the account asks for one. Plain forms, no JavaScript needed.

Both steps are counted in the database, by account and by address (`decisions.md`, Limits), whether they succeed or not;
browsers that signed in before each by themselves (`known.py`).
"""

from dataclasses import replace
from typing import Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import URLEncodedBody

from keysat.infra.errand import Errand
from keysat.kit.errors import KeysatError, RateLimited, Unauthorized, Unavailable
from keysat.operators import sessions
from keysat.operators.accounts import has_accounts, normal
from keysat.operators.login import WRONG_CODE, Half, finish, first_step, visitor
from keysat.web.admin.door import LOGIN, safe_back
from keysat.web.auth import SESSION_COOKIE, recognise_session
from keysat.web.html import page, see_other
from keysat.web.known import counted_as, make_known, take_pass
from keysat.web.provide import WithVisit
from keysat.web.sealed import brought_back, given
from keysat.web.security import give_cookie, same_origin
from keysat.web.shared_limits import limit_shared
from keysat.web.throttle import Rate
from keysat.web.visit import Visit
from keysat.web.wire import Line, Paragraph

HALF_SEALED_AS = "login-half"
TOLD = (Unauthorized, RateLimited, Unavailable)


class LoginForm(msgspec.Struct, frozen=True, kw_only=True):
    name: Line = ""
    password: Paragraph = ""
    next: Paragraph = ""


class CodeForm(msgspec.Struct, frozen=True, kw_only=True):
    half: Paragraph = ""
    """What the first step gave, sealed."""
    code: Line = ""
    next: Paragraph = ""


@get("/login")
async def show_login(request: Request[Any, Any, Any], visit: WithVisit) -> Response[Any]:
    """With `known`, a pass of `keysat account unlock`, the browser is counted by itself from now on."""
    back = safe_back(request.query_params.get("next", ""))
    if value := request.query_params.get("known"):
        response = see_other(LOGIN)
        take_pass(request, response, value)
        return response
    if await recognise_session(request):
        return see_other(back)
    return await _login_page(visit, LoginForm(next=back))


@post("/login", status_code=200, guards=[same_origin])
async def log_in(data: URLEncodedBody[LoginForm], request: Request[Any, Any, Any], visit: WithVisit) -> Response[Any]:
    try:
        await limit_shared(visit, Rate.LOGIN_ADDRESS)
        await limit_shared(visit, Rate.LOGIN_ACCOUNT, counted_as(request, visit, normal(data.name)))
        half = await first_step(_errand(visit), data.name, data.password)
        if half.needs_code:
            return _code_page(visit, given(visit.shop.vault, half, HALF_SEALED_AS), data.next)
        return await _let_in(request, visit, half, "", data.next)
    except TOLD as error:
        return await _login_page(visit, data, error)


@post("/login/code", status_code=200, guards=[same_origin])
async def send_code(data: URLEncodedBody[CodeForm], request: Request[Any, Any, Any], visit: WithVisit) -> Response[Any]:
    half = brought_back(visit.shop.vault, data.half, HALF_SEALED_AS, Half)
    if half is None:
        return await _login_page(visit, LoginForm(next=data.next), Unauthorized("Sign in again."))
    try:
        await limit_shared(visit, Rate.LOGIN_ADDRESS)
        await limit_shared(visit, Rate.LOGIN_CODE, half.account_id)
        return await _let_in(request, visit, half, data.code, data.next)
    except TOLD as error:
        return _code_page(visit, data.half, data.next, error)


@post("/logout", status_code=200, guards=[same_origin])
async def log_out(request: Request[Any, Any, Any], visit: WithVisit) -> Response[Any]:
    """Also for who is signed out already: the cookie goes."""
    if await recognise_session(request):
        await _end_this(visit)
    return with_session(request, see_other(LOGIN), "")


def with_session(request: Request[Any, Any, Any], response: Response[Any], token: str) -> Response[Any]:
    """The cookie of a session. An empty token takes it away."""
    give_cookie(request, response, SESSION_COOKIE, token, life=sessions.LIFE, path="/")
    return response


def _errand(visit: Visit) -> Errand:
    """Of who is not known yet, whatever the browser's older session says."""
    return replace(visit.errand, actor=visitor(visit.address))


async def _let_in(request: Request[Any, Any, Any], visit: Visit, half: Half, code: str, back: str) -> Response[Any]:
    """Raises Unauthorized. A session that the browser had before ends: it goes on with a new token alone."""
    async with _errand(visit).work() as work:
        browser = request.headers.get("user-agent", "")
        token = await finish(work, visit.shop.vault, half, code, visit.address, browser)
    if token is None:
        raise Unauthorized(WRONG_CODE)
    if await recognise_session(request):
        await _end_this(visit)
    response = with_session(request, see_other(safe_back(back)), token)
    make_known(request, response, half.name)
    return response


async def _end_this(visit: Visit) -> None:
    operator = visit.operator
    if operator is not None:
        async with visit.work() as work:
            await sessions.end(work, operator.account_id, only=operator.session_id)


async def _login_page(visit: Visit, form: LoginForm, trouble: KeysatError | None = None) -> Response[str]:
    async with visit.shop.read() as read:
        can = await has_accounts(read)
    return page(visit, "admin/login.html", trouble=trouble, form=form, has_accounts=can)


def _code_page(visit: Visit, half: str, back: str, trouble: KeysatError | None = None) -> Response[str]:
    return page(visit, "admin/login_code.html", trouble=trouble, half=half, next=back)


ROUTES = (show_login, log_in, send_code, log_out)
