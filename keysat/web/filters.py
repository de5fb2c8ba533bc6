"""Query parameters of the operator's lists: a name that nobody reads is a mistake that should be told."""

from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi.spec import Example
from litestar.params import QueryParameter

from keysat.catalog import checks
from keysat.customers.accounts import find
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest
from keysat.kit.paging import LIMIT_MAX
from keysat.web.visit import Connection, Guard
from keysat.web.wire import NO_NUL

Limit = Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)]
Cursor = Annotated[str | None, QueryParameter()]
Slug = Annotated[str | None, QueryParameter(max_length=255, pattern=NO_NUL)]
Address = Annotated[
    str | None, QueryParameter(max_length=254, pattern=NO_NUL, examples=[Example(value="ann@example.org")])
]
Moment = Annotated[datetime | None, QueryParameter(description="An RFC 3339 instant. `before` itself is left out.")]
Wanted = TypeVar("Wanted", bound=msgspec.Struct)


def instants(wanted: Wanted) -> Wanted:
    """With its moments in UTC. Raises BadRequest for one that is none."""
    given = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
    found = {name: checks.instant(name, value) for name, value in given.items() if isinstance(value, datetime)}
    return msgspec.structs.replace(wanted, **found) if found else wanted


async def of_buyer(read: Read, wanted: Wanted, email: str | None) -> Wanted | None:
    """With the `customer_id` of who has this address. None: nobody has, or not who is asked for by id."""
    if email is None:
        return wanted
    buyer = await find(read, email)
    if buyer is None or msgspec.structs.asdict(wanted)["customer_id"] not in (None, buyer.id):
        return None
    return msgspec.structs.replace(wanted, customer_id=buyer.id)


def only(*names: str) -> Guard:
    """`guards=[only("limit", "cursor")]`. Raises BadRequest for any other name in the query."""

    async def refuse_others(connection: Connection, _handler: BaseRouteHandler) -> None:
        unknown = sorted(set(connection.query_params) - set(names))
        if unknown:
            raise BadRequest(f"There is no filter {unknown[0][:64]!r} here. Known: {', '.join(names)}.")

    return refuse_others
