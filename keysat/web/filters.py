"""Query parameters of the operator's lists: a name that nobody reads is a mistake that should be told."""

from collections.abc import Callable

from litestar.handlers.base import BaseRouteHandler

from keysat.kit.errors import BadRequest
from keysat.web.visit import Connection


def only(*names: str) -> Callable[[Connection, BaseRouteHandler], None]:
    """`guards=[only("limit", "cursor")]`. Raises BadRequest for any other name in the query."""

    def refuse_others(connection: Connection, _handler: BaseRouteHandler) -> None:
        unknown = sorted(set(connection.query_params) - set(names))
        if unknown:
            raise BadRequest(f"There is no filter {unknown[0][:64]!r} here. Known: {', '.join(names)}.")

    return refuse_others
