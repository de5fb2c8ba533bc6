"""Lists by what their caller wants of them."""

from typing import TypeVar

import msgspec
from sqlalchemy import Select

from keysat.infra.tables import Base

Row = TypeVar("Row", bound=Base)


def filtered(query: Select[Row], model: type[Row], wanted: msgspec.Struct) -> Select[Row]:
    """Those whose columns have the values of the fields of the same names; what is None does not filter."""
    for name in wanted.__struct_fields__:
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(getattr(model, name) == value)
    return query
