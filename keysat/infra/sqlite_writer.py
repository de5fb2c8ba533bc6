"""How SQLite is written: statements run on the event loop itself, and only what may wait goes into a thread.

A hop into a driver's thread and back costs several times what the statement does, and aiosqlite makes four for each
(`docs/decisions/0004-sqlite-writer.md`). Here two acts hop: BEGIN IMMEDIATE, which waits for other processes, and
COMMIT, which waits for the disk. A third is what changes rows without number: every DELETE, since rows hang on rows,
and whatever statement says so with `execution_options(is_long=True)`. A verb of many statements gives way to others
now and then.

The standard library's connection is used as it is, beneath SQLAlchemy's own dialect for it. The store lets one
transaction at a time have it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.pool import AsyncAdaptedQueuePool, Pool, PoolProxiedConnection
from sqlalchemy.util import await_only

DRIVER = "sqlite+keysat"
STATEMENTS_AT_A_STRETCH = 20  # then the loop may do something else; a sale has ten

T = TypeVar("T")


class SqliteWriter(SQLiteDialect_pysqlite):
    driver = "keysat"
    is_async = True
    has_terminate = True
    supports_statement_cache = True
    _stretch = 0

    @classmethod
    def get_pool_class(cls, url: URL) -> type[Pool]:  # noqa: ARG003  every URL is a file's
        return AsyncAdaptedQueuePool

    def do_begin(self, dbapi_connection: Any) -> None:
        _wait_for(partial(dbapi_connection.execute, "BEGIN IMMEDIATE"))

    def do_commit(self, dbapi_connection: PoolProxiedConnection) -> None:
        _wait_for(partial(super().do_commit, dbapi_connection))

    def do_terminate(self, dbapi_connection: DBAPIConnection) -> None:
        dbapi_connection.close()

    def do_execute(self, cursor: DBAPICursor, statement: str, parameters: Any, context: Any = None) -> None:
        if context is not None and (context.isdelete or context.execution_options.get("is_long")):
            _wait_for(partial(cursor.execute, statement, parameters))
        else:
            cursor.execute(statement, parameters)
        self._stretch = (self._stretch + 1) % STATEMENTS_AT_A_STRETCH
        if not self._stretch:
            await_only(asyncio.sleep(0))


registry.register("sqlite.keysat", __name__, SqliteWriter.__name__)


def _wait_for(act: Callable[[], T]) -> T:
    return await_only(_in_thread(act))


async def _in_thread(act: Callable[[], T]) -> T:
    """Whoever is cancelled waits to the end all the same: until then nobody else may touch the connection."""
    running = asyncio.get_running_loop().run_in_executor(None, act)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        raise
