"""Query parameters of the operator's API: what nobody reads, or reads otherwise, is a mistake that should be told."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, TypeVar

import msgspec
from litestar.handlers.base import BaseRouteHandler
from litestar.openapi.spec import Example
from litestar.params import QueryParameter
from litestar.typing import FieldDefinition

from keysat.customers.accounts import find
from keysat.infra.work import Read
from keysat.kit.errors import BadRequest
from keysat.kit.paging import LIMIT_MAX
from keysat.web.visit import Connection
from keysat.web.wire import NO_NUL, Instant

Limit = Annotated[int, QueryParameter(ge=1, le=LIMIT_MAX)]
Cursor = Annotated[str | None, QueryParameter()]
Slug = Annotated[str | None, QueryParameter(max_length=255, pattern=NO_NUL)]
Address = Annotated[
    str | None, QueryParameter(max_length=254, pattern=NO_NUL, examples=[Example(value="ann@example.org")])
]
Moment = Annotated[
    datetime | None, QueryParameter(description="An RFC 3339 instant with its offset. `before` itself is left out.")
]
Wanted = TypeVar("Wanted", bound=msgspec.Struct)


async def of_buyer(read: Read, wanted: Wanted, email: str | None) -> Wanted | None:
    """With the `customer_id` of who has this address. None: nobody has, or not who is asked for by id."""
    if email is None:
        return wanted
    buyer = await find(read, email)
    if buyer is None or msgspec.structs.asdict(wanted)["customer_id"] not in (None, buyer.id):
        return None
    return msgspec.structs.replace(wanted, customer_id=buyer.id)


async def plain_query(connection: Connection, handler: BaseRouteHandler) -> None:
    """Guard. Raises BadRequest for a parameter that the operation does not take, for one that is given twice, of which
    one would be taken silently, and for a moment that is none: a number would be read as seconds since 1970.
    """
    given = connection.query_params
    if not given:
        return
    taken = _taken(handler)
    for name in given:
        if name not in taken:
            known = f"Known: {', '.join(sorted(taken))}." if taken else "None is known."
            raise BadRequest(f"There is no parameter {name[:64]!r} here. {known}")
        first, *others = given.getall(name)
        if others:
            raise BadRequest(f"The parameter {name} is given {1 + len(others)} times. Give it once.")
        if taken[name].has_inner_subclass_of(datetime):
            _check_moment(name, first)


@lru_cache(maxsize=512)  # as many as there are operations
def _taken(handler: BaseRouteHandler) -> Mapping[str, FieldDefinition]:
    """Its query parameters, by the names they have outside."""
    fields = handler.parsed_fn_signature.parameters.items()
    asked = ((name, field, field.kwarg_definition) for name, field in fields)
    return {kind.name or name: field for name, field, kind in asked if isinstance(kind, QueryParameter)}


def _check_moment(name: str, text: str) -> None:
    try:
        msgspec.convert(text, Instant).astimezone(UTC)
    except (msgspec.ValidationError, OverflowError):
        hint = " In an address, + is written %2B." if " " in text else ""
        raise BadRequest(
            f"{name}: {text[:40]!r} is no moment with its offset, such as 2030-12-31T18:00:00Z.{hint}"
        ) from None
