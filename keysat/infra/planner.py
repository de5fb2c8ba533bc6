"""What a database's planner is told."""

from typing import Any

from sqlalchemy import ColumnElement, text
from sqlalchemy.sql.expression import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from keysat.infra.work import Read

_PLUS: custom_op[Any] = custom_op("+")


def aside(read: Read, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The column, which shall lead to no index: SQLite guesses which one to walk along, where PostgreSQL has counted.

    https://www.sqlite.org/optoverview.html, "Disqualifying WHERE Clause Terms Using Unary-+".
    """
    return UnaryExpression(column, operator=_PLUS, type_=column.type) if read.dialect == "sqlite" else column


async def one_by_one(read: Read) -> None:
    """What is asked next ends after a page: PostgreSQL's workers would each walk on for one of their own."""
    if read.dialect == "postgresql":
        await read.session.execute(text("SET LOCAL max_parallel_workers_per_gather = 0"))
