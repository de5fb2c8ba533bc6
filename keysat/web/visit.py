"""One request, from its first moment on: what every part of the door wants to know of it."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler
from litestar.types import Scope as AsgiScope

from keysat.checkout.desk import Desk
from keysat.infra.errand import Errand
from keysat.infra.events import Actor
from keysat.infra.work import Work
from keysat.kit.errors import Forbidden
from keysat.kit.gcra import Decision
from keysat.kit.ids import token
from keysat.operators.scopes import Scope
from keysat.operators.sessions import SignedIn
from keysat.payments.connections import Office
from keysat.upkeep.shop import Shop
from keysat.web.address import limit_key
from keysat.web.throttle import Rate, Throttle, refuse_unless

_KEY = "visit"
NONCE_BITS = 160

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]
"""Litestar runs one that is not async in a thread: two hops, and two of them at once."""


@dataclass(slots=True)
class Visit:
    shop: Shop
    throttle: Throttle
    now: datetime
    """The one reading of the clock for this request."""
    request_id: str
    address: str
    actor: Actor
    """A buyer, or at the operator's doors nobody known, until a guard finds out more."""
    scopes: frozenset[Scope] = frozenset()
    """What this operator's credential may do."""
    operator: SignedIn | None = None
    """Whose session the request came with."""
    calls: int = 0
    """How much needs attention, on the operator's pages."""
    etag: str | None = None
    """Of what this request shows, or has edited (`etag.py`)."""
    nonce: str | None = None
    rate: tuple[Rate, Decision] | None = None
    """The limit that was asked last: it stands in the answer's headers."""

    @property
    def errand(self) -> Errand:
        return Errand(self.shop.store, self.now, self.actor)

    @property
    def desk(self) -> Desk:
        return self.shop.desk(self.now, self.actor)

    @property
    def office(self) -> Office:
        return self.shop.office(self.now, self.actor)

    def work(self) -> AbstractAsyncContextManager[Work]:
        return self.errand.work()

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes

    def csp_nonce(self) -> str:
        """The same for the page's scripts and for its header."""
        if self.nonce is None:
            self.nonce = token(self.shop.chance, NONCE_BITS)
        return self.nonce

    def allows(self, rate: Rate, key: object = None) -> Decision:
        """One more, if that is within the limit. Without a key, the client's address is counted."""
        counted = limit_key(self.address) if key is None else str(key)
        decision = self.throttle.allows(rate, counted, self.now)
        self.rate = (rate, decision)
        return decision

    def need(self, scope: Scope) -> None:
        """Of an operation; and where one of its parameters asks for more than itself. Raises Forbidden."""
        if not self.may(scope):
            raise Forbidden(f"This needs the scope {scope}.")

    def limit(self, rate: Rate, key: object = None) -> None:
        """Raises RateLimited."""
        refuse_unless(self.allows(rate, key))


def enter(scope: AsgiScope, visit: Visit) -> None:
    state: dict[str, Any] = cast("dict[str, Any]", scope).setdefault("state", {})
    state[_KEY] = visit


def visit_of(connection: Connection | AsgiScope) -> Visit:
    scope = connection.scope if isinstance(connection, ASGIConnection) else connection
    return cast("Visit", scope["state"][_KEY])


def limited(rate: Rate) -> Guard:
    """Guard: `guards=[limited(Rate.PURCHASE)]` counts by address before a transaction is begun."""

    async def refuse_too_many(connection: Connection, _handler: BaseRouteHandler) -> None:
        visit_of(connection).limit(rate)

    return refuse_too_many
