"""The door of the operator's pages: who is signed in, what he may see, and the frame that every page stands in.

```python
@get("/providers", guards=[signed_in(Scope.PAYMENT_PROVIDERS_READ)])
async def show_providers(visit: WithVisit, read: WithRead) -> Response[str]:
    return admin_page(visit, "admin/providers.html", at="/admin/providers", providers=...)


ROUTES = (show_providers,)  # and one line in ADMIN_PAGES of routes.py, paths relative to /admin
```

A form posts to a handler with the same guard, which refuses other sites too. The template extends `admin/base.html`.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote
from uuid import UUID

from litestar import Request, Response, Router
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.handlers.base import BaseRouteHandler
from litestar.types import ControllerRouterHandler, HTTPScope
from litestar.types import Scope as AnyScope
from sqlalchemy.exc import SQLAlchemyError

from keysat.infra.attention import open_calls
from keysat.kit.errors import BadRequest, Forbidden, KeysatError, Unauthorized
from keysat.kit.states import IllegalStep
from keysat.operators.scopes import Scope
from keysat.web.auth import recognise_session
from keysat.web.html import page, see_other
from keysat.web.problems import answer, refusal_of, wants_page
from keysat.web.security import SAFE_METHODS, same_origin
from keysat.web.visit import Connection, Guard, Visit, visit_of
from keysat.web.wire import WireRequest

PATH = "/admin"
LOGIN = f"{PATH}/login"


@dataclass(frozen=True, slots=True)
class Place:
    """In the bar on top. Shown to who has the scope."""

    name: str
    path: str
    scope: Scope | None = None


PLACES = (
    Place("Home", PATH),
    Place("Providers", f"{PATH}/providers", Scope.PAYMENT_PROVIDERS_READ),
    Place("Profiles", f"{PATH}/profiles", Scope.MERCHANT_PROFILES_READ),
    Place("Webhooks", f"{PATH}/webhooks", Scope.WEBHOOKS_READ),
    Place("Account", f"{PATH}/account"),
)
"""A page adds its line here once it is there."""
TOLD_IN_THE_FRAME = (KeysatError, IllegalStep, HTTPException)


class SignInFirst(Unauthorized):
    """Nobody is signed in: the browser is sent to the login page, and comes back to `back`."""

    def __init__(self, back: str) -> None:
        super().__init__("Sign in first.")
        self.back = back


def signed_in(scope: Scope | None = None) -> Guard:
    """Guard of every page under /admin but the login: redirects there, or raises Forbidden.

    None: anybody who is signed in. `visit.operator` is set from here on.
    """

    async def let_in(connection: Connection, handler: BaseRouteHandler) -> None:
        if not await _recognise(connection):
            raise SignInFirst(_back(connection))
        await same_origin(connection, handler)
        if scope is not None and scope not in visit_of(connection).scopes:
            raise Forbidden(f"Your account may not do this: it needs the scope {scope}.")

    return let_in


async def recognise_who_is_lost(error: Exception, scope: AnyScope) -> None:
    """Where no page is. Strangers are not sent to the login: there is nothing to come back to."""
    if isinstance(error, NotFoundException | MethodNotAllowedException) and f"{scope['path']}/".startswith(f"{PATH}/"):
        with suppress(KeysatError, SQLAlchemyError):  # then it is said without the frame
            await _recognise(WireRequest(scope))


def admin_page(
    visit: Visit,
    template: str,
    /,
    *,
    at: str,
    trouble: KeysatError | None = None,
    headers: Mapping[str, str] | None = None,
    **context: object,
) -> Response[str]:
    """As `page`. Templates see `operator` (who is signed in) and `may(scope)` besides. `at`: its path in the bar."""
    context |= {"at": at, "places": _places(visit), "operator": visit.operator, "may": visit.may, "calls": visit.calls}
    return page(visit, template, trouble=trouble, headers=headers, seller=None, **context)


def admin_router(handlers: Sequence[ControllerRouterHandler]) -> Router:
    return Router(
        path=PATH,
        route_handlers=handlers,
        include_in_schema=False,
        exception_handlers={SignInFirst: _to_login, **dict.fromkeys(TOLD_IN_THE_FRAME, told_in_the_frame)},
    )


def id_in(text: str, what: str) -> UUID:
    """Of a form's field. Raises BadRequest."""
    try:
        return UUID(text)
    except ValueError:
        raise BadRequest(f"There is no such {what}.") from None


def safe_back(path: str) -> str:
    """Where to go after the login: a page of ours, whatever was asked for."""
    ours = path == PATH or path.startswith((f"{PATH}/", f"{PATH}?"))
    return path if ours and path.isascii() and path.isprintable() and "\\" not in path and "//" not in path else PATH


async def _recognise(connection: Connection) -> bool:
    """With what the frame shows."""
    if not await recognise_session(connection):
        return False
    visit = visit_of(connection)
    if visit.may(Scope.ORDERS_READ):
        visit.calls = await open_calls(visit.shop.store)
    return True


def _places(visit: Visit) -> list[Place]:
    return [place for place in PLACES if place.scope is None or visit.may(place.scope)]


def _back(connection: Connection) -> str:
    scope = cast("HTTPScope", connection.scope)
    if scope["method"] not in SAFE_METHODS:
        return PATH
    query = scope["query_string"].decode("latin-1")
    return safe_back(scope["path"] + (f"?{query}" if query else ""))


def _to_login(request: Request[Any, Any, Any], error: SignInFirst) -> Response[Any]:
    if not wants_page(request.scope):
        return answer(request, error)
    back = "" if error.back == PATH else f"?next={quote(error.back, safe='/')}"
    return see_other(LOGIN + back)


def told_in_the_frame(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """To who is signed in."""
    visit, refusal = visit_of(request), refusal_of(error)
    if visit.operator is None or refusal is None or refusal.code.status >= 500 or not wants_page(request.scope):
        return answer(request, error)
    response = admin_page(
        visit, "admin/refused.html", at="", headers=refusal.headers, refusal=refusal, request_id=visit.request_id
    )
    response.status_code = refusal.code.status
    return response
