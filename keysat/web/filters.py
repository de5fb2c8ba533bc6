"""Query parameters of the operator's lists: a name that nobody reads is a mistake that should be told."""

from litestar.handlers.base import BaseRouteHandler

from keysat.kit.errors import BadRequest
from keysat.web.visit import Connection, Guard


def only(*names: str) -> Guard:
    """`guards=[only("limit", "cursor")]`. Raises BadRequest for any other name in the query."""

    async def refuse_others(connection: Connection, _handler: BaseRouteHandler) -> None:
        unknown = sorted(set(connection.query_params) - set(names))
        if unknown:
            raise BadRequest(f"There is no filter {unknown[0][:64]!r} here. Known: {', '.join(names)}.")

    return refuse_others
